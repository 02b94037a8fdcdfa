"""What riders choose: language, quiet hours, ways outside the app. And operators' channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import time
from uuid import UUID

from services.notifications.domain import (
    VERIFIED_KINDS,
    Channel,
    ChannelKind,
    Language,
    Preferences,
    TopicGroup,
    mask,
)
from services.notifications.store import people
from shared.kit.auth import SealBroken, Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

SEALED_FOR = "channel"
CARRIED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class WantedChannel:
    """A channel as a person wants it: a new address, or `channel_id` of one that stays as it is.

    Another address, also under a known `channel_id`, is another channel, which isn't verified.
    """

    channel_id: UUID | None
    kind: ChannelKind
    address: str | None
    topics: tuple[TopicGroup, ...]


class UnknownChannel(ValueError):
    """A channel_id that isn't one of the rider's of this kind."""


class Outdated(ValueError):
    """Somebody else has changed the preferences since they were read."""


async def replace(
    work: Work,
    sealer: Sealer,
    rider_id: UUID,
    *,
    language: Language | None,
    quiet: tuple[time, time] | None,
    channels: Sequence[WantedChannel],
    version: int,
) -> Preferences:
    """Save everything as given. Raises Outdated, UnknownChannel."""
    # saved first: the row's version lets one of two writers pass, and holds the other until this one has ended
    if await people.put_preferences(work.conn, rider_id, language, quiet, version) is None:
        raise Outdated
    known = {one.channel_id: one for one in (await people.preferences(work.conn, rider_id)).channels}
    wanted = []
    for one in channels:
        # known from here on: the same address once more is the same channel, not another that says everything twice
        channel = _channel(sealer, one, known)
        known[channel.channel_id] = channel
        wanted.append(channel)
    await people.drop_channels_except(work.conn, rider_id, [one.channel_id for one in wanted])
    for channel in wanted:
        await people.put_channel(work.conn, channel, rider_id, work.now)
    return await people.preferences(work.conn, rider_id)


async def add_operator_channel(
    work: Work, sealer: Sealer, kind: ChannelKind, address: str, area: str, language: Language
) -> Channel:
    """Emergencies of an area go here from now on, at once: staff answers for the address."""
    channel_id = new_id()
    channel = Channel(
        channel_id, kind, sealer.seal(address.encode(), SEALED_FOR, str(channel_id)), mask(kind, address),
        ("emergency",), language, area, verified=True,
    )  # fmt: skip
    await people.put_channel(work.conn, channel, None, work.now)
    return channel


async def count_by_area(conn: Connection, codes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Operators' channels of these areas."""
    return {"emergency channels": await people.channels_at(conn, codes)}


async def carry_channels(sealer: Sealer, work: Work) -> int:
    """Let channels of areas that vanished be their successors': the preferred one's, and a copy for each other.

    Areas that were divided have one address in each part, until somebody changes that. How many were carried over.
    """
    found = await people.succeeded_channels(work.conn, CARRIED_AT_ONCE)
    for channel, (first, *others) in found:
        await people.move_channel(work.conn, channel.channel_id, first)
        if not others:
            continue
        address = sealer.unseal(channel.sealed, SEALED_FOR, str(channel.channel_id)).decode()
        for area in others:
            await add_operator_channel(work, sealer, channel.kind, address, area, channel.language or "zh")
    return len(found)


def _channel(sealer: Sealer, wanted: WantedChannel, known: dict[UUID, Channel]) -> Channel:
    old = None
    if wanted.channel_id is not None:
        old = known.get(wanted.channel_id)
        if old is None or old.kind != wanted.kind:
            raise UnknownChannel
    address = wanted.address
    if address is not None:
        # A channel's address never changes: what is verified, and what waits to be sent, is of that address alone.
        same = (one for one in known.values() if one.kind == wanted.kind and opened(sealer, one) == address)
        old = next(same, None)
    if old is not None:
        return replace_fields(old, topics=tuple(dict.fromkeys(wanted.topics)))
    if address is None:
        raise UnknownChannel
    channel_id = new_id()
    sealed = sealer.seal(address.encode(), SEALED_FOR, str(channel_id))
    verified = wanted.kind in VERIFIED_KINDS
    hint = mask(wanted.kind, address)
    topics = tuple(dict.fromkeys(wanted.topics))
    return Channel(channel_id, wanted.kind, sealed, hint, topics, verified=verified)


def opened(sealer: Sealer, channel: Channel) -> str | None:
    """A channel's address; None where it is under no key of ours."""
    try:
        return sealer.unseal(channel.sealed, SEALED_FOR, str(channel.channel_id)).decode()
    except SealBroken:
        return None
