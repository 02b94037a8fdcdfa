"""Budgets: never overspent by anybody, what waits is paid or refused, what isn't earned comes back."""

import asyncio
import multiprocessing
from collections import Counter
from datetime import date, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.points import metrics
from services.points.api import NEWEST
from services.points.earning import budgets
from services.points.earning.budget import Directory, Period
from services.points.earning.budgets import Giving
from services.points.earning.terms import Terms
from services.points.store import budgets as store
from services.points.store import ledger as entry_store
from services.points.store.budgets import Budget, Wanted
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.points.ledger import GAS, NOON, TERMS, Case, Ledger, caps, points_of, set_rules, suspicion
from tests.services.points.spending import spend
from tests.support import work_on

FULL = points_of(GAS)
CITY, DISTRICT, STREET = "330114", "330114001", "330114001001"
"""Without a map the national numbering says what lies in what."""
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
PROCESSES = 8
SQL_MAKE = """
INSERT INTO budgets (area, begins_on, ends_on, allocated, made_at) VALUES ($1, '2026-01-01', '2027-01-01', $2, now())
RETURNING id
"""
SQL_SUMS = """
SELECT b.id, b.spent, b.waiting,
       coalesce(sum(h.amount) FILTER (WHERE NOT h.waits AND h.state IN ('held', 'posted')), 0),
       coalesce(sum(h.amount) FILTER (WHERE h.waits), 0)
FROM budgets b LEFT JOIN holds h ON h.budget_id = b.id GROUP BY b.id
"""


async def make(ledger: Ledger, area: str, points: int, days: tuple[date, date] = YEAR, mine: str = "") -> Budget:
    async with work_on(ledger.pool) as work:
        covers = (lambda _: True) if not mine else (lambda area: area.startswith(mine))
        return await budgets.make(TERMS, work, area, *days, Giving(points, "boss", "new year"), covers)


async def allocate(ledger: Ledger, budget: Budget, points: int) -> Budget:
    async with work_on(ledger.pool) as work:
        return await budgets.allocate(work, budget.id, Giving(points, "boss", "top-up"), lambda _: True)


async def settle(ledger: Ledger) -> int:
    turns = 0
    while True:
        async with work_on(ledger.pool) as work:
            if not await budgets.settle(TERMS, work):
                return turns
        turns += 1


async def seen(ledger: Ledger, budget: Budget) -> Budget:
    """A budget as it is, once all budgets were compared with the holds that they pay."""
    async with ledger.pool.acquire() as conn:
        for _, spent, waiting, paid, waits in await conn.fetch(SQL_SUMS):
            assert (spent, waiting) == (paid, waits)
        found = await store.budget(conn, budget.id)
    assert found is not None
    await ledger.tallies()
    return found


def cases(n: int) -> list[Case]:
    return [Case(GAS, NOON) for _ in range(n)]


async def test_what_has_no_room_waits_visibly_and_is_paid_by_a_top_up(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 2 * FULL + 1)
    riders, opened = [new_id() for _ in range(4)], cases(4)
    await ledger.deliver(*(case.report(rider) for case, rider in zip(opened, riders, strict=True)))
    assert [(await ledger.movements(rider))[0] for rider in riders] == [
        ("held", FULL, None), ("held", FULL, None), ("held", FULL, "budget_waits"), ("held", FULL, "budget_waits"),
    ]  # fmt: skip
    await ledger.deliver(*(case.closed() for case in opened[:3]))
    assert [(await ledger.balances(rider))[:2] for rider in riders] == [(0, FULL), (0, FULL), (FULL, 0), (FULL, 0)]
    assert (await seen(ledger, budget)).waiting == 2 * FULL
    assert await settle(ledger) == 0, "there is room for no whole one"

    await allocate(ledger, budget, 2 * FULL - 1)
    assert await settle(ledger) == 1
    assert [(await ledger.balances(rider))[:2] for rider in riders] == [(0, FULL)] * 3 + [(FULL, 0)]
    await ledger.deliver(opened[3].closed())
    assert await ledger.balances(riders[3]) == (0, FULL, 0), "its case was open when the budget was filled"
    after = await seen(ledger, budget)
    assert (after.spent, after.waiting, after.room) == (4 * FULL, 0, 0)


