"""What riders choose: language, quiet hours, ways outside the app. And operators' channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from uuid import UUID

from services.notifications.domain import Channel, ChannelKind, Language, Preferences, TopicGroup, mask
from services.notifications.store import people
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.work import Work

SEALED_FOR = "channel"


@dataclass(frozen=True, slots=True)
class WantedChannel:
    """A channel as a person wants it: a new address, or `channel_id` of one that stays as it is."""

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
    wanted = [_channel(sealer, one, known) for one in channels]
    await people.drop_channels_except(work.conn, rider_id, [one.channel_id for one in wanted])
    for channel in wanted:
        await people.put_channel(work.conn, channel, rider_id, work.now)
    return await people.preferences(work.conn, rider_id)


async def add_operator_channel(
    work: Work, sealer: Sealer, kind: ChannelKind, address: str, area: str, language: Language
) -> Channel:
    """Emergencies of an area go here from now on."""
    channel_id = new_id()
    channel = Channel(
        channel_id, kind, sealer.seal(address.encode(), SEALED_FOR, str(channel_id)), mask(kind, address),
        ("emergency",), language, area,
    )  # fmt: skip
    await people.put_channel(work.conn, channel, None, work.now)
    return channel


def _channel(sealer: Sealer, wanted: WantedChannel, known: dict[UUID, Channel]) -> Channel:
    if wanted.channel_id is not None:
        old = known.get(wanted.channel_id)
        if old is None or old.kind != wanted.kind:
            raise UnknownChannel
        if wanted.address is None:
            return Channel(old.channel_id, old.kind, old.sealed, old.hint, wanted.topics)
    if wanted.address is None:
        raise UnknownChannel
    channel_id = wanted.channel_id or new_id()
    sealed = sealer.seal(wanted.address.encode(), SEALED_FOR, str(channel_id))
    return Channel(channel_id, wanted.kind, sealed, mask(wanted.kind, wanted.address), wanted.topics)
