"""What other rules would have paid, from what is kept of what happened."""

from datetime import date

import pytest

from services.points.earning import rehearsing
from services.points.earning.rows import RuleRow
from services.points.earning.rules import RuleSet
from shared.events.common import AreaLevel
from shared.kit.ids import new_id
from tests.services.points.ledger import GAS, MANHOLE, NOON, TERMS, Case, Ledger, caps, deed, points_of, tamper
from tests.support import owner_of

FULL = points_of(GAS)
MARCH = (date(2026, 3, 1), date(2026, 4, 1))
SQL_THEN = "UPDATE holds SET made_at = happened_at WHERE source <> 'redemption'"


async def rehearse(ledger: Ledger, *rows: RuleRow, level: AreaLevel = "street") -> tuple[rehearsing.DryRun, int, int]:
    run = await rehearsing.rehearse(TERMS, ledger.pool, RuleSet(9, NOON, rows), MARCH, level)
    return run, sum(one.was for one in run.sums.values()), sum(one.would for one in run.sums.values())


@pytest.fixture
async def month(ledger: Ledger, installation) -> Ledger:
    """A month in which much was reported: capped, repeated, shared, invalid, reversed, and a deed."""
    one, two = new_id(), new_id()
    several = [Case(GAS) for _ in range(6)]
    shared, void, wrong = Case(MANHOLE), Case(MANHOLE), Case(MANHOLE)
    await ledger.deliver(*(case.report(one) for case in several), *(case.closed() for case in several))
    await ledger.deliver(shared.report(one), shared.report(two), shared.report(two), shared.closed())
    await ledger.deliver(void.report(two), void.invalid())
    await ledger.deliver(wrong.report(two), wrong.closed())
    await ledger.reverse(wrong.reports[0].report_id)
    await ledger.deliver(deed(one, done_at=NOON))  # too long ago: no rule would pay it
    async with owner_of(installation, "points") as owner:
        await tamper(owner, SQL_THEN)  # the tests' days are long ago
    return ledger


async def test_the_rules_that_held_would_pay_what_they_paid(month: Ledger) -> None:
    run, was, would = await rehearse(month, *caps(300, 10, 3))
    assert was == would == 3 * FULL + points_of(MANHOLE) // 2
    assert all(before == after for before, after in run.riders.values())
    assert {area for area, _ in run.sums} == {"330114001"}


async def test_other_rules_would_pay_other_riders_and_kinds(month: Ledger) -> None:
    rows = [
        RuleRow("gas", 1, "award", "report", kind=GAS, points=40, co_max=3, zh="燃气", en="gas"),
        RuleRow("task", 2, "award", "deed", action="volunteer-task", points=20, zh="志愿", en="task"),
    ]
    run, was, would = await rehearse(month, *rows, level="district")
    assert (was, would) == (3 * FULL + points_of(MANHOLE) // 2, 6 * 40)
    found = {key: (one.n, len(one.riders), one.was, one.would) for key, one in run.sums.items()}
    assert found["330114", GAS] == (6, 1, 3 * FULL, 240)
    assert found["330114", MANHOLE] == (3, 2, points_of(MANHOLE) // 2, 0)
    assert len(run.riders) == 2


async def test_caps_are_applied_in_the_order_of_what_was_heard(month: Ledger) -> None:
    rows = [
        RuleRow("gas", 1, "award", "report", points=40, co_max=0, zh="燃气", en="gas"),
        RuleRow("week", 2, "cap", "", per="week", points_max=100, zh="每周", en="a week"),
    ]
    _, _, would = await rehearse(month, *rows)
    assert would == 80


def test_last_month_is_a_whole_one() -> None:
    assert rehearsing.last_month(date(2026, 3, 31)) == (date(2026, 2, 1), date(2026, 3, 1))
    assert rehearsing.last_month(date(2026, 1, 1)) == (date(2025, 12, 1), date(2026, 1, 1))
