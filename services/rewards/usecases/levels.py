"""Whom offers of a least level are for."""

from collections.abc import Sequence

from services.rewards.store import levels as store
from services.rewards.store.levels import RiderLevel
from shared.events.level_changed import LevelChanged
from shared.kit.messaging.work import Event, Work


async def follow_levels(work: Work, events: Sequence[Event[LevelChanged]]) -> None:
    """Keep each rider's newest rank; late and replayed states change nothing. Erasure forgets them."""
    await store.hear(work.conn, [RiderLevel(one.data.rider_id, one.data.rank, one.version) for one in events])
