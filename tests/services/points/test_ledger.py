"""Points of cases and redemptions on real Postgres."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from services.points.earning import setting
from services.points.store import ledger as store
from services.points.store.rules import SetHead
from shared.events.case_changed import CaseChanged
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.auth import Principal
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres import counters
from shared.kit.refusals import Refusal
from tests.services.points.ledger import (
    GAS,
    MANHOLE,
    NOON,
    WELL,
    Case,
    Ledger,
    caps,
    points_of,
    redemption,
    set_rules,
)
from tests.support import rider_is, work_on

GAS_POINTS = points_of(GAS)


async def test_a_report_is_held_and_posted_when_its_case_closes(ledger: Ledger) -> None:
    someone, case = new_id(), Case()
    await ledger.deliver(case.report(someone))
    assert await ledger.balances(someone) == (GAS_POINTS, 0, 0)
    await ledger.deliver(case.step("claimed", "claimed"), case.step("handled", "handled"), case.closed())
    assert await ledger.balances(someone) == (0, GAS_POINTS, 0)
    assert await ledger.movements(someone) == [("held", GAS_POINTS, None), ("posted", GAS_POINTS, None)]
    figures = await ledger.tallies()
    assert (figures["held"], figures["posted"], figures["entries"], figures["reports"]) == (
        GAS_POINTS,
        GAS_POINTS,
        2,
        1,
    )
    body = (await ledger.published(someone))[0][1]
    assert (body.case_id, body.grid_code, body.source) == (case.id, "330114001001001", "report")


async def test_the_whole_case_in_one_batch_gives_consecutive_versions(ledger: Ledger) -> None:
    someone, case = new_id(), Case()
    other = Case(MANHOLE)
    await ledger.deliver(case.report(someone), other.report(someone), case.closed(), other.invalid(), case.invalid())
    assert [one[0] for one in await ledger.movements(someone)] == ["held", "held", "posted", "voided", "reversed"]
    assert await ledger.balances(someone) == (0, 0, 0)
    await ledger.tallies()


async def test_events_delivered_again_change_nothing(ledger: Ledger) -> None:
    someone, case = new_id(), Case()
    events = [case.report(someone), case.report(new_id()), case.closed()]
    await ledger.deliver(*events)
    before = await ledger.tallies(), await ledger.movements(someone)
    await ledger.deliver(*events, *events)
    await ledger.deliver(events[2])
    assert (await ledger.tallies(), await ledger.movements(someone)) == before


async def test_a_report_heard_after_its_case_was_closed_is_posted_at_once(ledger: Ledger) -> None:
    someone, other, late, case = new_id(), new_id(), new_id(), Case()
    opened, attached, closed = case.report(someone), case.report(other), case.closed()
    reopened, again = case.step("reopened", "open"), case.report(late)
    await ledger.deliver(closed, reopened)
    await ledger.deliver(again, attached, opened)
    assert await ledger.balances(someone) == (0, GAS_POINTS, 0)
    assert await ledger.balances(other) == (0, GAS_POINTS // 2, 0)
    assert await ledger.balances(late) == (GAS_POINTS // 2, 0, 0), "it came after the case was opened again"
    await ledger.deliver(case.closed())
    assert await ledger.balances(late) == (0, GAS_POINTS // 2, 0)
    await ledger.tallies()


async def test_an_invalid_case_that_comes_first_leaves_nothing_to_hold(ledger: Ledger) -> None:
    someone, case = new_id(), Case()
    opened = case.report(someone)
    await ledger.deliver(case.invalid())
    await ledger.deliver(opened)
    assert await ledger.balances(someone) == (0, 0, 0)
    assert await ledger.movements(someone) == []
    await ledger.tallies()


async def test_co_reporters_share_and_a_rider_earns_once_a_case(ledger: Ledger) -> None:
    riders = [new_id() for _ in range(6)]
    case = Case()
    await ledger.deliver(*(case.report(one) for one in riders), case.report(riders[0]), case.report(riders[1]))
    half = GAS_POINTS // 2
    assert [(await ledger.balances(one))[0] for one in riders] == [GAS_POINTS, half, half, half, 0, 0]
    assert (await ledger.movements(riders[5]))[0] == ("refused", 0, "co_reporters_max")
    assert (await ledger.movements(riders[0]))[1] == ("refused", 0, "already_reported")
    await ledger.deliver(case.closed())
    figures = await ledger.tallies()
    assert (figures["posted"], figures["reports_refused"]) == (GAS_POINTS + 3 * half, 4)


async def test_caps_per_day_and_kind_refuse_with_a_reason(ledger: Ledger) -> None:
    someone = new_id()
    await ledger.deliver(*(Case(GAS).report(someone) for _ in range(4)))
    assert (await ledger.movements(someone))[3] == ("refused", GAS_POINTS, "points_per_day_max")
    await ledger.deliver(Case(GAS, NOON + timedelta(days=1)).report(someone))
    assert (await ledger.movements(someone))[4][0] == "held"
    busy = new_id()
    await ledger.deliver(*(Case(WELL).report(busy) for _ in range(6)))
    await ledger.deliver(*(Case(WELL).report(busy) for _ in range(6)))
    reasons = [reason for _, _, reason in await ledger.movements(busy)]
    assert reasons == [None] * 10 + ["kind_reports_per_day_max"] * 2
    await ledger.tallies()


async def test_rules_take_effect_at_their_instant(ledger: Ledger) -> None:
    async with work_on(ledger.pool) as work:
        await set_rules(work.conn, caps(5, 5, 0), NOON)
        head = SetHead(2, work.now + timedelta(days=1), "operator", "test", work.now)
        with pytest.raises(Refusal, match="Rules have changed"):
            await setting.add(work, head, caps(5, 5, 0))
    before, after = new_id(), new_id()
    await ledger.deliver(Case(GAS, NOON - timedelta(seconds=1)).report(before), Case(GAS, NOON).report(after))
    assert (await ledger.movements(before))[0][0] == "held"
    assert (await ledger.movements(after))[0][2] == "points_per_day_max"


async def test_an_unknown_kind_is_refused_and_its_neighbours_go_on(ledger: Ledger) -> None:
    someone = new_id()
    await ledger.deliver(Case("no-such-kind").report(someone), Case().report(someone))
    assert [r.code for r in ledger.rejections] == ["unknown_kind"]
    assert await ledger.balances(someone) == (GAS_POINTS, 0, 0)


async def _with_points(ledger: Ledger) -> tuple:
    someone, case = new_id(), Case()
    await ledger.deliver(case.report(someone), case.closed())
    return someone, case


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (("requested",), (0, 40, 60)),
        (("requested", "issued", "used"), (0, 40, 0)),
        (("requested", "issued", "expired"), (0, 100, 0)),
        (("requested", "cancelled", "used"), (0, 100, 0)),
        (("cancelled", "requested"), (0, 100, 0)),
        (("used", "requested"), (0, 40, 0)),
        (("requested", "issued", "used", "undone"), (0, 100, 0)),
        (("undone", "used", "requested"), (0, 100, 0)),
    ],
)
async def test_a_redemption_in_any_order(ledger: Ledger, steps: tuple[str, ...], left: tuple[int, int, int]) -> None:
    someone, _ = await _with_points(ledger)
    wish = new_id()
    for state in steps:
        await ledger.deliver(redemption(wish, someone, 60, state))
    assert await ledger.balances(someone) == left
    await ledger.deliver(*(redemption(wish, someone, 60, state) for state in steps))
    assert await ledger.balances(someone) == left
    await ledger.tallies()


async def test_more_than_available_and_inactive_riders_are_refused(ledger: Ledger) -> None:
    someone, _ = await _with_points(ledger)
    first, second, third = new_id(), new_id(), new_id()
    await ledger.deliver(redemption(first, someone, 60, "requested"), redemption(second, someone, 60, "requested"))
    assert [one[::2] for one in (await ledger.movements(someone))[2:]] == [
        ("held", None),
        ("refused", "insufficient_points"),
    ]
    await ledger.deliver(rider_is(someone, 5, active=False))
    await ledger.deliver(rider_is(someone, 4))
    await ledger.deliver(redemption(third, someone, 1, "requested"))
    assert (await ledger.movements(someone))[-1] == ("refused", -1, "rider_inactive")
    await ledger.tallies()


async def test_who_was_erased_spends_nothing_more(ledger: Ledger) -> None:
    someone, _ = await _with_points(ledger)
    await ledger.pool.execute(
        "INSERT INTO erased_riders (rider_id, number, erased_at) VALUES ($1, 'x', now())", someone
    )
    await ledger.deliver(redemption(new_id(), someone, 1, "requested"))
    assert (await ledger.movements(someone))[-1] == ("refused", -1, "rider_inactive")
    await ledger.tallies()


async def test_points_spent_before_a_reversal_are_written_off(ledger: Ledger) -> None:
    someone, case = await _with_points(ledger)
    wish = new_id()
    await ledger.deliver(redemption(wish, someone, 60, "requested"), redemption(wish, someone, 60, "used"))
    await ledger.deliver(case.step("reopened", "open"))
    assert await ledger.balances(someone) == (0, 40, 0)
    await ledger.deliver(case.invalid())
    assert await ledger.balances(someone) == (0, 0, 0)
    figures = await ledger.tallies()
    assert (figures["reversed"], figures["written_off"], figures["redeemed"]) == (100, 60, 60)


async def test_an_operator_reverses_a_report_once(ledger: Ledger) -> None:
    someone, case = await _with_points(ledger)
    hold_id = case.reports[0].report_id
    await ledger.reverse(hold_id)
    with pytest.raises(Refusal, match="Can't be reversed"):
        await ledger.reverse(hold_id)
    with pytest.raises(Refusal):
        await ledger.reverse(new_id())
    assert await ledger.balances(someone) == (0, 0, 0)
    assert (await ledger.movements(someone))[-1] == ("reversed", -GAS_POINTS, "wrong")


async def test_the_office_that_took_a_grid_over_reverses_what_was_earned_there(ledger: Ledger) -> None:
    someone, case = await _with_points(ledger)
    old = "330114001001001"
    tree = AreaTree.of(
        [KnownArea(old, "grid", ("330114",), False, ("N1",)), KnownArea("N1", "grid", ("330105",), True)]
    )
    offices = {code: Principal("operator", "o", areas=(code,), tree=tree) for code in ("330106", "330105")}
    hold_id = case.reports[0].report_id
    with pytest.raises(Refusal) as refused:
        await ledger.reverse(hold_id, offices["330106"].covers)
    assert refused.value.status == 404
    await ledger.reverse(hold_id, offices["330105"].covers)
    assert await ledger.balances(someone) == (0, 0, 0)


MOVES = {"claimed": "claimed", "redispatched": "open", "carried_over": "open"}
HERE, THERE = "330114001001001", "330105001001001"


def _at(grid: str, *steps: Event[CaseChanged]) -> list[Event[CaseChanged]]:
    for one in steps:
        one.data = one.data.model_copy(update={"grid_code": grid})
    return list(steps)


async def _who_may_reverse(ledger: Ledger, case: Case) -> list[str]:
    """Those of the two districts that find the hold of the case's first report, asked last to first."""
    tree = AreaTree.of([KnownArea(HERE, "grid", ("330114",), True), KnownArea(THERE, "grid", ("330105",), True)])
    able = []
    for code in ("330105", "330114"):
        status = 200
        try:
            await ledger.reverse(case.reports[0].report_id, Principal("operator", "o", areas=(code,), tree=tree).covers)
        except Refusal as problem:
            status = problem.status
        if status != 404:
            able.append(code)
    return able


