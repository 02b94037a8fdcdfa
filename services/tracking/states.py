"""What the public topic holds, read from the tables once more."""

from functools import partial
from uuid import UUID

from services.tracking import usecases
from services.tracking.store import states as store
from shared.catalog import Catalogue
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def cases(catalogue: Catalogue, work: Work, after: str, most: int) -> Page:
    """Cases that the city is to see; those that ended too long ago are said to be gone."""
    found = await store.lock_cases_after(work.conn, UUID(after) if after else UUID(int=0), most)
    for one in found:
        if one.leaves:
            work.retire(PUBLIC_CASE_CHANGED, one.case.case_id, version=one.case.version)
        else:
            body = usecases.public_state(one.case, one.transition, catalogue)
            work.publish(PUBLIC_CASE_CHANGED, body, version=one.case.version)
    return Page.of([one.case.case_id for one in found])


async def count_cases(conn: Connection) -> Counted:
    """Cases on the topic, and those that have left it."""
    return Counted(*await store.count_cases(conn))


def states_with(catalogue: Catalogue) -> tuple[States, ...]:
    """The declaration, with the catalogue that names the kinds."""
    return (States(PUBLIC_CASE_CHANGED, partial(cases, catalogue), count_cases),)
