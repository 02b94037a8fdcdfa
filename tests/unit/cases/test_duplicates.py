"""The duplicate rule and its search cells."""

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cases import domain
from services.cases.domain import Candidate, Case, DuplicateRule, Sighting
from services.cases.usecases import likeness

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
LNG, LAT = 120.3, 30.3
METRE_NORTH = 1 / 111_320
REACH = domain.reach_of(LNG, LAT, 30)
PLACES = st.tuples(st.floats(73, 135), st.floats(4, 53))


def rule(confidence_min: float = 0.6) -> DuplicateRule:
    return DuplicateRule(30, 48, confidence_min, likeness)


def a_candidate(text: str = "", lat: float = LAT, number: int = 1, seen_at: datetime = NOW) -> Candidate:
    case = Case(
        case_id=UUID(int=number),
        version=1,
        state="open",
        kind="part-01001",
        level="hazard",
        grid_code="g",
        alternatives=(),
        department=None,
        lng=LNG,
        lat=lat,
        seen_at=seen_at,
        opened_at=NOW + timedelta(seconds=number),
        due_at=NOW,
        changed_at=NOW,
    )
    return Candidate(case, text, 1)


def a_sighting(metres: float = 0, hours: float = 0, kind: str = "part-01001", text: str = "") -> Sighting:
    lat = LAT + metres * METRE_NORTH
    return Sighting(UUID(int=1), UUID(int=2), "feima", kind, LNG, lat, NOW + timedelta(hours=hours), text, REACH)


@pytest.mark.parametrize(
    ("sighting", "same"),
    [
        (a_sighting(), True),
        (a_sighting(metres=29.9), True),
        (a_sighting(metres=30.1), False),
        (a_sighting(hours=48), True),
        (a_sighting(hours=-48), True),
        (a_sighting(hours=48.1), False),
        (a_sighting(kind="part-01002"), False),
    ],
)
def test_kind_place_and_time(sighting: Sighting, same: bool) -> None:
    assert (domain.best_match(sighting, [a_candidate()], rule()) is not None) is same


def test_words_only_raise_the_confidence_and_only_where_both_have_some() -> None:
    plain = domain.confidence(a_sighting(metres=10), a_candidate(), rule())
    assert domain.confidence(a_sighting(metres=10, text="井盖破损"), a_candidate(), rule()) == plain
    other = domain.confidence(a_sighting(metres=10, text="路灯不亮"), a_candidate("井盖破损"), rule())
    same = domain.confidence(a_sighting(metres=10, text="这里井盖破损"), a_candidate("井盖破损"), rule())
    assert plain <= other < same == pytest.approx(plain + 0.2)


def test_a_programme_can_make_words_count() -> None:
    strict = rule(0.85)
    assert domain.best_match(a_sighting(text="路灯不亮"), [a_candidate("井盖破损")], strict) is None
    assert domain.best_match(a_sighting(text="井盖破损"), [a_candidate("井盖破损")], strict) is not None


def test_the_nearest_case_wins_and_the_older_one_on_a_tie() -> None:
    near, far = a_candidate(number=2), a_candidate(lat=LAT + 20 * METRE_NORTH, number=1)
    assert domain.best_match(a_sighting(metres=5), [far, near], rule()) is near
    older = a_candidate(number=1)
    assert domain.best_match(a_sighting(), [near, older], rule()) is older


def test_attaching_counts_on_also_for_the_same_rider() -> None:
    candidate = a_candidate()
    first = domain.attach(candidate, a_sighting(), NOW)
    second = domain.attach(candidate, a_sighting(), NOW)
    assert [r.ordinal for r in second.case.reports] == [1, 2]
    assert (first.case.version, second.case.version) == (2, 3)


@given(place=PLACES, bearing=st.floats(0, 2 * math.pi), metres=st.floats(0, 30))
def test_whatever_is_within_reach_lies_in_a_searched_cell(
    place: tuple[float, float], bearing: float, metres: float
) -> None:
    lng, lat = place
    other_lat = lat + metres * math.sin(bearing) * METRE_NORTH
    other_lng = lng + metres * math.cos(bearing) * METRE_NORTH / math.cos(math.radians(lat))
    if domain.distance_m(lng, lat, other_lng, other_lat) > 29.99:
        return
    cells = domain.reach_of(lng, lat, 30).cells
    assert domain.cell_of(other_lng, other_lat) in cells
    assert 1 <= len(cells) <= 4


@given(PLACES)
def test_cells_are_no_further_than_their_size(place: tuple[float, float]) -> None:
    lng, lat = place
    assert domain.cell_of(lng, lat) != domain.cell_of(lng + 0.0021, lat)
    assert domain.cell_of(lng, lat) != domain.cell_of(lng, lat + 0.0021)


def test_locks_are_per_kind_and_fit_into_64_bits() -> None:
    locks = {domain.place_lock(kind, cell) for kind in ("a", "b") for cell in range(1000)}
    assert len(locks) == 2000
    assert all(-(2**63) <= lock < 2**63 for lock in locks)
