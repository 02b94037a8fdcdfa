"""Which of the due deliveries to channels leave now, and when the others are looked at again."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.notifications import domain
from services.notifications.domain import ChannelKind, ChannelParcel, Claim
from services.notifications.settings import Settings
from services.notifications.store import deliveries
from services.notifications.usecases.places import Places
from shared.kit.postgres.db import Connection

ChannelPlaces = Places[UUID | ChannelKind]
# Longer than any attempt takes: a claim of a process that died comes back after this.
LEASE = timedelta(seconds=120)
KINDS: tuple[ChannelKind, ...] = ("wecom", "dingtalk", "feishu", "mail")
SLOT_KINDS = frozenset({"wecom", "dingtalk", "feishu"})
STUCK_S = 3.0
"""A kind whose places are all taken, one of them for so long, has a gateway or a maker that doesn't answer."""
STUCK_AGAIN_S = (5.0, 60.0)
# Between two messages to a channel that has as many under way as it may.
BUSY_STEP_S = 0.25


def channel_places(settings: Settings) -> ChannelPlaces:
    """Each kind has as many places as threads, so the lane has those of all kinds, and none can take another's."""
    return Places(settings.sender_parallel * len(KINDS), each=max(1, settings.sender_parallel // 4))


@dataclass(slots=True)
class _Rooms:
    """What is left for channels and kinds while a page of deliveries is gone through."""

    places: ChannelPlaces
    per_kind: int
    _leaving: Counter[UUID | ChannelKind] = field(default_factory=Counter)

    def kind_is_full(self, parcel: ChannelParcel) -> bool:
        kind = parcel.channel.kind
        return self.places.under_way(kind) + self._leaving[kind] >= self.per_kind

    def take(self, parcel: ChannelParcel) -> bool:
        """False: the channel or its kind has as many under way as it may."""
        channel, kind = parcel.channel.channel_id, parcel.channel.kind
        if self.kind_is_full(parcel) or self.places.under_way(channel) + self._leaving[channel] >= self.places.each:
            return False
        self._leaving[channel] += 1
        self._leaving[kind] += 1
        return True


async def choose(
    conn: Connection, settings: Settings, places: ChannelPlaces, due: Sequence[ChannelParcel], now: datetime
) -> list[Claim]:
    """Decide about a page of due deliveries, in their order. What isn't mentioned stays due: its turn comes at once.

    Quiet hours put off until their end. A bot has a row of places in time, and so has a channel that is busy: a message
    waits there for its own. Of a kind that is stuck messages are looked at again within a minute, spread.
    """
    rooms = _Rooms(places, settings.sender_parallel)
    claims: list[Claim] = []
    row: list[ChannelParcel] = []
    for one in due:
        delivery_id, kind = one.delivery.delivery_id, one.channel.kind
        quiet_ends = domain.quiet_until(now, one.quiet, settings.city_zone)
        if quiet_ends is not None and one.delivery.template != domain.CODE_TEMPLATE:  # somebody is waiting for a code
            claims.append(Claim(delivery_id, 0, quiet_ends, has_slot=False))
        elif rooms.kind_is_full(one):
            if places.oldest_s(kind) >= STUCK_S:
                again_s = random.uniform(*STUCK_AGAIN_S)  # noqa: S311  # spreads load, guards nothing
                claims.append(Claim(delivery_id, 0, now + timedelta(seconds=again_s), has_slot=False))
        elif kind in SLOT_KINDS and not one.has_slot:
            row.append(one)
        elif rooms.take(one):
            claims.append(Claim(delivery_id, 1, now + LEASE, has_slot=False))
        else:
            row.append(one)
    return claims + await _in_row(conn, settings, rooms, row, now)


async def _in_row(
    conn: Connection, settings: Settings, rooms: _Rooms, row: Sequence[ChannelParcel], now: datetime
) -> list[Claim]:
    """Give each message the next place in its channel's row of time; those whose place is now leave."""
    steps = {one.channel.channel_id: _step(settings, one.channel.kind) for one in row}
    wanted = Counter(one.channel.channel_id for one in row)
    free = await deliveries.reserve_slots(conn, [(channel, n, steps[channel]) for channel, n in wanted.items()], now)
    claims = []
    for one in row:
        delivery_id, channel_id = one.delivery.delivery_id, one.channel.channel_id
        if channel_id not in free:  # the channel was removed this moment: the sweeper drops what waits for it
            continue
        at = free[channel_id]
        free[channel_id] = at + steps[channel_id]
        if at <= now and rooms.take(one):
            claims.append(Claim(delivery_id, 1, now + LEASE, has_slot=False))
        else:
            soon = now + timedelta(seconds=BUSY_STEP_S)
            claims.append(Claim(delivery_id, 0, max(at, soon), has_slot=True))
    return claims


def _step(settings: Settings, kind: ChannelKind) -> timedelta:
    return timedelta(seconds=settings.bot_interval_s if kind in SLOT_KINDS else BUSY_STEP_S)
