"""What a comparison of an empty and an aged suite comes to, and what the page says of it."""

from dataclasses import replace

import pytest

from shared.devtools.aged.ground import Ground
from shared.devtools.bench.asking import Asked, Rush
from shared.devtools.bench.third_year import Comparison, Side
from shared.devtools.capacity.third_year import section

GROUND = Ground(5_000_000, "2026-04-01T00:00:00+00:00", 600.0)
STATEMENT = {
    "service": "cases", "statement": "SELECT a | b", "calls": 7, "max_ms": 12.3, "mean_ms": 1.2, "max_ms_at_0": None,
    "mean_ms_at_0": 1.1, "own_ms": 10.4, "too_long": False,
}  # fmt: skip


def side(*turns: float, p99_ms: float = 9.0) -> Side:
    asked = [Asked("tracking", "/city", 5.0, p99_ms), Asked("cases", "/ops/cases/status", 4.0, 80.0)]
    return Side([{"cases": us, "postgres": 100.0} for us in turns], [900.0] * len(turns), asked, Rush(200, 1, 31.0))


@pytest.fixture
def found() -> Comparison:
    return Comparison(GROUND, side(200, 900), side(300, 220), [STATEMENT])


def test_the_cheapest_turns_are_compared(found: Comparison) -> None:
    assert found.empty.cost == {"cases": 200.0, "postgres": 100.0}
    assert found.dearer == pytest.approx(20 / 300)
    assert found.good


@pytest.mark.parametrize(
    "bad",
    [
        {"aged": side(300, 250)},
        {"statements": [{**STATEMENT, "too_long": True}]},
        {"aged": side(200, 200, p99_ms=50.1)},
        {"reconciled": False},
    ],
    ids=["an event costs more", "a statement is slow", "a page is slow", "events are lost"],
)
def test_each_goal_is_one(found: Comparison, bad: dict[str, object]) -> None:
    assert not replace(found, **bad).good  # type: ignore[arg-type]  # fields by name


def test_the_page_has_both_sides(found: Comparison) -> None:
    page = section(found.facts())
    assert "| cases | 200 | 220 |" in page and "+6.7%" in page
    assert "| tracking | `/city` | 5.0 | 5.0 | 1.00 | 9.0 | 9.0 |" in page
    assert "80.0 ms at most (cases /ops/cases/status)" in page
    assert "cause 1 reading of the database" in page
    assert "| cases | – | 12.3 | 10.4 | 1.1 | 1.2 | 7 | `SELECT a \\| b` |" in page
