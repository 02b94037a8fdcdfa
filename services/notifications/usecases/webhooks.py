"""Companies' webhooks: set, rotated, tested, switched off."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifications.domain import PROBE_EVERY_S, DeliveryState, Webhook
from services.notifications.settings import Settings
from services.notifications.store import company_deliveries, deliveries, webhooks
from services.notifications.usecases.payloads import TestData, WebhookTest
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.known import companies as known_companies
from shared.known.domain import company_refusal

SECRET_BYTES = 32
TEST_TEMPLATE = "webhook_test"


@dataclass(frozen=True, slots=True)
class SetWebhook:
    """The webhook as it is now; `secret` only where one was just made, and never again."""

    webhook: Webhook
    secret: bytes | None


async def put(
    work: Work, settings: Settings, sealer: Sealer, company: str, url: str, *, rotate: bool
) -> SetWebhook | None:
    """Set a company's URL; a new webhook or `rotate` makes a secret. None: there is no such company.

    A webhook that fails goes on failing until it has taken a delivery: otherwise whoever sets a URL in a loop would be
    served like somebody whose webhook works.

    Raises:
        Refusal: the company is suspended.
    """
    active = (await known_companies.active_of(work.conn, [company])).get(company)
    if active is None:
        return None
    if (refusal := company_refusal(active)) is not None:
        raise refusal
    webhook_id = new_id()
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = sealer.seal(secret, company, str(webhook_id))
    if await webhooks.add(work.conn, company, webhook_id, url, sealed, work.now):
        return SetWebhook(await _read(work, company), secret)
    known = await _read(work, company, lock=True)
    previous: tuple[str, datetime] | None = None
    if rotate:
        sealed = sealer.seal(secret, company, str(known.webhook_id))
        previous = (known.sealed, work.now + timedelta(hours=settings.webhook_secret_overlap_hours))
    else:
        sealed = known.sealed
        if known.sealed_previous is not None and known.previous_until is not None:
            previous = (known.sealed_previous, known.previous_until)
    await webhooks.change(work.conn, company, url, sealed, previous, work.now, _probe_at(work))
    return SetWebhook(await _read(work, company), secret if rotate else None)


async def switch_off(work: Work, company: str) -> bool:
    """Send nothing more; the sweeper gives up what waits. False: there is none."""
    known = await webhooks.webhook(work.conn, company, lock=True)
    if known is None:
        return False
    await webhooks.switch_off(work.conn, known.webhook_id, work.now)
    return True


async def test(work: Work, settings: Settings, company: str) -> UUID | None:
    """Queue a test event. Its event id, or None where the company has no webhook at work.

    One that fails is probed soon instead of at the end of its pause: whoever has repaired theirs asks for a test. How
    often that may be asked for is up to the caller.
    """
    known = await webhooks.webhook(work.conn, company)
    if known is None or not known.active:
        return None
    event_id = new_id()
    body = WebhookTest(timestamp=work.now, data=TestData(test_id=event_id)).model_dump()
    await deliveries.queue_webhooks(
        work.conn,
        [deliveries.ToWebhook(event_id, known.webhook_id, TEST_TEMPLATE, body)],
        attempts_allowed=settings.delivery_attempts_max,
        now=work.now,
    )
    await webhooks.probe_soon(work.conn, known.webhook_id, _probe_at(work))
    return event_id


async def send_again(work: Work, settings: Settings, company: str, delivery_id: UUID) -> DeliveryState | None:
    """Take a delivery of the company's webhook up again. The state that it had; None: there is none, or the webhook is
    off. One that is pending or failed is left as it is: it will be sent anyway."""
    known = await webhooks.webhook(work.conn, company)
    if known is None or not known.active:
        return None
    state = await company_deliveries.state_of(work.conn, delivery_id, known.webhook_id)
    attempts = settings.delivery_attempts_max
    if await company_deliveries.send_again(work.conn, delivery_id, known.webhook_id, work.now, attempts):
        await webhooks.probe_soon(work.conn, known.webhook_id, _probe_at(work))
    return state


def unsealed(sealer: Sealer, webhook: Webhook, now: datetime) -> list[bytes]:
    """The secrets that sign now, newest first. Raises SealBroken."""
    sealed = [webhook.sealed]
    if webhook.sealed_previous and webhook.previous_until and webhook.previous_until > now:
        sealed.append(webhook.sealed_previous)
    return [sealer.unseal(one, webhook.company, str(webhook.webhook_id)) for one in sealed]


def _probe_at(work: Work) -> datetime:
    return work.now + timedelta(seconds=PROBE_EVERY_S)


async def _read(work: Work, company: str, *, lock: bool = False) -> Webhook:
    found = await webhooks.webhook(work.conn, company, lock=lock)
    assert found is not None, "webhooks are never deleted"
    return found
