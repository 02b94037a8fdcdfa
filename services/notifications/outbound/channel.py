"""One attempt to reach a person outside the app, through apprise, in a worker thread: apprise blocks.

Each kind has threads of its own: a mail gateway that swallows packets holds up no bot, nor one bots' maker another.
"""

import asyncio
import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import structlog

from services.notifications.domain import ChannelParcel, Outcome
from services.notifications.outbound import bots
from services.notifications.outbound.tls import Ways
from services.notifications.settings import Settings
from services.notifications.texts import Texts
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit import clock
from shared.kit.auth import SealBroken, Sealer

# Bots whose plugin talks to one fixed public host: a URL of a rider can't point into our network. The plugins are named
# and not looked up by URL: the look-up imports all of apprise's hundred, for seconds and 20 MB. They are imported at
# their first use, in a worker thread, so that the service starts without them.
SCHEMES = {"wecom": ("wecombot",), "dingtalk": ("dingtalk",), "feishu": ("feishu",), "mail": ("mailto", "mailtos")}
PLUGINS = {
    "wecom": ("apprise.plugins.wecombot", "NotifyWeComBot"),
    "dingtalk": ("apprise.plugins.dingtalk", "NotifyDingTalk"),
    "feishu": ("apprise.plugins.feishu", "NotifyFeishu"),
    "mail": ("apprise.plugins.email", "NotifyEmail"),
}

# apprise logs addresses and bodies
logging.getLogger("apprise").setLevel(logging.CRITICAL)
_log = structlog.get_logger(__name__)


class ChannelSender:
    """Sends; knows no database. Close with `aclose`."""

    def __init__(self, settings: Settings, sealer: Sealer, texts: Texts) -> None:
        self._gateway = settings.mail_gateway.get_secret_value() if settings.mail_gateway else None
        self._timeout_s = settings.channel_timeout_s
        self.ways = Ways.of(settings)
        self._sealer = sealer
        self._texts = texts
        self._threads = {
            kind: ThreadPoolExecutor(settings.sender_parallel, thread_name_prefix=f"apprise-{kind}") for kind in PLUGINS
        }

    async def aclose(self) -> None:
        """Let no new attempt begin; one that is under way ends with its own time limit."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

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
        outcome = await loop.run_in_executor(
            self._threads[channel.kind], _notify, channel.kind, url, title, body, self._timeout_s, self.ways
        )
        return replace(outcome, duration_ms=int((clock.monotonic_s() - started_s) * 1000))

    def url(self, kind: str, address: str) -> str | None:
        """The apprise URL with our time limits; None where the city has no gateway of the kind."""
        limits = f"cto={self._timeout_s:g}&rto={self._timeout_s:g}&format=text"
        if kind != "mail":
            return f"{address}{'&' if '?' in address else '?'}{limits}"
        if self._gateway is None:
            return None
        return f"{self._gateway}{'&' if '?' in self._gateway else '?'}to={quote(address)}&{limits}"


def usable(kind: str, address: str) -> bool:
    """Whether a group bot's address is one of its kind. Blocks at the first call: not for the event loop."""
    return kind != "mail" and _target(kind, address) is not None


def _target(kind: str, url: str) -> Any:
    """The plugin with the URL's settings; None where the URL isn't the plugin's."""
    if urlsplit(url).scheme not in SCHEMES[kind]:
        return None
    module, name = PLUGINS[kind]
    plugin = getattr(importlib.import_module(module), name)
    settings = plugin.parse_url(url)
    if not settings:
        return None
    try:
        return plugin(**settings)
    except TypeError:  # how apprise says that something is missing
        return None


def _notify(kind: str, url: str, title: str, body: str, timeout_s: float, ways: Ways) -> Outcome:
    target = _target(kind, url)
    if target is None:
        return Outcome(False, "the address isn't usable")
    if kind != "mail":  # the plugins take every answer with status 200 for a yes
        return bots.post(kind, target, title, body, timeout_s, ways)
    try:
        taken = target.notify(title=title, body=body)
    except Exception as error:  # noqa: BLE001  # plugins raise whatever their transport does; the delivery is tried again
        _log.warning("channel_raised", error=type(error).__name__)
        return Outcome(False, f"the channel failed: {type(error).__name__}")
    return Outcome(True, "taken") if taken else Outcome(False, "the channel didn't take it")
