"""Hours, states, codes, the taxonomy and the index of places, without a database."""

import math
import statistics
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stations.domain.details import faults_of, read
from services.stations.domain.hours import SpecialDay, Unreadable, by_day, spans_of, spans_text, week_of, week_text
from services.stations.domain.living import Period, PeriodKind, Spell, SpellState, Status, Timetable, status
from services.stations.domain.words import Station, is_visit_code, visit_code
from services.stations.files import parse
from services.stations.index import Snapshot, Wanted
from services.stations.taxonomy_files import TaxonomyError, load
from shared.devtools.gen.files import ROOT
from shared.kit import clock
from shared.kit.ids import new_id

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 5, 4, 12, 0, tzinfo=ZONE)
WEEKDAYS = Timetable("1-5 08:00-20:00", open_on_holidays=False, retired=False)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("24/7", "24/7"),
        ("08:00-20:00", "1-7 08:00-20:00"),
        ("Mo-Fr 08:00-12:00,14:00-18:00; Sa 09:00-12:00", "1-5 08:00-12:00,14:00-18:00; 6 09:00-12:00"),
        ("周一至周五 08：00-20：00；周六、周日 10:00-16:00", "1-5 08:00-20:00; 6-7 10:00-16:00"),
        ("每天 20:00-02:00", "1-7 20:00-02:00"),
        ("1 08:00-24:00; 3 08:00-24:00", "1 08:00-24:00; 3 08:00-24:00"),
    ],
)
def test_hours_have_one_form(text: str, form: str) -> None:
    assert week_text(week_of(text)) == form
    assert week_of(form) == week_of(text)


@pytest.mark.parametrize(
    "text", ["", "1-5", "8-20", "5-1 08:00-20:00", "1 08:00-08:00", "1 08:00-12:00; 1 13:00-14:00", "1 25:00-26:00",
             "1 08:00-12:00,11:00-13:00", "x" * 400],
)  # fmt: skip
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        week_of(text)


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1440)), max_size=4))
def test_spans_are_read_as_they_are_written(raw: list[tuple[int, int]]) -> None:
    ordered: list[tuple[int, int]] = []
    for opens, length in sorted(raw):
        closes = min(opens + length, 1440)
        if closes > opens and (not ordered or ordered[-1][1] <= opens):
            ordered.append((opens, closes))
    assert spans_of(spans_text(tuple(ordered))) == tuple(ordered)


def spell(state: SpellState, **values: Any) -> Spell:
    usual: dict[str, Any] = {
        "id": new_id(), "station_id": new_id(), "state": state, "part": "", "reason": "", "period_id": None,
        "began_at": MONDAY, "until_at": None, "ended_at": None, "sightings": 0, "denials": 0, "confirmed_at": MONDAY,
        "confirmed_role": "merchant", "confirmed_by": "k",
    }  # fmt: skip
    return Spell(**usual | values)


def period(kind: PeriodKind, *, closes: bool = True, hours: int = 1) -> Period:
    return Period(new_id(), kind, closes, (), "暴雨", MONDAY, MONDAY + timedelta(hours=hours))


def look(
    *spells: Spell, table: Timetable = WEEKDAYS, at: datetime = MONDAY, periods: tuple[Period, ...] = (),
    special: SpecialDay | None = None,
) -> Status:  # fmt: skip
    days = {} if special is None else {special.day: special}
    return status(table, days, periods, spells, at.astimezone(UTC), ZONE, believed=3)


def test_hours_decide_and_say_until_when() -> None:
    found = look()
    assert (found.state, found.until) == ("open", MONDAY.replace(hour=20))
    assert found.next_at == MONDAY.replace(hour=20)
    evening = look(at=MONDAY.replace(hour=21))
    assert (evening.state, evening.until) == ("off_hours", MONDAY.replace(hour=8) + timedelta(days=1))
    assert evening.next_at == MONDAY.replace(hour=0) + timedelta(days=1), "each midnight closes a day's sum"
    saturday = look(at=MONDAY + timedelta(days=5))
    assert (saturday.state, saturday.until) == ("off_hours", MONDAY.replace(hour=8) + timedelta(days=7))
    night = Timetable("1 22:00-02:00", open_on_holidays=False, retired=False)
    assert look(table=night, at=MONDAY.replace(hour=1) + timedelta(days=1)).state == "open"


def test_what_never_closes_has_no_end_that_moves_on_every_day() -> None:
    always = Timetable("24/7", open_on_holidays=False, retired=False)
    days = [look(table=always, at=MONDAY + timedelta(days=n)) for n in range(3)]
    assert {(one.state, one.until) for one in days} == {("open", None)}, "else each midnight would be a change"
    week = Timetable("1 00:00-24:00; 2 00:00-24:00; 3 00:00-12:00", open_on_holidays=False, retired=False)
    assert look(table=week).until == MONDAY + timedelta(days=2)


