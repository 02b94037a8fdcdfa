"""A real mail server for tests, and riders who have chosen to get mail."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from services.notifications.domain import ChannelKind, ChannelParcel
from services.notifications.outbound.channel import ChannelSender
from services.notifications.settings import Settings
from services.notifications.texts import Texts
from services.notifications.usecases import notifying, preferences, sending
from services.notifications.usecases.preferences import WantedChannel
from shared.catalog import Catalogue
from shared.kit.auth import Sealer
from tests.services.notifications.stage import Stage, moved


class Mailbox:
    """A mail server's memory; `answer` is what it says to a message."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # aiosmtpd's name
        """Called for each message."""
        if self.answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return self.answer


def codes(box: Mailbox) -> list[str]:
    """The codes of all mails, in their order."""
    parts = [part for _, mail in box.mails for part in mail.walk() if not part.is_multipart()]
    texts = [part.get_payload(decode=True).decode() for part in parts]
    return [found[0] for text in texts if (found := re.findall(r"\d{8}", text))]


def sealer(stage: Stage) -> Sealer:
    return Sealer(stage.settings.sealing_key.get_secret_value())


def with_gateway(settings: Settings, port: int) -> Settings:
    gateway = SecretStr(f"mailto://127.0.0.1:{port}?from=beegrid@example.cn&mode=insecure&smtp=127.0.0.1")
    return settings.model_copy(update={"mail_gateway": gateway, "channel_timeout_s": 3.0})


@contextlib.asynccontextmanager
async def mailing(stage: Stage, port: int) -> AsyncIterator[ChannelSender]:
    settings = with_gateway(stage.settings, port)
    sender = ChannelSender(settings, sealer(stage), Texts(Catalogue.load(), settings.city_zone))
    try:
        yield sender
    finally:
        await sender.aclose()


async def choose(
    stage: Stage, rider: UUID, kind: ChannelKind, address: str, *, verified: bool = True, **values: Any
) -> UUID:
    """The rider's preferences with one channel, which is verified; its id."""
    wanted = WantedChannel(None, kind, address, ("points", "case", "rewards"))
    defaults: dict[str, Any] = {"language": None, "quiet": None, "version": 0}
    async with stage.work() as work:
        saved = await preferences.replace(work, sealer(stage), rider, channels=[wanted], **(defaults | values))
    if verified:
        await stage.rows("UPDATE channels SET verified_at = now() WHERE rider_id = $1", rider)
    return saved.channels[0].channel_id


async def turn(stage: Stage, sender: ChannelSender) -> int:
    parcels = await sending.claim_channels(stage.pool, stage.settings)

    async def one(parcel: ChannelParcel) -> None:
        await sending.settle_channel(stage.pool, parcel.delivery, await sender.send(parcel))

    await asyncio.gather(*map(one, parcels))
    return len(parcels)


async def hold(stage: Stage, *riders: UUID) -> None:
    await stage.hear(partial(notifying.notify_of_movements, stage.settings), *map(moved, riders))