async def test_what_waits_is_refused_with_a_reason(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 0)
    someone, first, later = new_id(), *cases(2)
    await ledger.deliver(first.report(someone), first.closed())
    async with work_on(ledger.pool) as work:
        await budgets.refuse(work, budget.id, "no money", "Wang", lambda _: True)
    await ledger.deliver(later.report(someone))
    assert await settle(ledger) == 1
    assert [one[::2] for one in await ledger.movements(someone)] == [
        ("held", "budget_waits"), ("held", "budget_waits"), ("voided", "budget_refused"),
    ]  # fmt: skip
    assert (await seen(ledger, budget)).waiting == FULL, "what came later waits"
    with pytest.raises(Refusal, match="budget"):
        async with work_on(ledger.pool) as work:
            await budgets.refuse(work, budget.id, "not mine", "Li", lambda _: False)


async def test_a_rider_reads_why_what_waited_was_refused_and_not_by_whom(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 0)
    early, late = new_id(), new_id()
    for rider, why in ((early, "没有预算"), (late, "本月已结束")):
        await ledger.deliver(Case(GAS, NOON).report(rider))
        async with work_on(ledger.pool) as work:
            await budgets.refuse(work, budget.id, why, "Wang", lambda _: True)
        assert await settle(ledger) == 1
    async with ledger.pool.acquire() as conn:
        shown = [(await entry_store.entries(conn, rider, NEWEST, 1))[0] for rider in (early, late)]
        assert await conn.fetchval("SELECT refuses_by FROM budgets") == "Wang"
    assert [(one.movement, one.reason) for one in shown] == [("voided", "budget_refused")] * 2
    words = [TERMS.why(one.rule, one.reason, one.said) for one in shown]
    assert words[0].zh.startswith("本期预算已用完，街道未追加：“没有预算”；依据规则")
    assert words[1].en.startswith("this period's budget is used up, and none was added: “本月已结束”; by the rule")


async def test_what_a_budget_lets_go_says_where_and_measures_no_delay(ledger: Ledger) -> None:
    """Where its case is now, as what never waited does; that it waited for an office is no delay of posting."""
    budget = await make(ledger, STREET, 0)
    riders, opened = [new_id() for _ in range(3)], cases(3)
    await ledger.deliver(*(case.report(rider) for case, rider in zip(opened, riders, strict=True)))
    await ledger.deliver(*(case.closed() for case in opened[:2]))
    async with ledger.work() as work:
        await work.conn.execute("UPDATE cases SET grid_code = '330114001001002' WHERE case_id = $1", opened[0].id)
    measured = metrics.TIME_TO_POSTED.collect()[0].samples
    await allocate(ledger, budget, 2 * FULL)
    await settle(ledger)
    async with work_on(ledger.pool) as work:
        await budgets.refuse(work, budget.id, "no money", "Wang", lambda _: True)
    await settle(ledger)
    last = [(await ledger.published(rider))[-1][1] for rider in riders]
    assert [(one.movement, one.grid_code) for one in last] == [
        ("posted", "330114001001002"), ("posted", "330114001001001"), ("voided", "330114001001001"),
    ]  # fmt: skip
    assert metrics.TIME_TO_POSTED.collect()[0].samples == measured


async def test_budgets_that_commit_in_another_order_than_they_began_are_all_known(ledger: Ledger) -> None:
    """The smaller id may come later."""
    terms = Terms(TERMS.catalogue, TERMS.zone)
    async with work_on(ledger.pool) as late:
        first = await store.make(late.conn, STREET, *YEAR, None, late.now)
        second = await make(ledger, "330114002", 1)
        assert first is not None and first < second.id
        async with ledger.pool.acquire() as conn:
            assert len((await terms.memory.read(conn)).budgets.periods) == 1
    async with ledger.pool.acquire() as conn:
        assert {one.id for one in (await terms.memory.read(conn)).budgets.periods} == {first, second.id}