@pytest.mark.parametrize("moved", MOVES)
@pytest.mark.parametrize("together", [True, False])
async def test_the_office_where_the_case_is_now_reverses_its_points(ledger: Ledger, moved: str, together: bool) -> None:
    someone, case = new_id(), Case()
    steps = [case.report(someone), *_at(THERE, case.step(moved, MOVES[moved]), case.closed())]
    for batch in [steps] if together else [[one] for one in steps]:
        await ledger.deliver(*batch)
    assert await _who_may_reverse(ledger, case) == ["330105"]
    body = (await ledger.published(someone))[-1][1]
    assert (body.movement, body.grid_code) == ("reversed", THERE), "whoever hears of it learns where the case is"


@pytest.mark.parametrize("together", [True, False])
async def test_a_step_that_is_heard_late_moves_no_case_back(ledger: Ledger, together: bool) -> None:
    _, case = await _with_points(ledger)
    away, back = (_at(grid, case.step("redispatched", "open")) for grid in (THERE, HERE))
    for batch in [back + away] if together else [back, away]:
        await ledger.deliver(*batch)
    assert await _who_may_reverse(ledger, case) == ["330114"]


async def test_a_case_that_moves_after_its_verdict_takes_its_points_along(ledger: Ledger) -> None:
    _, case = await _with_points(ledger)
    await ledger.deliver(*_at(THERE, case.step("reopened", "open"), case.step("redispatched", "open")))
    assert await _who_may_reverse(ledger, case) == ["330105"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM accounts",
        "DELETE FROM holds",
        "UPDATE rule_sets SET reason = ''",
        "DELETE FROM rule_rows",
        "UPDATE allocations SET points = 9",
        "DELETE FROM budgets",
        "DELETE FROM deeds",
    ],
)
async def test_the_services_own_role_cannot_change_history(ledger: Ledger, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ledger.pool.execute(statement)


async def test_a_hold_cannot_end_twice_even_past_the_code(ledger: Ledger) -> None:
    await _with_points(ledger)
    with pytest.raises(asyncpg.UniqueViolationError, match="entries_hold_step_once"):
        await ledger.pool.execute(
            """INSERT INTO entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account,
                                    amount, made_at)
               SELECT rider_id, version + 1, line, entry_id, hold_id, 'voided', 'pending', 'issuance', amount, made_at
               FROM entries WHERE movement = 'posted'"""
        )


async def test_the_imbalance_is_seen(ledger: Ledger) -> None:
    await _with_points(ledger)
    await ledger.pool.execute("UPDATE accounts SET available = available + 1")
    async with ledger.pool.acquire() as conn:
        figures = await store.tallies(conn)
        found = await counters.differences(conn)
    assert figures["ledger_sum"] == 1
    assert [(one.what, one.label, one.counted) for one in found] == [("unexplained", "accounts", 1)]


async def test_many_processes_at_once_conserve_value(ledger: Ledger) -> None:
    dice = random.Random(7)
    riders = [new_id() for _ in range(6)]
    cases = [Case(dice.choice((GAS, MANHOLE)), NOON + timedelta(days=n % 9)) for n in range(60)]
    events = []
    for case in cases:
        for one in dice.sample(riders, 3):
            events.append(case.report(one))
        events.append(case.closed() if dice.random() < 0.7 else case.invalid())
    for _ in range(120):
        wish, one = new_id(), dice.choice(riders)
        events += [redemption(wish, one, 30, "requested"), redemption(wish, one, 30, dice.choice(("used", "expired")))]

    async def process(seed: int) -> None:
        mine = [e for e in events if random.Random(seed).random() < 2]
        random.Random(seed).shuffle(mine)
        for at in range(0, len(mine), 40):
            await ledger.deliver(*mine[at : at + 40])

    await asyncio.gather(*(process(seed) for seed in range(6)))
    figures = await ledger.tallies()
    assert figures["holds_open"] == 0
    for one in riders:
        await ledger.movements(one)


async def test_entries_are_paged_newest_first(ledger: Ledger) -> None:
    someone = new_id()
    for _ in range(3):
        case = Case(MANHOLE)
        await ledger.deliver(case.report(someone), case.closed())
    async with ledger.pool.acquire() as conn:
        first = await store.entries(conn, someone, (2**62, 0), 4)
        rest = await store.entries(conn, someone, (first[-1].version, first[-1].line), 4)
    assert [entry.version for entry in [*first, *rest]] == [6, 5, 4, 3, 2, 1]
    assert first[0].movement == "posted" and first[0].to_account == "available"