def test_who_says_what_comes_before_whom() -> None:
    assert look(spell("full")).state == "full"
    assert look(spell("closed"), spell("full")).state == "closed"
    assert look(spell("closed"), periods=(period("weather"),)).state == "weather"
    assert look(periods=(period("weather", closes=False),)).state == "open"
    assert look(periods=(period("holiday"),)).state == "day_off"
    assert look(periods=(period("holiday"), period("weather"))).state == "weather"
    assert look(spell("closed"), table=Timetable("24/7", open_on_holidays=False, retired=True)).state == "retired"
    off = SpecialDay(MONDAY.date(), "", "盘点")
    assert (look(special=off).state, look(special=off).reason) == ("day_off", "盘点")
    kept = SpecialDay(MONDAY.date(), "10:00-14:00", "值守")
    assert look(special=kept, periods=(period("holiday"),)).state == "open"
    assert look(special=kept, periods=(period("weather"),)).state == "weather", "a storm spares nobody"


def test_riders_are_believed_when_there_are_enough() -> None:
    said = {"confirmed_at": None, "confirmed_role": "", "confirmed_by": ""}
    assert look(spell("closed", sightings=2, **said)).state == "open"
    assert look(spell("closed", sightings=3, **said)).state == "closed"
    assert look(spell("fault", part="water", sightings=3, **said)).faults == ("water",)
    assert look(spell("full", ended_at=MONDAY)).state == "open"
    until = MONDAY + timedelta(minutes=5)
    assert look(spell("full", until_at=until)).next_at == until


def test_days_are_the_citys() -> None:
    found = by_day(MONDAY.replace(hour=23), MONDAY.replace(hour=1) + timedelta(days=1), ZONE)
    assert found == {date(2026, 5, 4): 3_600, date(2026, 5, 5): 3_600}


def test_a_code_is_the_stations_and_its_epochs() -> None:
    here, other = new_id(), new_id()
    code = visit_code(b"key", here, 1)
    assert len(code) == 10 and is_visit_code([b"new", b"key"], here, 1, code.lower())
    assert not is_visit_code([b"key"], other, 1, code) and not is_visit_code([b"key"], here, 2, code)


def test_the_shipped_taxonomy_has_what_programmes_call_for(tmp_path: Path) -> None:
    shipped = load()
    assert {"hive", "rider-home", "red-home", "union-stop", "drivers-home"} <= set(shipped.kinds)
    groups: dict[str, set[str]] = {}
    for one in shipped.lines:
        groups.setdefault(one.scheme, set()).add(one.group)
    assert (len(groups["five-colours"]), len(groups["four-stations"])) == (5, 4)
    assert len([one for one in shipped.lines if one.scheme == "basic"]) == 5
    assert shipped.special == {"child-care", "clinic", "canteen"}
    for name in ("kinds.csv", "services.csv"):
        (tmp_path / name).write_text((ROOT / "services/stations/data" / name).read_text())
    with (tmp_path / "services.csv").open("a") as file:
        file.write("rest,别的,else,x,x,x,x,,,\n")
    with pytest.raises(TaxonomyError, match=r"services\.csv:\d+: rest has other words"):
        load(tmp_path)


def test_each_faulty_cell_of_a_file_has_its_line() -> None:
    head = "code,name,kind,area_code,address,lng,lat,managing_unit,hours\r\n"
    rows = (
        'A,甲,hive,G1,"路,1号",120.3,30.3,社区,24/7\r\nB,乙,hive,G1,路,200,30.3,社区,8-20\r\n'
        "A,丙,hive,G1,路,1,1,社区,24/7\r\n"
    )
    found, faults = parse(head + rows, "csv")
    assert [(row.line, row.said.code, row.said.address) for row in found] == [(2, "A", "路,1号")]
    assert [(one.line, one.field) for one in faults] == [(3, "lng"), (3, "hours"), (4, "code")]
    assert [(one.line, one.field) for one in parse("code,nme\r\nA,x\r\n", "csv")[1]][:2] == [(1, "name"), (1, "kind")]
    point = {"type": "Point", "coordinates": [120.35, 30.3]}
    text = (
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"A","name":"甲","kind":"hive",'
        '"area_code":"G1","address":"路","managing_unit":"社区","hours":"24/7","services":["rest","water"],'
        f'"datum":"gcj02"}},"geometry":{str(point).replace(chr(39), chr(34))}}},{{"type":"Feature"}}]}}'
    )
    rows_of, wrong = parse(text, "geojson")
    [(line, said)] = [(row.line, row.said) for row in rows_of]
    assert (line, said.services) == (1, ("rest", "water")) and 300 < metres(said.lng, said.lat, 120.35, 30.3) < 700
    assert [(one.line, one.field) for one in wrong] == [(2, "lng")]
    assert parse("[]", "geojson")[1] and parse("", "csv")[1]


