"""One attempt to reach a person outside the app, through apprise, in a worker thread: apprise blocks."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import apprise
import structlog

from services.notifications.domain import ChannelParcel, Outcome
from services.notifications.settings import Settings
from services.notifications.texts import Texts
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit import clock
from shared.kit.auth import SealBroken, Sealer

# Kinds whose apprise plugin talks to one fixed public host: a URL of a rider can't point into our network.
SCHEMES = {"wecom": "wecombot", "dingtalk": "dingtalk", "feishu": "feishu"}

# apprise logs addresses and bodies
logging.getLogger("apprise").setLevel(logging.CRITICAL)
_log = structlog.get_logger(__name__)


class ChannelSender:
    """Sends; knows no database. Close with `aclose`."""

    def __init__(self, settings: Settings, sealer: Sealer, texts: Texts) -> None:
        self._gateway = settings.mail_gateway.get_secret_value() if settings.mail_gateway else None
        self._timeout_s = settings.channel_timeout_s
        self._sealer = sealer
        self._texts = texts
        self._threads = ThreadPoolExecutor(settings.sender_parallel, thread_name_prefix="apprise")

    async def aclose(self) -> None:
        """Let no new attempt begin; one that is under way ends with its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, parcel: ChannelParcel) -> Outcome:
        """Make one attempt. Never raises for what the receiver or the network does."""
        started_s = clock.monotonic_s()
        channel, delivery = parcel.channel, parcel.delivery
        try:
            address = self._sealer.unseal(channel.sealed, SEALED_FOR, str(channel.channel_id)).decode()
        except SealBroken:
            return Outcome(False, "the address can't be unsealed", permanent=True)
        url = self.url(channel.kind, address)
        if url is None:
            return Outcome(False, f"no gateway for {channel.kind}")
        title, body = self._texts.render(delivery.template, delivery.params, parcel.language)
        loop = asyncio.get_running_loop()
        ok, detail = await loop.run_in_executor(self._threads, _notify, url, title, body)
        duration_ms = int((clock.monotonic_s() - started_s) * 1000)
        return Outcome(ok, detail, duration_ms=duration_ms)

    def url(self, kind: str, address: str) -> str | None:
        """The apprise URL with our time limits; None where the city has no gateway of the kind."""
        limits = f"cto={self._timeout_s:g}&rto={self._timeout_s:g}"
        if kind != "mail":
            return f"{address}{'&' if '?' in address else '?'}{limits}"
        if self._gateway is None:
            return None
        return f"{self._gateway}{'&' if '?' in self._gateway else '?'}to={quote(address)}&{limits}"


def usable(kind: str, address: str) -> bool:
    """Whether apprise understands the address as one of its kind. For kinds other than mail."""
    return urlsplit(address).scheme == SCHEMES.get(kind) and apprise.Apprise.instantiate(address) is not None


def _notify(url: str, title: str, body: str) -> tuple[bool, str]:
    target = apprise.Apprise()
    if not target.add(url):
        return False, "apprise doesn't understand the address"
    try:
        taken = target.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001  # plugins raise whatever their transport does; the delivery is tried again
        _log.warning("channel_raised", error=type(error).__name__)
        return False, f"the channel failed: {type(error).__name__}"
    return (True, "taken") if taken else (False, "the channel didn't take it")
