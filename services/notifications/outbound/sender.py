"""The loops that send what is due. Any number of processes may run them: a delivery is claimed by one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from services.notifications.domain import ChannelKind, ChannelParcel, WebhookParcel
from services.notifications.outbound.channel import ChannelSender
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.settings import Settings
from services.notifications.usecases import sending
from services.notifications.usecases.choosing import channel_places
from services.notifications.usecases.places import Places
from shared.kit.postgres.db import Pool
from shared.kit.service.clockwork import Pulse

P = TypeVar("P")
K = TypeVar("K", bound=Hashable)
SWEEP_EVERY_S = 60.0
IDLE_TIMES = 10
"""So much longer is the pause while nothing happens in this process; see shared/kit/service/clockwork.py."""
_log = structlog.get_logger(__name__)


class Sender:
    """The service's background work."""

    def __init__(
        self,
        pool: Callable[[], Pool],
        settings: Settings,
        webhooks: WebhookSender,
        channels: ChannelSender,
        pulse: Pulse,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._webhooks = webhooks
        self._channels = channels
        self._pulse = pulse

    async def webhooks_forever(self) -> None:
        """Notify companies."""
        places = sending.webhook_places(self._settings)
        claim = partial(sending.claim_webhooks, settings=self._settings, places=places)
        await self._forever(lambda: claim(self._pool()), self._to_webhook, places, _webhook)

    async def channels_forever(self) -> None:
        """Notify people."""
        places = channel_places(self._settings)
        claim = partial(sending.claim_channels, settings=self._settings, places=places)
        await self._forever(lambda: claim(self._pool()), self._to_channel, places, _channel)

    async def sweep(self) -> None:
        """Forget and give up in time."""
        await sending.sweep(self._pool(), self._settings)

    async def _forever(
        self,
        claim: Callable[[], Awaitable[Sequence[P]]],
        send: Callable[[P], Awaitable[None]],
        places: Places[K],
        keys: Callable[[P], tuple[K, ...]],
    ) -> None:
        """Claim as much as there is room for, so that one slow receiver doesn't hold up the next round.

        `keys`: whose places an attempt takes.
        """

        poll_s = self._settings.sender_poll_s

        def begin(parcel: P) -> asyncio.Task[None]:
            began_s = places.take(*keys(parcel))
            task = asyncio.create_task(self._guarded(send, parcel))
            task.add_done_callback(lambda _: places.give_back(began_s, *keys(parcel)))
            return task

        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                claimed = await claim() if places.free else ()
                under_way |= {begin(one) for one in claimed}
                if claimed:
                    self._pulse.beat()  # what fails, and a bot's next message, falls due soon
                    await asyncio.sleep(0)
                elif under_way:
                    await asyncio.wait(under_way, timeout=poll_s, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._pulse.rest(poll_s, IDLE_TIMES * poll_s)
                under_way = {task for task in under_way if not task.done()}
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _guarded(self, send: Callable[[P], Awaitable[None]], parcel: P) -> None:
        try:
            await send(parcel)
        except Exception as error:  # noqa: BLE001  # the claim's lease ends, and the delivery is tried again
            _log.warning("delivery_not_settled", error=type(error).__name__)

    async def _to_webhook(self, parcel: WebhookParcel) -> None:
        await sending.settle_webhook(self._pool(), parcel, await self._webhooks.send(parcel))

    async def _to_channel(self, parcel: ChannelParcel) -> None:
        await sending.settle_channel(self._pool(), parcel.delivery, await self._channels.send(parcel))


def _webhook(parcel: WebhookParcel) -> tuple[UUID]:
    return (parcel.webhook.webhook_id,)


def _channel(parcel: ChannelParcel) -> tuple[UUID | ChannelKind, ...]:
    return (parcel.channel.channel_id, parcel.channel.kind)
