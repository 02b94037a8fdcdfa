"""What riders' topics hold, read from the tables once more."""

from uuid import UUID

from services.riders import usecases
from services.riders.store import states as store
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED, RiderErased
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.states import Counted, Page, States


async def companies(work: Work, after: str, most: int) -> Page:
    """Companies with their keys that are good."""
    found = await store.lock_companies(work.conn, after, most)
    for company in found:
        await usecases.publish_company(work, company)
    return Page.of([company.code for company in found])


async def riders(work: Work, after: str, most: int) -> Page:
    """Riders; those who were erased are said to be gone."""
    found = await store.lock_riders_after(work.conn, _uuid(after), most)
    for rider in found:
        if rider.erased_at is None:
            usecases.publish_rider(work, rider)
        else:
            work.retire(RIDER_CHANGED, rider.rider_id, version=rider.version)
    return Page.of([rider.rider_id for rider in found])


async def orders(work: Work, after: str, most: int) -> Page:
    """Orders to forget riders, of the whole list. Of riders who registered and left after a backup that was restored
    there is no row, so nobody knows their company: each service has them on its own list from that restore.
    """
    found = await store.erased_after(work.conn, _uuid(after), most)
    whole = [one for one in found if one.company is not None]
    for one in whole:
        assert one.company is not None, "left out above"
        body = RiderErased(rider_id=one.rider_id, company=one.company, number=one.number, erased_at=one.erased_at)
        work.publish(RIDER_ERASED, body, version=usecases.ORDER_VERSION)
    return Page.of([one.rider_id for one in found], left_out=len(found) - len(whole))


async def count_companies(conn: Connection) -> Counted:
    """All of them: none leaves."""
    return Counted(*await store.counted(conn, store.SQL_COMPANIES_COUNT))


async def count_riders(conn: Connection) -> Counted:
    """Riders, and erased ones."""
    return Counted(*await store.counted(conn, store.SQL_RIDERS_COUNT))


async def count_orders(conn: Connection) -> Counted:
    """Orders of which the company is known; none leaves."""
    return Counted(*await store.counted(conn, store.SQL_ORDERS_COUNT))


def _uuid(after: str) -> UUID:
    return UUID(after) if after else UUID(int=0)


STATES = (
    States(COMPANY_CHANGED, companies, count_companies),
    States(RIDER_CHANGED, riders, count_riders),
    States(RIDER_ERASED, orders, count_orders),
)
