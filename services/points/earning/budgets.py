"""Budgets are made, filled and emptied; what waits for one is paid or refused, some holds a transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.points import problems
from services.points.domain import Book
from services.points.earning.terms import Terms
from services.points.store import budgets as store
from services.points.store import ledger
from services.points.store.budgets import Budget, Due, Verdict, Waiting, Wanted
from services.points.usecases import Cause, save
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found

SETTLED_PER_TRANSACTION = 200
BY_THE_CITY = ""
"""Whose right a budget without one above it is."""


@dataclass(frozen=True, slots=True)
class Giving:
    """Points for a budget, or out of it where negative: by whom and why."""

    points: int
    by: str
    reason: str


async def make(
    terms: Terms, work: Work, area: str, begins_on: date, ends_on: date, giving: Giving, covers: Callable[[str], bool]
) -> Budget:
    """Make a budget and fill it from the nearest one above that covers its days, where there is one.

    Raises:
        Refusal: not theirs to give (the city's where nothing stands above); `budget_overlaps`, `budget_short`.
    """
    known = await terms.memory.read(work.conn)
    above = terms.tree().line(area)[:-1]
    parent_id = known.budgets.covering(above, begins_on, ends_on)
    parent = await store.budget(work.conn, parent_id) if parent_id is not None else None
    _check(covers, parent)
    made = await store.make(work.conn, area, begins_on, ends_on, parent_id, work.now)
    if made is None:
        raise problems.BUDGET_OVERLAPS()
    return await _fill(work, made, parent_id, giving)


async def allocate(work: Work, budget_id: int, giving: Giving, covers: Callable[[str], bool]) -> Budget:
    """Put points into a budget, or take them out: from or to the one above, where there is one.

    A street's own office may draw on what its district has left: it decides about what waits.

    Raises:
        Refusal: no such budget in these areas; `budget_short` where so many are not there.
    """
    found = await _theirs(work, budget_id, covers)
    if found.parent_id is None:
        _check(covers, None)
    return await _fill(work, budget_id, found.parent_id, giving)


async def refuse(work: Work, budget_id: int, why: str, by: str, covers: Callable[[str], bool]) -> Budget:
    """Refuse all that waits for a budget now: `settle` voids it, some holds a transaction. Riders read `why`, not `by`.

    Raises:
        Refusal: no such budget in these areas; `budget_nothing_waits`.
    """
    found = await _theirs(work, budget_id, covers)
    if not await store.refuse(work.conn, found.id, work.now, why, by):
        raise problems.BUDGET_NOTHING_WAITS()
    return await store.budget(work.conn, budget_id) or found


async def settle(terms: Terms, work: Work) -> bool:
    """Pay or refuse the holds that have waited longest for one budget. False: nothing can be done now."""
    due = await store.next_due(work.conn)
    if due is None:
        return False
    await terms.memory.read(work.conn)
    found = await store.waiting(work.conn, due.id, SETTLED_PER_TRANSACTION)
    book = await ledger.open_book(work.conn, {one.rider_id for one in found}, {one.id for one in found})
    still = [one for one in found if book.holds[one.id].waits]
    refused = [one for one in still if due.refuses_up_to is not None and one.made_at <= due.refuses_up_to]
    # read behind the locks of the accounts: a verdict that comes later finds the holds as they are now
    verdicts = await store.verdicts(work.conn, [one.id for one in still])
    # when its case was closed nobody knows any more, and that it waited for an office is no delay of ours
    causes = [Cause(None, verdicts[one.id].grid_code, None) for one in still]
    if refused:
        for place, one in enumerate(refused):
            book.void(book.holds[one.id], "budget_refused", place, due.refuses_why)
    else:
        await _pay(work, book, due, still, verdicts)
    if due.refuses_up_to is not None and (len(refused) < len(still) or len(found) < SETTLED_PER_TRANSACTION):
        await store.refused(work.conn, due)
    await save(work, book, causes, terms.why)
    return True


async def _pay(work: Work, book: Book, due: Due, waiting: Sequence[Waiting], verdicts: Mapping[UUID, Verdict]) -> None:
    """Pay in the order in which they wait. What its case's verdict has come for meanwhile is posted at once."""
    wanted = [Wanted(due.id, one.id, one.amount) for one in waiting]
    paid = await store.pay(work.conn, due.id, wanted) if wanted else set()
    await store.wait_no_more(work.conn, paid)
    for place, one in enumerate(waiting):
        if one.id in paid:
            hold = book.holds[one.id]
            hold.waits, hold.reason = False, None
            if verdicts[one.id].is_due:
                book.post(one.id, place)


async def _fill(work: Work, budget_id: int, parent_id: int | None, giving: Giving) -> Budget:
    # the one above has the smaller id: everybody locks in this order
    if parent_id is not None and giving.points and not await store.give(work.conn, parent_id, giving.points):
        above = await store.budget(work.conn, parent_id)
        raise problems.BUDGET_SHORT("the budget above has less left", left=above.room if above else 0)
    if giving.points and not await store.allocate(
        work.conn, budget_id, giving.points, giving.by, giving.reason, work.now
    ):
        own = await store.budget(work.conn, budget_id)
        raise problems.BUDGET_SHORT("so many are given or spent already", left=own.room if own else 0)
    found = await store.budget(work.conn, budget_id)
    if found is None:
        raise not_found("budget")
    return found


async def _theirs(work: Work, budget_id: int, covers: Callable[[str], bool]) -> Budget:
    found = await store.budget(work.conn, budget_id)
    if found is None or not covers(found.area):
        raise not_found("budget")
    return found


def _check(covers: Callable[[str], bool], parent: Budget | None) -> None:
    """Whether they may give out of what stands above. Of a budget that nothing stands above, only the city may."""
    if not covers(parent.area if parent is not None else BY_THE_CITY):
        raise problems.BUDGET_NOT_YOURS()
