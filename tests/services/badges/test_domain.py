"""Streaks, periods, places and levels, without a database."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from services.badges.domain import (
    Award,
    Deed,
    Measure,
    Reached,
    Rule,
    Standing,
    count_streaks,
    days_of,
    handle,
    in_force,
    is_signed,
    level_of,
    ranks,
    reached,
    signature,
)  # fmt: skip
from services.badges.picture import svg
from services.badges.store.boards import Score, ranked
from shared.kit.ids import new_id

DAY = date(2026, 3, 2)
START = datetime(2020, 1, 1, tzinfo=UTC)


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def counted(days: Iterable[int], since: int = -400, *former: Iterable[int]) -> Standing:
    """A rider's streaks of these days; `former`: what was counted before, one after the other."""
    standing = Standing(new_id(), 0, 0, 0, 0, None, None)
    for numbers in (*former, days):
        count_streaks(standing, [day(number) for number in numbers], day(since))
    return standing


def streaks(standing: Standing) -> tuple[int, date | None, int, date | None]:
    return standing.streak, standing.streak_on, standing.best_streak, standing.best_on


def test_streaks_end_where_a_day_is_missing() -> None:
    standing = counted((4, 0, 5, 2, 1))
    assert streaks(standing) == (2, day(5), 3, day(2)) and streaks(counted(())) == (0, None, 0, None)
    assert [standing.streak_at(day(5 + n)) for n in (0, 1, 2)] == [2, 2, 0]


@given(st.frozensets(st.integers(0, 30)), st.frozensets(st.integers(0, 30)))
def test_what_is_taken_back_leaves_the_streaks_as_if_it_had_never_been(
    days: frozenset[int], taken: frozenset[int]
) -> None:
    assert streaks(counted(days - taken, -400, days)) == streaks(counted(days - taken))


@given(st.frozensets(st.integers(0, 30)), st.integers(0, 30))
def test_days_that_have_left_the_tables_still_count(days: frozenset[int], since: int) -> None:
    swept = counted((number for number in days if number >= since), since, days)
    assert swept.streak == counted(days).streak and swept.best_streak == counted(days).best_streak


def test_any_order_of_movements_comes_to_the_same() -> None:
    for order in permutations((("held", DAY), ("posted", day(2)), ("held", day(1)), ("reversed", DAY))):
        deed = Deed(new_id(), new_id())
        for movement, on in order:
            deed.take(movement, on, 50, "suda", "G1")  # type: ignore[arg-type]  # a literal, as they are
        assert (deed.reported_on, deed.points, deed.credit) == (DAY, 50, None), order


def test_periods_begin_on_mondays_and_firsts() -> None:
    assert days_of("day", DAY) == (DAY, DAY)
    assert days_of("week", date(2026, 3, 8)) == (DAY, date(2026, 3, 8))
    assert days_of("month", date(2026, 12, 31)) == (date(2026, 12, 1), date(2026, 12, 31))
    assert days_of("month", date(2028, 2, 1)) == (date(2028, 2, 1), date(2028, 2, 29))


@given(st.lists(st.integers(1, 6), max_size=30))
def test_equal_points_have_an_equal_place(points: list[int]) -> None:
    scores = [Score(f"{n}", one) for n, one in enumerate(sorted(points, reverse=True))]
    places, _ = ranked(scores, 100, None)
    for one in places:
        assert one.place == 1 + sum(other > one.points for other in points)
        assert ranked(scores, 0, one.key) == ([], one), "also of one who is far behind those that are shown"


def test_the_newest_rule_that_has_begun_holds() -> None:
    old = Rule("r", 1, START, "badge", "甲", "A", "points", 5, True, "x")
    new = Rule("r", 2, START + timedelta(days=9), "badge", "甲", "A", "points", 9, True, "x")
    off = Rule("r", 3, START + timedelta(days=19), "badge", "甲", "A", "points", 9, False, "x")
    rules = [new, off, old]
    assert in_force(rules, START + timedelta(days=1)) == [old]
    assert in_force(rules, START + timedelta(days=9)) == [new]
    assert in_force(rules, START + timedelta(days=20)) == []


def test_the_highest_level_that_is_reached() -> None:
    levels = [Rule(f"l{n}", 1, START, "level", "甲", "A", "points", n * 100, True, "x") for n in range(3)]
    found = level_of(levels, Standing(new_id(), 199, 0, 0, 0, None, None))
    assert found is not None and found.code == "l1"


def test_a_levels_rank_is_its_place_among_those_that_not_everybody_has() -> None:
    def level(code: str, least: int, measure: Measure = "points") -> Rule:
        return Rule(code, 1, START, "level", "甲", "A", measure, least, True, "x")

    badge = Rule("b", 1, START, "badge", "甲", "A", "points", 5, True, "x")
    rules = [
        level("gold", 500),
        badge,
        level("new", 0),
        level("busy", 100),
        level("also", 100),
        level("days", 30, "streak"),
    ]
    assert ranks(rules) == {"new": 0, "days": 1, "also": 2, "busy": 3, "gold": 4}
    assert ranks([level("only", 1)]) == {"only": 1} and ranks([badge]) == {}
    rider = new_id()
    for points, streak, expected in (
        (0, 0, ("new", 0)),
        (99, 30, ("days", 1)),
        (100, 30, ("busy", 3)),
        (500, 0, ("gold", 4)),
    ):
        found = reached(rules, Standing(rider, points, 0, 0, streak, None, None))
        assert (found.code, found.rank) == expected
    assert reached([level("only", 1)], Standing(rider, 0, 0, 0, 0, None, None)) == Reached(rider, None, 0, None, None)


def test_a_handle_names_nobody_and_a_signature_is_ours() -> None:
    rider, award = new_id(), new_id()
    assert handle(b"a", rider) == handle(b"a", rider) != handle(b"a", new_id())
    assert handle(b"a", rider) != handle(b"b", rider), "only with the key can one say whose it is"
    keys = (b"new", b"old")
    assert is_signed(keys, award, signature(b"old", award)) and not is_signed(keys, award, signature(b"x", award))
    assert not is_signed(keys, new_id(), signature(b"new", award))


def test_a_picture_has_no_markup_of_others() -> None:
    award = Award(new_id(), new_id(), "points-1", "<script>", "a & b", START, False)
    drawn = svg(award, "<i>", ("本市", "<b>"), "2026-03-02", "0" * 32)
    assert "<script>" not in drawn and "<b>" not in drawn and "<i>" not in drawn and "no longer valid" in drawn
