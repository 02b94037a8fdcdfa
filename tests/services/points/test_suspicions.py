"""Points of a report under suspicion: they wait, go on or are taken, whichever is heard first."""

import asyncio
from datetime import date
from itertools import permutations

import pytest

from services.points.earning import budgets
from services.points.earning.budgets import Giving
from services.points.store import budgets as budget_store
from services.points.store.ledger import LedgerConflict
from services.points.usecases import cases
from shared.kit.ids import new_id
from tests.services.points.ledger import GAS, TERMS, Case, Ledger, points_of, redemption, suspicion
from tests.support import until, work_on

FULL, HALF = points_of(GAS), points_of(GAS) // 2
SQL_BEHIND = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"


async def test_what_is_raised_is_not_posted_by_its_case_until_it_is_cleared(ledger: Ledger) -> None:
    someone, other, case = new_id(), new_id(), Case()
    await ledger.deliver(case.report(someone), case.report(other), suspicion(case, "raised"))
    await ledger.deliver(case.closed())
    assert await ledger.balances(someone) == (FULL, 0, 0), "it waits"
    assert await ledger.balances(other) == (0, HALF, 0), "nobody suspects the second reporter"
    await ledger.deliver(suspicion(case, "cleared", 2))
    assert await ledger.balances(someone) == (0, FULL, 0)
    await ledger.tallies()


async def test_what_is_confirmed_is_voided_or_taken_back_with_the_reason(ledger: Ledger) -> None:
    early, late, case, other = new_id(), new_id(), Case(), Case()
    await ledger.deliver(case.report(early), suspicion(case, "raised"))
    await ledger.deliver(suspicion(case, "confirmed", 2), case.closed())
    assert await ledger.movements(early) == [("held", FULL, None), ("voided", -FULL, "not_genuine")]
    await ledger.deliver(other.report(late), other.closed())
    await ledger.deliver(redemption(new_id(), late, FULL - 1, "requested"))
    await ledger.deliver(suspicion(other, "raised"), suspicion(other, "confirmed", 2))
    assert (await ledger.movements(late))[-1] == ("reversed", -FULL, "not_genuine")
    assert await ledger.balances(late) == (0, 0, FULL - 1), "what they have spent is written off, not owed"
    await ledger.tallies()


@pytest.mark.parametrize("outcome", ["cleared", "confirmed"])
async def test_any_order_ends_alike_and_again_changes_nothing(ledger: Ledger, outcome: str) -> None:
    for order in permutations(range(4)):
        someone, case = new_id(), Case()
        opened, closed = case.report(someone), case.closed()
        events = [opened, closed, suspicion(case, "raised"), suspicion(case, outcome, 2)]
        for place in order:
            await ledger.deliver(events[place])
        expected = (0, FULL, 0) if outcome == "cleared" else (0, 0, 0)
        assert await ledger.balances(someone) == expected, (order, await ledger.movements(someone))
        before = await ledger.movements(someone)
        for event in (*events, *reversed(events)):
            await ledger.deliver(event)
        assert await ledger.movements(someone) == before, order
    await ledger.tallies()


async def test_a_cleared_report_of_an_invalid_case_earns_nothing(ledger: Ledger) -> None:
    someone, case = new_id(), Case()
    await ledger.deliver(case.report(someone), suspicion(case, "raised"))
    await ledger.deliver(case.closed(), case.step("reopened", "open"), case.invalid())
    await ledger.deliver(suspicion(case, "cleared", 2))
    assert await ledger.balances(someone) == (0, 0, 0)
    assert (await ledger.movements(someone))[-1] == ("voided", -FULL, "case_invalid")
    await ledger.tallies()


async def test_a_crowd_is_settled_around_the_one_that_waits(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "SETTLED_AT_ONCE_MAX", 1)
    first, second, case = new_id(), new_id(), Case()
    await ledger.deliver(case.report(first), case.report(second), suspicion(case, "raised"))
    await ledger.deliver(case.closed())
    async with work_on(ledger.pool) as work:
        assert await cases.settle(TERMS, work)
    assert (await ledger.balances(first), await ledger.balances(second)) == ((FULL, 0, 0), (0, HALF, 0))
    await ledger.deliver(suspicion(case, "cleared", 2))
    assert await ledger.balances(first) == (0, FULL, 0)
    await ledger.tallies()


async def test_a_decision_while_its_report_is_heard_begins_again_and_locks_the_budget_first(ledger: Ledger) -> None:
    """Budgets come before accounts: of one that was seen behind an account's lock nothing is taken."""
    async with work_on(ledger.pool) as work:
        days, giving = (date(2026, 1, 1), date(2027, 1, 1)), Giving(10 * FULL, "boss", "new year")
        budget = await budgets.make(TERMS, work, "330114001001", *days, giving, lambda _: True)
    someone, case = new_id(), Case()
    opened = case.report(someone)
    async with work_on(ledger.pool) as work:
        await cases.follow_cases(TERMS, work, [opened])
        pid = await work.conn.fetchval("SELECT pg_backend_pid()")
        deciding = asyncio.create_task(ledger.deliver(suspicion(case, "confirmed")))
        await until(lambda: ledger.pool.fetch(SQL_BEHIND, pid), "who waits for the account")
    with pytest.raises(LedgerConflict):
        await deciding
    assert await ledger.balances(someone) == (FULL, 0, 0)
    await ledger.deliver(suspicion(case, "confirmed"))
    assert await ledger.balances(someone) == (0, 0, 0)
    async with ledger.pool.acquire() as conn:
        found = await budget_store.budget(conn, budget.id)
    assert found is not None and found.spent == 0
    await ledger.tallies()


async def test_a_decision_and_the_end_of_the_case_at_once_leave_nothing_behind(ledger: Ledger) -> None:
    """Whichever has the account first, the other sees what it did."""
    for _ in range(30):
        someone, case = new_id(), Case()
        await ledger.deliver(case.report(someone), suspicion(case, "raised"))
        await asyncio.gather(ledger.deliver(case.closed()), ledger.deliver(suspicion(case, "cleared", 2)))
        assert await ledger.balances(someone) == (0, FULL, 0)
    await ledger.tallies()
