"""Publish riders' levels: what they are when they change, that they are gone when a rider leaves."""

from collections.abc import Sequence

from services.badges.domain import Rule, Standing, reached
from services.badges.store import levels as store
from services.badges.store import standings
from services.badges.store.levels import Level
from shared.events.level_changed import LEVEL_CHANGED, LevelChanged
from shared.kit.messaging.work import Work, begin, insert_outbox
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver

RETIRED_AGAIN_DAYS = 3


async def level(work: Work, touched: Sequence[Standing], rules: Sequence[Rule]) -> None:
    """Publish the levels that have changed, in one statement; `rules`: those in force, `touched`: locked."""
    for one in await store.keep(work.conn, [reached(rules, standing) for standing in touched], work.now):
        publish(work, one)


def publish(work: Work, one: Level) -> None:
    """A level as the row has it, or that it is gone. The row is locked by the caller."""
    if one.left_at is not None:
        work.retire(LEVEL_CHANGED, one.rider_id, version=one.version)
        return
    values = {name: getattr(one, name) for name in LevelChanged.model_fields}
    work.publish(LEVEL_CHANGED, LevelChanged(**values), version=one.version)


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove all that is kept of riders, and take their levels off the topic: in both passes of an erasure."""
    await standings.forget(conn, leavers)
    work = await begin(conn)
    for one in await store.leave(conn, [leaver.rider_id for leaver in leavers]):
        publish(work, one)
    await insert_outbox(conn, work.rows)


async def retire_again(work: Work) -> None:
    """Repeat the tombstones of riders who left lately: on a quiet partition a broker keeps a state until a later record
    begins another segment."""
    for one in await store.left_lately(work.conn, RETIRED_AGAIN_DAYS):
        publish(work, one)
