"""What the public topic holds, read from the table once more."""

from uuid import UUID

from services.tasks.store import tasks
from services.tasks.usecases.saying import say
from shared.events.public_task_changed import PUBLIC_TASK_CHANGED
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def publish(work: Work, after: str, most: int) -> Page:
    """Tasks by id; those that ended too long ago are said to be gone."""
    found = await tasks.page_locked(work.conn, UUID(after) if after else UUID(int=0), most)
    for task in found:
        say(work, task)
    return Page.of([task.id for task in found])


async def count(conn: Connection) -> Counted:
    """Tasks on the topic, and those that have left it."""
    return Counted(*await tasks.count_states(conn))


STATES = (States(PUBLIC_TASK_CHANGED, publish, count),)