async def test_what_is_not_earned_comes_back(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 3 * FULL)
    riders, opened = [new_id() for _ in range(4)], cases(4)
    await ledger.deliver(*(case.report(rider) for case, rider in zip(opened, riders, strict=True)))
    await ledger.deliver(opened[0].invalid(), opened[1].closed(), opened[3].invalid())
    await ledger.deliver(opened[1].invalid())
    after = await seen(ledger, budget)
    assert (after.spent, after.waiting, after.room) == (FULL, 0, 2 * FULL)
    void = Case(GAS, NOON)
    await ledger.deliver(void.report(new_id()), void.invalid())
    assert (await seen(ledger, budget)).spent == FULL, "promised and taken back in one batch"


async def test_what_was_farmed_comes_back_and_what_is_known_to_be_is_never_counted(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 2 * FULL)
    early, late, waits, known = cases(4)
    for case in (early, late, waits):
        await ledger.deliver(case.report(new_id()), suspicion(case, "raised"))
    await ledger.deliver(early.closed(), late.closed(), waits.closed())
    before = await seen(ledger, budget)
    assert (before.spent, before.waiting) == (2 * FULL, FULL)
    await ledger.deliver(suspicion(early, "confirmed", 2), suspicion(waits, "cleared", 2))
    assert await settle(ledger) == 1, "there is room for the one that waited"
    after = await seen(ledger, budget)
    assert (after.spent, after.waiting) == (2 * FULL, 0)
    assert await ledger.balances(waits.reports[0].rider_id) == (0, FULL, 0), "cleared and paid"
    assert await ledger.balances(late.reports[0].rider_id) == (FULL, 0, 0), "paid, and not decided yet"
    opened = known.report(new_id())
    await ledger.deliver(suspicion(late, "confirmed", 2), suspicion(known, "confirmed"))
    await ledger.deliver(opened)
    assert (await seen(ledger, budget)).spent == FULL


async def test_what_comes_first_is_paid_first(ledger: Ledger) -> None:
    """A smaller claim doesn't pass one that waits."""
    budget = await make(ledger, STREET, FULL)
    async with work_on(ledger.pool) as work:
        await set_rules(work.conn, caps(10**6, 10**6, 100))
    one, two = cases(2)
    await ledger.deliver(*(one.report(new_id()) for _ in range(2)))
    small = new_id()
    await ledger.deliver(two.report(small))
    await allocate(ledger, budget, FULL // 2)
    await settle(ledger)
    assert (await seen(ledger, budget)).waiting == FULL
    assert await ledger.balances(small) == (FULL, 0, 0)


async def test_a_street_draws_on_its_district_and_that_on_the_city(ledger: Ledger) -> None:
    city = await make(ledger, CITY, 1_000)
    district = await make(ledger, DISTRICT, 600)
    street = await make(ledger, STREET, 500)
    assert (district.parent_id, street.parent_id) == (city.id, district.id)
    with pytest.raises(Refusal) as short:
        await allocate(ledger, street, 101)
    assert (short.value.code, short.value.extras["left"]) == ("budget_short", 100)
    await allocate(ledger, street, 100)
    with pytest.raises(Refusal, match="less left"):
        await make(ledger, "330114002", 401)
    with pytest.raises(Refusal, match="less left"):
        await allocate(ledger, city, -500)
    await allocate(ledger, street, -600)
    assert [(await seen(ledger, one)).room for one in (city, district, street)] == [400, 600, 0]
    with pytest.raises(Refusal, match="for some of these days"):
        await make(ledger, STREET, 0, (date(2026, 12, 31), date(2027, 2, 1)))
    with pytest.raises(Refusal) as other:
        await make(ledger, "330114003", 1, mine=DISTRICT)
    assert other.value.code == "budget_not_yours"
    # the next year has no budget: nothing is asked of one
    someone = new_id()
    await ledger.deliver(Case(GAS, NOON - timedelta(days=300)).report(someone))
    assert (await ledger.movements(someone))[0] == ("held", FULL, None)


def test_the_nearest_budget_of_the_day_pays() -> None:
    may = (date(2026, 5, 1), date(2026, 6, 1))
    found = Directory((Period(1, CITY, *YEAR), Period(2, STREET, *may), Period(3, CITY, date(2027, 1, 1), YEAR[1])))
    line = (CITY, DISTRICT, STREET)
    assert [found.of(line, date(2026, month, 1)) for month in (4, 5, 6)] == [1, 2, 1]
    assert (found.of(("330199",), date(2026, 5, 1)), Directory(()).of(line, YEAR[0])) == (None, None)
    assert (found.covering(line, *may), found.covering(line, may[0], date(2026, 7, 1))) == (2, 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rooms=st.tuples(st.integers(0, 25), st.integers(0, 25)),
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), min_size=1, max_size=9), min_size=1, max_size=3
    ),
)
async def test_of_any_claims_a_prefix_is_paid_by_each_budget(
    ledger: Ledger, rooms: tuple[int, int], batches: list[list[tuple[int, int]]]
) -> None:
    """As a model says that asks for one claim after the other: up to the first that doesn't fit, also over batches."""
    paid, waiting = Counter[int](), Counter[int]()
    async with ledger.pool.acquire() as conn:
        undone = conn.transaction()
        await undone.start()
        ids = [await conn.fetchval(SQL_MAKE, area, room) for area, room in zip(("A", "B"), rooms, strict=True)]
        for batch in batches:
            claims = [Wanted(ids[budget], new_id(), amount) for budget, amount in batch]
            fitting = set()
            for budget, claim in zip((budget for budget, _ in batch), claims, strict=True):
                if waiting[budget] or paid[budget] + claim.amount > rooms[budget]:
                    waiting[budget] += claim.amount
                else:
                    paid[budget] += claim.amount
                    fitting.add(claim.hold_id)
            await store.lock(conn, ids)
            assert await store.charge(conn, claims) == fitting
        found = [await store.budget(conn, id_) for id_ in ids]
        assert [(one.spent, one.waiting) for one in found if one] == [(paid[n], waiting[n]) for n in (0, 1)]
        await undone.rollback()


