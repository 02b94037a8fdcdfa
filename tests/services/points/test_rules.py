"""Which rule is the nearest, what it gives, and what caps leave of it."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.points.domain import Account, Book, Claim, DayUse
from services.points.earning import files, judging, rules
from services.points.earning.judging import Judgement
from services.points.earning.rows import RuleRow, faults_of
from services.points.earning.rules import Asked, RuleBook, RuleSet, over_cap
from services.points.earning.words import REASONS, why
from shared.catalog import Catalogue
from shared.kit.ids import new_id
from tests.services.points.ledger import caps

START = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 5, 6, 4, tzinfo=UTC)
DAY = date(2026, 5, 6)
ZONE = ZoneInfo("Asia/Shanghai")
LINE = ("330114", "330114001", "330114001001", "330114001001001")
SHIPPED = RuleSet(1, START, tuple(caps(300, 10, 3)))
EXAMPLES = Path(__file__).parents[3] / "examples/rules"
CATALOGUE = Catalogue.load()


def award(name: str, line: int = 1, **values: Any) -> RuleRow:
    usual: dict[str, Any] = {"sort": "award", "source": "report", "co_max": 3, "zh": name, "en": name}
    return RuleRow(name, line, **(usual | values))


def rule_set(*rows: RuleRow, version: int = 1) -> RuleSet:
    return RuleSet(version, START, rows)


def report(**values: Any) -> Asked:
    usual: dict[str, Any] = {
        "source": "report", "line": LINE, "what": "local-gas-smell", "at": NOON, "on": DAY, "grid": LINE[-1],
        "level": "emergency", "role": rules.reporter(values.get("ordinal", 1)), "points": 51, "co_percent": 50,
    }  # fmt: skip
    return Asked(**(usual | values))


def deed(**values: Any) -> Asked:
    return Asked(**({"source": "deed", "line": LINE, "what": "volunteer-task", "at": NOON, "on": DAY} | values))


@pytest.mark.parametrize(
    ("ordinal", "repeated", "expected"),
    [
        (1, False, (51, None)),
        (2, False, (25, None)),
        (4, False, (25, None)),
        (5, False, (0, "co_reporters_max")),
        (1, True, (0, "already_reported")),
        (5, True, (0, "already_reported")),
    ],
)
def test_shares_of_a_case_by_the_shipped_rules(ordinal: int, repeated: bool, expected: tuple[int, str | None]) -> None:
    found = SHIPPED.judge(report(ordinal=ordinal, repeated=repeated))
    assert ((found.amount, found.refusal), found.rule) == (expected, "1/catalogue")


def test_a_kind_without_points_says_so() -> None:
    assert SHIPPED.judge(report(points=0)).refusal == "no_points"
    assert SHIPPED.judge(report(points=1, ordinal=2)).refusal == "no_points"


def test_the_nearest_area_wins_and_in_one_area_what_says_more() -> None:
    rows = [
        award("city", points=10),
        award("district-any", 2, area="330114", points=20),
        award("district-kind", 3, area="330114", kind="local-gas-smell", points=30),
        award("street-level", 4, area="330114001", level="emergency", points=40),
        award("elsewhere", 5, area="330115", points=90),
    ]
    assert rule_set(*rows).judge(report()).rule == "1/street-level"
    assert rule_set(*rows).judge(report(level="routine")).rule == "1/district-kind"
    assert rule_set(*rows).judge(report(level="routine", what="part-01001")).rule == "1/district-any"
    assert rule_set(*rows).judge(report(line=("330199",))).rule == "1/city"
    assert rule_set(*rows).judge(report(line=("330115", "330115001"))).amount == 90


def test_first_and_co_reporters_may_have_rules_of_their_own() -> None:
    found = rule_set(award("first", role="first", points=100), award("co", 2, role="co", points=15, co_max=1))
    assert [found.judge(report(ordinal=n)).amount for n in (1, 2, 3)] == [100, 15, 0]


def test_a_deed_earns_by_action_role_outcome_and_quantity() -> None:
    found = rule_set(
        award("task", source="deed", action="volunteer-task", points=20, co_max=None),
        award("captain", 2, source="deed", action="volunteer-task", role="captain", points=30, co_max=None),
        award("passed", 3, source="deed", action="course", outcome="passed", points=10, co_max=None),
    )
    assert found.judge(deed(quantity=3)).amount == 60
    assert found.judge(deed(role="captain")).amount == 30
    assert found.judge(deed(what="course", outcome="passed")).amount == 10
    assert found.judge(deed(what="course", outcome="failed")).refusal == "unknown_action"
    assert found.judge(deed(what="night-patrol")).refusal == "unknown_action"
    assert found.judge(report()).refusal == "no_points", "a rule for deeds is none for reports"


def test_a_campaign_multiplies_until_it_ends() -> None:
    may = RuleRow(
        "may", 2, "campaign", "report", level="emergency", percent=200, begins_at=NOON - timedelta(days=5),
        ends_at=NOON + timedelta(days=1), zh="五月", en="May",
    )  # fmt: skip
    found = rule_set(award("all", points=50), may)
    assert (found.judge(report()).amount, found.judge(report()).rule) == (100, "1/all+may")
    assert found.judge(report(at=may.ends_at)).amount == 50
    assert found.judge(report(at=NOON - timedelta(days=6))).amount == 50
    assert found.judge(report(level="routine")).rule == "1/all"


def test_what_happened_is_judged_by_the_set_of_its_day() -> None:
    later = RuleSet(2, NOON, tuple(caps(1, 1, 1)))
    book = RuleBook((SHIPPED, later))
    assert book.at(NOON - timedelta(seconds=1)) is SHIPPED
    assert book.at(NOON) is later
    assert book.at(START - timedelta(days=1)) is SHIPPED, "the first one also covers all before"


def cap(name: str, line: int = 9, **values: Any) -> RuleRow:
    return RuleRow(name, line, **({"sort": "cap", "per": "day", "zh": name, "en": name} | values))


def used(*made: tuple[date, str, str, int, int]) -> dict[date, DayUse]:
    found: dict[date, DayUse] = {}
    for day, kind, grid, points, n in made:
        found.setdefault(day, DayUse()).made[kind, grid] = (points, n)
    return found


MONDAY, GAS, GRID = DAY - timedelta(days=2), "local-gas-smell", LINE[-1]


@pytest.mark.parametrize(
    ("row", "uses", "code"),
    [
        (cap("d", points_max=100), used((DAY, "part-1", "", 50, 1)), "points_per_day_max"),
        (cap("d", points_max=101), used((DAY, "part-1", "", 50, 1)), None),
        (cap("d", points_max=100), used((MONDAY, "part-1", "", 50, 1)), None),
        (cap("w", per="week", points_max=100), used((MONDAY, "part-1", "", 50, 1)), "points_per_week_max"),
        (cap("w", per="week", points_max=100), used((MONDAY - timedelta(days=1), "part-1", "", 50, 1)), None),
        (cap("k", each="kind", count_max=2, source="report"), used((DAY, GAS, "x", 1, 2)), "kind_reports_per_day_max"),
        (cap("k", each="kind", count_max=2), used((DAY, "part-1", GRID, 1, 2)), None),
        (cap("g", each="grid", count_max=2), used((DAY, "part-1", GRID, 1, 2)), "grid_times_per_day_max"),
        (cap("g", each="grid", count_max=2), used((DAY, GAS, "x", 1, 2)), None),
        (cap("one", source="report", kind=GAS, points_max=60), used((DAY, GAS, "x", 10, 1)), "kind_points_per_day_max"),
        (cap("one", source="report", kind="part-1", count_max=0), used(), None),
        (cap("deeds", source="deed", count_max=0), used(), None),
        (cap("mine", source="report", count_max=1), used((DAY, "deed/course", "", 1, 1)), None),
        (cap("all", count_max=1), used((DAY, "deed/course", "", 1, 1)), "times_per_day_max"),
        (cap("there", area="330115", count_max=0), used(), None),
        (cap("past", count_max=0, ends_at=NOON), used(), None),
    ],
)  # fmt: skip
def test_caps_count_what_they_are_for(row: RuleRow, uses: dict[date, DayUse], code: str | None) -> None:
    found = over_cap(rule_set(row), report(), 51, uses)
    assert (rules.cap_code(found) if found else None) == code
    assert code is None or code in REASONS


def test_a_nearer_cap_of_the_same_measure_replaces_the_farther_one() -> None:
    near = cap("near", area="330114", points_max=1_000)
    uses = used((DAY, GAS, "", 200, 1))
    assert over_cap(rule_set(cap("far", points_max=100)), report(), 51, uses) is not None
    assert over_cap(rule_set(cap("far", points_max=100), near), report(), 51, uses) is None
    assert over_cap(rule_set(cap("far", points_max=100), near), report(line=("330115",)), 51, uses) is not None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claims=st.lists(
        st.tuples(
            st.integers(0, 1), st.sampled_from([GAS, "part-1"]), st.sampled_from(["g1", "g2"]), st.integers(0, 13),
            st.integers(1, 60), st.sampled_from(["report", "deed"]),
        ),
        max_size=60,
    ),
    day_max=st.integers(0, 200), kind_max=st.integers(0, 4), week_max=st.integers(0, 400), grid_max=st.integers(0, 5),
)  # fmt: skip
def test_no_order_of_claims_gets_more_than_the_caps_allow(
    claims: list[tuple[int, str, str, int, int, Any]], day_max: int, kind_max: int, week_max: int, grid_max: int
) -> None:
    riders = [new_id(), new_id()]
    judge = rule_set(
        cap("day", points_max=day_max), cap("kind", 2, each="kind", count_max=kind_max, source="report"),
        cap("week", 3, per="week", points_max=week_max), cap("grid", 4, per="week", each="grid", count_max=grid_max),
    )  # fmt: skip
    book = Book({rider: Account(rider) for rider in riders}, {}, {})
    given_out: list[tuple[UUID, date, str, str, int, str]] = []
    for who, what, grid, day, amount, source in claims:
        on = MONDAY + timedelta(days=day)
        asked = report(source=source, what=what, grid=grid, on=on, at=NOON)
        claim = Claim(new_id(), riders[who], None, what, amount, on, None, None, None, None, source)
        if judging.cap(book, Judgement(claim, asked, judge)):
            given_out.append((riders[who], on, what, grid, amount, source))
        else:
            assert claim.refusal in REASONS and claim.rule is not None
    points_day, points_week, kinds, grids = Counter[Any](), Counter[Any](), Counter[Any](), Counter[Any]()
    for rider, on, what, grid, amount, source in given_out:
        week = (on - MONDAY).days // 7
        points_day[rider, on] += amount
        points_week[rider, week] += amount
        kinds[rider, on, what] += source == "report"
        grids[rider, week, grid] += 1
    assert max(points_day.values(), default=0) <= day_max
    assert max(points_week.values(), default=0) <= week_max
    assert max(kinds.values(), default=0) <= kind_max
    assert max(grids.values(), default=0) <= grid_max
    assert all(use.made == use.added for use in book.days.values())


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wuhan", "jiangjin", "changsha"])
def test_the_seeds_rules_are_sound_and_come_back_as_they_were(name: str) -> None:
    rows, faults = files.read((EXAMPLES / f"{name}.csv").read_text(encoding="utf-8"), ZONE)
    assert faults == [] == faults_of(rows, CATALOGUE.__contains__, lambda _: True)
    again, faults = files.read(files.write(rows, ZONE), ZONE)
    assert faults == []
    assert again == rows


def test_wuhan_pays_what_the_programme_says() -> None:
    rows, _ = files.read((EXAMPLES / "wuhan.csv").read_text(encoding="utf-8"), ZONE)
    wuhan = rule_set(*rows)
    april = NOON - timedelta(days=20)

    def pays(what: str, level: str, at: datetime = april) -> int:
        return wuhan.judge(report(what=what, level=level, at=at)).amount

    assert pays("local-security-clue", "routine") == 100
    assert pays("part-01001", "hazard") == 50
    assert pays("part-01001", "hazard", NOON) == 100, "double in May"
    assert (pays("event-06010", "routine"), pays("event-06013", "routine")) == (5, 10)
    assert wuhan.judge(deed(quantity=20)).amount == 20, "a task's points, as they were published"
    assert wuhan.weekly


HEADER = ",".join(files.COLUMNS)


def line_of(**cells: str) -> str:
    return ",".join(cells.get(column, "") for column in files.COLUMNS)


GOOD = {"rule": "r", "sort": "award", "source": "report", "co_max": "3", "zh": "规则", "en": "rule"}


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"rule": "Not a name"}, "rule"),
        ({"sort": "gift"}, "sort"),
        ({"source": ""}, "source"),
        ({"kind": "part-99999"}, "kind"),
        ({"area": "999"}, "area"),
        ({"points": "-1"}, "points"),
        ({"points": "1e3"}, "points"),
        ({"co_max": ""}, "co_max"),
        ({"percent": "200"}, "percent"),
        ({"role": "captain"}, "role"),
        ({"action": "course"}, "source"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-05-01T00:00:00"}, "from"),
        ({"from": "2026-06-01", "until": "2026-05-01"}, "until"),
        ({"zh": ""}, "zh"),
        ({"sort": "cap", "co_max": "", "points_max": "3"}, "per"),
        ({"sort": "cap", "co_max": "", "per": "day"}, "points_max"),
        ({"sort": "campaign", "co_max": "", "percent": "200"}, "until"),
        ({"source": "deed", "action": "course", "co_max": ""}, "points"),
        ({"source": "deed", "points": "3", "co_max": ""}, "action"),
    ],
)
def test_each_faulty_cell_is_named(cells: dict[str, str], column: str) -> None:
    text = "\r\n".join([HEADER, line_of(**GOOD), line_of(**(GOOD | {"rule": "s"} | cells)), ""])
    rows, faults = files.read(text, ZONE)
    faults += faults_of(rows, CATALOGUE.__contains__, lambda code: code.startswith("33"))
    assert (3, column) in {(fault.line, fault.column) for fault in faults}
    assert 2 not in {fault.line for fault in faults}


def test_two_rules_for_the_same_at_the_same_time_are_a_fault() -> None:
    one, other = award("one", 2), award("two", 3)
    assert [fault.line for fault in faults_of([one, other], CATALOGUE.__contains__, lambda _: True)] == [3]
    apart = [award("one", 2, ends_at=NOON), award("two", 3, begins_at=NOON)]
    assert faults_of(apart, CATALOGUE.__contains__, lambda _: True) == []
    assert faults_of([one, award("one", 3, area="330114")], CATALOGUE.__contains__, lambda _: True)[0].column == "rule"


@given(st.text(max_size=300))
def test_whatever_a_file_holds_it_is_rules_or_faults(text: str) -> None:
    for content in (text, f"{HEADER}\r\n{text}"):
        rows, faults = files.read(content, ZONE)
        assert rows or faults


def test_why_is_said_in_both_languages() -> None:
    said = why((SHIPPED,), "1/day-points", "points_per_day_max")
    assert said == (
        "已达当日积分上限；依据规则「每日」（第 1 版）",
        "you have reached today's limit of points; by the rule “a day” (version 1)",
    )
    assert why((SHIPPED,), "7/gone", "no_points").zh == "该类上报不计积分"
    assert why((SHIPPED,), None, None) == ("", "")
