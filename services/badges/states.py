"""What the topic of levels holds, read from the table once more."""

from uuid import UUID

from services.badges.store import levels as store
from services.badges.usecases import levelling
from shared.events.level_changed import LEVEL_CHANGED
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def levels(work: Work, after: str, most: int) -> Page:
    """Levels as they were last published; of riders who were erased, that they are gone."""
    found = await store.lock_after(work.conn, UUID(after) if after else UUID(int=0), most)
    for one in found:
        levelling.publish(work, one)
    return Page.of([one.rider_id for one in found])


async def count_levels(conn: Connection) -> Counted:
    """All that were ever published."""
    return Counted(*await store.counted(conn))


STATES = (States(LEVEL_CHANGED, levels, count_levels),)
