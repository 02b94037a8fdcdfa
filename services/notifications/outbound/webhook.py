"""One attempt to notify a company over HTTP, signed as Standard Webhooks: webhook-id, -timestamp, -signature."""

import asyncio
from datetime import datetime

import httpx
import orjson
from standardwebhooks import Webhook as Signer

from services.notifications.domain import Outcome, WebhookParcel
from services.notifications.outbound.guard import Forbidden, Guard
from services.notifications.outbound.names import LookupsBusy, Unresolvable
from services.notifications.outbound.tls import SERVER_NAME, Ways
from services.notifications.settings import Settings
from services.notifications.usecases.webhooks import unsealed
from shared.kit import clock
from shared.kit.auth import SealBroken, Sealer

# The one answer that ends it at once. Any other refusal may be a receiver's fault of today: it is tried again.
GONE = 410


class WebhookSender:
    """Sends; knows no database. Open with `start`, close with `aclose`."""

    def __init__(self, settings: Settings, sealer: Sealer) -> None:
        self.guard = Guard(
            http_allowed=settings.webhook_http_allowed,
            hosts=settings.webhook_hosts,
            networks_allowed=settings.webhook_networks_allowed,
            ports=settings.webhook_ports,
            proxied=settings.outbound_proxy is not None,
        )
        self._sealer = sealer
        self._timeout_s = settings.webhook_timeout_s
        # no proxies from the environment and no kept connections: every attempt goes to the address that was checked,
        # and a proxy of the settings is asked for that address, or for a name that is on the operator's list
        ways = Ways.of(settings)
        self._client = httpx.AsyncClient(
            trust_env=False,
            proxy=ways.proxy,
            verify=ways.verify,
            follow_redirects=False,
            timeout=settings.webhook_timeout_s,
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=settings.sender_parallel * 2),
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def send(self, parcel: WebhookParcel) -> Outcome:
        """Make one attempt. Never raises for what the receiver or the network does."""
        started_s = clock.monotonic_s()
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._post(parcel)
            return _judge(response, _since_ms(started_s))
        except Forbidden as why:
            return Outcome(False, f"not allowed: {why}", permanent=True, duration_ms=_since_ms(started_s))
        except Unresolvable as why:
            return Outcome(False, str(why), duration_ms=_since_ms(started_s))
        except LookupsBusy:
            return Outcome(False, "others' names are being looked up", put_off=True)
        except SealBroken:
            return Outcome(False, "the secret can't be unsealed", permanent=True, duration_ms=_since_ms(started_s))
        except TimeoutError:
            return Outcome(False, f"no answer within {self._timeout_s:g} s", duration_ms=_since_ms(started_s))
        except httpx.HTTPError as error:
            return Outcome(False, f"no answer: {type(error).__name__}", duration_ms=_since_ms(started_s))

    async def _post(self, parcel: WebhookParcel) -> httpx.Response:
        hook, delivery = parcel.webhook, parcel.delivery
        now = parcel.at
        body = orjson.dumps(delivery.params)
        signatures = sign(unsealed(self._sealer, hook, now), str(delivery.delivery_id), now, body)
        target = await self.guard.resolve(hook.url, hook.company)
        request = self._client.build_request(
            "POST",
            target.url,
            content=body,
            headers={
                "host": target.host,
                "content-type": "application/json",
                "user-agent": "BeeGrid-Webhooks/1",
                "webhook-id": str(delivery.delivery_id),
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signatures,
            },
            extensions={"sni_hostname": target.server_name},
        )
        token = SERVER_NAME.set(target.server_name)
        try:
            response = await self._client.send(request, stream=True)  # the body is of no interest, however long it is
        finally:
            SERVER_NAME.reset(token)
        await response.aclose()
        return response


def sign(secrets: list[bytes], message_id: str, at: datetime, body: bytes) -> str:
    """The webhook-signature header: one signature a secret, so that a rotation loses nothing."""
    return " ".join(Signer(secret).sign(message_id, at, body.decode()) for secret in secrets)


def _judge(response: httpx.Response, duration_ms: int) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Outcome(True, "taken", status=status, duration_ms=duration_ms)
    if status == GONE:
        return Outcome(False, "answered 410: wants no more", status=status, gone=True, duration_ms=duration_ms)
    if 300 <= status < 400:
        return Outcome(False, f"answered {status}: redirects aren't followed", status=status, duration_ms=duration_ms)
    return Outcome(
        False,
        f"answered {status}",
        status=status,
        retry_after_s=_retry_after_s(response.headers.get("retry-after")),
        duration_ms=duration_ms,
    )


def _retry_after_s(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() and len(value) < 8 else None


def _since_ms(started_s: float) -> int:
    return int((clock.monotonic_s() - started_s) * 1000)
