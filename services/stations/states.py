"""What the public topic holds, read from the tables once more."""

from functools import partial
from uuid import UUID

from services.stations.store import stations as store
from services.stations.usecases.living import publish
from services.stations.usecases.rules import Rules
from shared.events.public_station_changed import PUBLIC_STATION_CHANGED
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def stations(rules: Rules, work: Work, after: str, most: int) -> Page:
    """Stations with what is so there now; those that were given up are said to be gone."""
    found = await store.lock_after(work.conn, UUID(after) if after else UUID(int=0), most)
    for one in found:
        publish(rules, work, one)
    return Page.of([one.id for one in found])


async def count_stations(conn: Connection) -> Counted:
    """Stations on the topic, and those that have left it."""
    return Counted(*await store.count_states(conn))


def states_with(rules: Rules) -> tuple[States, ...]:
    """The declaration, with the rules that name the kinds."""
    return (States(PUBLIC_STATION_CHANGED, partial(stations, rules), count_stations),)
