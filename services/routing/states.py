"""What the topic of areas holds, read from the table once more."""

from services.routing.store import areas as area_store
from services.routing.usecases import taking_over
from shared.events.area_changed import AREA_CHANGED
from shared.kit.areas import store as known_store
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def areas(work: Work, after: str, most: int) -> Page:
    """Areas that are or were in force. As `map_version` they name the map in force: by which map each of them changed
    isn't kept.
    """
    # what an activation holds as well: none comes between
    map_version = await area_store.lock_in_force(work.conn)
    if map_version is None:
        return Page(None)
    found = await known_store.page(work.conn, after, most)
    taking_over.publish(work, found, map_version)
    return Page.of([one.area.code for one in found])


async def count_areas(conn: Connection) -> Counted:
    """All of them: one that is out of force stays on the topic."""
    return Counted(await known_store.count(conn), 0)


STATES = (States(AREA_CHANGED, areas, count_areas),)
