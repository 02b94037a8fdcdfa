"""A verdict on a crowded case: settled in shares, each hold once, whatever comes between."""

import asyncio
from uuid import UUID

import pytest

from services.points.usecases import cases
from shared.kit.ids import new_id
from tests.services.points.ledger import GAS, TERMS, Case, Ledger, caps, points_of, set_rules
from tests.support import work_on

FULL, HALF = points_of(GAS), points_of(GAS) // 2
CROWD = 70
SHARE = 20


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "SETTLED_PER_TRANSACTION", SHARE)


async def generous(ledger: Ledger) -> None:
    """All co-reporters earn, on any day."""
    async with work_on(ledger.pool) as work:
        await set_rules(work.conn, caps(10**6, 10**6, 10**6))


async def share(ledger: Ledger, fail: bool = False) -> bool:
    """One transaction of the settlement, as the service's background work runs it."""
    async with ledger.pool.acquire() as conn, conn.transaction():
        async with work_on(conn) as work:
            more = await cases.settle(TERMS, work)
        if fail:
            raise ConnectionError("killed before the commit")
        return more


async def crowd(ledger: Ledger) -> tuple[Case, list[UUID]]:
    case, riders = Case(), [new_id() for _ in range(CROWD)]
    await ledger.deliver(*(case.report(rider) for rider in riders))
    return case, riders


async def totals(ledger: Ledger, riders: list[UUID]) -> tuple[int, int]:
    found = [await ledger.balances(rider) for rider in riders]
    return sum(pending for pending, _, _ in found), sum(available for _, available, _ in found)


async def test_a_crowd_is_paid_in_shares_and_goes_on_after_a_kill(ledger: Ledger) -> None:
    await generous(ledger)
    case, riders = await crowd(ledger)
    due = FULL + (CROWD - 1) * HALF
    assert await totals(ledger, riders) == (due, 0)
    await ledger.deliver(case.closed())
    assert await totals(ledger, riders) == (due, 0), "nothing is posted with the event itself"
    paid = []
    for turn in range(20):
        if turn % 2 == 0:
            with pytest.raises(ConnectionError):
                await share(ledger, fail=True)
        before = len(await ledger.published())
        if not await share(ledger):
            break
        paid.append(len(await ledger.published()) - before)
    assert paid == [20, 20, 20, 10]
    assert await totals(ledger, riders) == (0, due)
    assert {tuple(one[0] for one in await ledger.movements(rider)) for rider in riders} == {("held", "posted")}
    assert (await ledger.tallies())["holds_open"] == 0
    assert await ledger.pool.fetchval("SELECT count(*) FROM settlements") == 0


async def test_several_processes_pay_each_rider_once(ledger: Ledger) -> None:
    await generous(ledger)
    crowds = [await crowd(ledger) for _ in range(3)]
    await ledger.deliver(*(case.closed() for case, _ in crowds))

    async def process() -> None:
        while await share(ledger):
            pass

    await asyncio.gather(*(process() for _ in range(4)))
    await process()
    for _, riders in crowds:
        assert {tuple(one[0] for one in await ledger.movements(rider)) for rider in riders} == {("held", "posted")}
    await ledger.tallies()


async def test_reopened_and_invalid_while_the_close_is_being_settled(ledger: Ledger) -> None:
    await generous(ledger)
    case, riders = await crowd(ledger)
    late = new_id()
    await ledger.deliver(case.closed())
    assert await share(ledger)
    await ledger.deliver(case.step("reopened", "open"), case.report(late))
    assert await share(ledger)
    assert await ledger.balances(late) == (HALF, 0, 0), "the close doesn't pay who reported after it"
    await ledger.deliver(case.invalid())
    while await share(ledger):
        pass
    assert await totals(ledger, [*riders, late]) == (0, 0)
    ways = [tuple(one[0] for one in await ledger.movements(rider)) for rider in riders]
    assert ways == [("held", "posted", "reversed")] * 40 + [("held", "voided")] * 30
    assert [one[0] for one in await ledger.movements(late)] == ["held", "voided"]
    figures = await ledger.tallies()
    assert (figures["holds_open"], figures["written_off"]) == (0, 0)


async def test_the_close_pays_nobody_who_reported_after_it(ledger: Ledger) -> None:
    await generous(ledger)
    case, riders = await crowd(ledger)
    late = [new_id() for _ in range(3)]
    await ledger.deliver(case.closed(), case.step("reopened", "open"), *(case.report(rider) for rider in late))
    while await share(ledger):
        pass
    assert await totals(ledger, riders) == (0, FULL + (CROWD - 1) * HALF)
    assert await totals(ledger, late) == (3 * HALF, 0)
    await ledger.deliver(case.closed())
    while await share(ledger):
        pass
    assert await totals(ledger, late) == (0, 3 * HALF)
    await ledger.tallies()


async def test_a_second_verdict_waits_for_the_settlement_before_it(ledger: Ledger) -> None:
    """Closed as a crowd, then invalid at once: nothing is posted only to be taken back."""
    await generous(ledger)
    case, riders = await crowd(ledger)
    await ledger.deliver(case.closed())
    await ledger.deliver(case.invalid())
    rows = await ledger.pool.fetch("SELECT act FROM settlements ORDER BY case_version")
    assert [row["act"] for row in rows] == ["post", "void"]
    while await share(ledger):
        pass
    assert {tuple(one[0] for one in await ledger.movements(rider)) for rider in riders} == {("held", "voided")}
    await ledger.tallies()


async def test_of_a_crowd_only_those_who_earn_are_settled_and_the_rest_know_why(ledger: Ledger) -> None:
    case, riders = await crowd(ledger)
    await ledger.deliver(case.closed())
    assert await totals(ledger, riders) == (0, FULL + 3 * HALF)
    assert not await share(ledger), "four holds are settled with the event"
    movements = [await ledger.movements(rider) for rider in riders]
    assert [one[-1] for one in movements[:4]] == [("posted", FULL, None)] + [("posted", HALF, None)] * 3
    assert {tuple(one) for one in movements[4:]} == {(("refused", 0, "co_reporters_max"),)}