async def test_the_statement_pays_as_the_model_does(ledger: Ledger) -> None:
    budget = await make(ledger, STREET, 100)
    wanted = [Wanted(budget.id, new_id(), amount) for amount in (40, 50, 20, 5)]
    async with ledger.pool.acquire() as conn:
        assert await store.charge(conn, wanted) == {one.hold_id for one in wanted[:2]}, "5 doesn't pass 20"
        found = await store.budget(conn, budget.id)
        assert found is not None and (found.spent, found.waiting) == (90, 25)
        assert await store.charge(conn, [Wanted(budget.id, new_id(), 1)]) == set()
        with pytest.raises(asyncpg.CheckViolationError, match="never_overspent"):
            await conn.execute("UPDATE budgets SET spent = allocated + 1 WHERE id = $1", budget.id)


async def test_eight_processes_never_overspend(ledger: Ledger, installation: Installation) -> None:
    one, two = await make(ledger, STREET, 777), await make(ledger, "330114002", 555)
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES) as processes:
        kept = await asyncio.to_thread(
            processes.starmap,
            spend,
            [(installation.dsn("points"), [one.id, two.id], seed) for seed in range(PROCESSES)],
        )
    async with ledger.pool.acquire() as conn:
        rows = [await store.budget(conn, budget.id) for budget in (one, two)]
    spent = [row.spent for row in rows if row]
    assert sum(spent) == sum(kept)
    assert all(row is not None and row.spent <= row.allocated and row.waiting == 0 for row in rows)
    assert sum(spent) > 1_000, "they met the limit"


async def test_reports_of_many_at_once_never_overspend(ledger: Ledger) -> None:
    """The whole way, on many connections: holds of the paid ones come to what the budget says."""
    budget = await make(ledger, STREET, 25 * FULL + 3)
    opened = cases(60)

    async def report(part: list[Case]) -> None:
        for case in part:
            await ledger.deliver(case.report(new_id()))
            await ledger.deliver(case.closed())

    await asyncio.gather(*(report(opened[n::PROCESSES]) for n in range(PROCESSES)))
    after = await seen(ledger, budget)
    assert (after.spent, after.waiting) == (25 * FULL, 35 * FULL)
    await allocate(ledger, budget, 100 * FULL)
    await asyncio.gather(*(settle(ledger) for _ in range(3)))
    after = await seen(ledger, budget)
    assert (after.spent, after.waiting) == (60 * FULL, 0)
    assert (await ledger.tallies())["posted"] == 60 * FULL
