"""What the public topic holds, read from the tables once more."""

from uuid import UUID

from services.activities.store import activities as store
from services.activities.usecases import saying
from shared.events.public_activity_changed import PUBLIC_ACTIVITY_CHANGED
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def activities(work: Work, after: str, most: int) -> Page:
    """Activities by id, with the versions that were said last."""
    found = await store.lock_after(work.conn, UUID(after) if after else UUID(int=0), most)
    seeds = await store.seeds_drawn(work.conn, [one.id for one in found])
    saying.publish(work, found, seeds)
    return Page.of([one.id for one in found])


async def count_activities(conn: Connection) -> Counted:
    """All of which a state was published; none leaves."""
    return Counted(await store.count_said(conn), 0)


STATES = (States(PUBLIC_ACTIVITY_CHANGED, activities, count_activities),)