def test_the_example_is_a_file_without_faults() -> None:
    rows, faults = parse((ROOT / "examples/stations/stations.csv").read_text("utf-8"), "csv")
    assert [row.said.code for row in rows] == ["HC-0001", "SJ-0001", "GH-0001"] and faults == []
    assert [wrong for row in rows for wrong in faults_of(row.said, load(), lambda _: True)] == []


@given(st.dictionaries(st.sampled_from(["code", "name", "lng", "hours", "parking_places", "services"]), st.text()))
def test_any_cell_is_read_or_named(cells: dict[str, str]) -> None:
    said, wrong = read(cells)
    assert said is None and {one.field for one in wrong} >= {"area_code", "kind"}


def metres(lng: float, lat: float, to_lng: float, to_lat: float) -> float:
    """On a sphere: within half a percent of the ellipsoid."""
    a, b = math.radians(lat), math.radians(to_lat)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(to_lng - lng) / 2) ** 2
    return 2 * 6_371_000 * math.asin(math.sqrt(half))


def town(n: int) -> list[Station]:
    rng = np.random.default_rng(5)
    now = MONDAY
    return [
        Station(
            id=UUID(int=at), code=f"S{at:05}", version=1, edition=1, name="站", kind="hive" if at % 3 else "red-home",
            sponsor="", area_code="G1", address="路", lng=float(lng), lat=float(lat), managing_unit="社区",
            responsible="", phone="", duty_phone="", hours="24/7", open_on_holidays=False,
            services=("rest", "water") if at % 2 else ("rest",), parking_places=None, photos=(), code_epoch=1,
            retired_reason=None, state="open" if at % 5 else "full" if at % 10 else "closed", state_reason="",
            state_since=now, state_until=None, faults=(), list_year=None, list_version=None, next_at=now,
            settled_at=now, changed_at=now,
        )
        for at, (lng, lat) in enumerate(zip(rng.uniform(120.2, 120.7, n), rng.uniform(30.1, 30.5, n), strict=True))
    ]  # fmt: skip


def test_the_nearest_are_those_that_a_look_at_all_finds() -> None:
    stations = town(600)
    snapshot = Snapshot.of(stations)
    rng = np.random.default_rng(7)
    for wanted in (Wanted(), Wanted(("water",)), Wanted(("rest", "water"), "red-home"), Wanted(is_open=False)):
        lng, lat = float(rng.uniform(120.2, 120.7)), float(rng.uniform(30.1, 30.5))
        found = snapshot.nearest(lng, lat, wanted, 8_000, 10)
        fit = [
            one for one in stations
            if set(wanted.services) <= set(one.services) and wanted.kind in (None, one.kind)
            and (one.is_open or not wanted.is_open)
        ]  # fmt: skip
        away = sorted((metres(lng, lat, one.lng, one.lat), one.code) for one in fit)
        near = [pair for pair in away if pair[0] <= 8_000][:10]
        assert [one.distance_m for one in found] == pytest.approx([distance for distance, _ in near], rel=0.005)
        assert [one.distance_m for one in found] == sorted(one.distance_m for one in found)
    assert snapshot.nearest(120.4, 30.3, Wanted(("moat",)), 50_000, 10) == []
    assert Snapshot.of([]).nearest(120.4, 30.3, Wanted(), 50_000, 10) == []


def test_stations_along_a_way_come_in_its_order() -> None:
    stations = town(600)
    way = [(120.25, 30.15), (120.45, 30.3), (120.65, 30.3)]
    found = Snapshot.of(stations).along(way, Wanted(is_open=False), 700, 50)
    assert found and [one.along_m for one in found] == sorted(one.along_m for one in found)
    dense = [
        (first[0] + (last[0] - first[0]) * n / 2_000, first[1] + (last[1] - first[1]) * n / 2_000)
        for first, last in pairwise(way)
        for n in range(2_001)
    ]
    close = {one.code for one in stations if min(metres(one.lng, one.lat, *place) for place in dense[::20]) < 680}
    assert close <= {one.station.code for one in found}
    assert all(one.distance_m <= 700 for one in found)


def test_the_nearest_take_less_than_five_milliseconds() -> None:
    """The median of many, of ten times the stations that a city has; a hundredth of it would do."""
    snapshot = Snapshot.of(town(6_000))
    taken = []
    for at in range(100):
        began_s = clock.monotonic_s()
        assert snapshot.nearest(120.2 + at / 250, 30.3, Wanted(("water",)), 5_000, 10)
        taken.append(clock.monotonic_s() - began_s)
    assert statistics.median(taken) < 0.005
