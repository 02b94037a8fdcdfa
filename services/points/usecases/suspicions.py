"""Points of a report that looks farmed wait; somebody's decision lets them go on, or takes them."""

from collections.abc import Sequence

from services.points.domain import NOT_GENUINE
from services.points.earning.terms import Terms
from services.points.store import budgets
from services.points.store import ledger as store
from services.points.store import suspicions as suspicion_store
from services.points.store.suspicions import Suspicion
from services.points.usecases import Cause, save
from shared.events.suspicion_changed import SuspicionChanged
from shared.kit.messaging.work import Event, Work


async def follow_suspicions(terms: Terms, work: Work, events: Sequence[Event[SuspicionChanged]]) -> None:
    """Raised: the report's points are not posted. Cleared: they are, where its case has closed meanwhile. Confirmed:
    they are voided, or reversed where they were posted; a report that is heard later earns nothing.

    Raises:
        LedgerConflict: one of the reports was heard at the same time; the batch may be tried again.
    """
    heard = [Suspicion(event.data.report_id, event.data.state, event.version) for event in events]
    decided = {
        one.report_id: one.state for one in await suspicion_store.keep(work.conn, heard) if one.state != "raised"
    }
    places = {event.data.report_id: place for place, event in enumerate(events) if event.data.report_id in decided}
    if not places:
        return
    await terms.memory.read(work.conn)
    if paying := await budgets.of_holds(work.conn, decided):  # before accounts, as everywhere
        await budgets.lock(work.conn, paying)
    book = await store.open_book(work.conn, {events[place].data.rider_id for place in places.values()}, decided)
    if {hold.budget_id for hold in book.holds.values()} - paying - {None}:
        # its report was heard meanwhile: to lock its budget now would be against the order, the next attempt finds it
        raise store.LedgerConflict("a hold came between its budget's lock and its account's")
    # behind the locks: whoever closes a case meanwhile either sees the decision, or has left what is seen here
    ended = await suspicion_store.ended(work.conn, {one.case_id for one in book.holds.values() if one.case_id})
    causes = [Cause.of(event) for event in events]
    for report_id, place in places.items():
        hold = book.holds.get(report_id)
        case = ended.get(hold.case_id) if hold is not None and hold.case_id is not None else None
        if hold is None:
            continue
        if case is not None:
            causes[place] = Cause.of(events[place], case.grid_code)
        if decided[report_id] == "confirmed":
            if not book.reverse(report_id, NOT_GENUINE, place):
                book.void(hold, NOT_GENUINE, place)
        elif case is not None and case.voided_up_to < (hold.ordinal or 0) <= case.posted_up_to:
            book.post(report_id, place)
    await save(work, book, causes, terms.why)
