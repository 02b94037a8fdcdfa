"""The duplicate rule and its search cells."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cases import domain, duplicates
from services.cases.domain import Candidate, Case, Sighting
from services.cases.duplicates import DuplicateRule
from services.cases.usecases import COMPARED_CHARACTERS, likeness

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
    assert (duplicates.best_match(sighting, [a_candidate()], rule()) is not None) is same


def test_words_only_raise_the_confidence_and_only_where_both_have_some() -> None:
    plain = duplicates.confidence(a_sighting(metres=10), a_candidate(), rule())
    assert duplicates.confidence(a_sighting(metres=10, text="井盖破损"), a_candidate(), rule()) == plain
    other = duplicates.confidence(a_sighting(metres=10, text="路灯不亮"), a_candidate("井盖破损"), rule())
    same = duplicates.confidence(a_sighting(metres=10, text="这里井盖破损"), a_candidate("井盖破损"), rule())
    assert plain <= other < same == pytest.approx(plain + 0.2)


def test_a_programme_can_make_words_count() -> None:
    strict = rule(0.85)
    assert duplicates.best_match(a_sighting(text="路灯不亮"), [a_candidate("井盖破损")], strict) is None
    assert duplicates.best_match(a_sighting(text="井盖破损"), [a_candidate("井盖破损")], strict) is not None


def test_the_nearest_case_wins_and_the_older_one_on_a_tie() -> None:
    near, far = a_candidate(number=2), a_candidate(lat=LAT + 20 * METRE_NORTH, number=1)
    assert duplicates.best_match(a_sighting(metres=5), [far, near], rule()) is near
    older = a_candidate(number=1)
    assert duplicates.best_match(a_sighting(), [near, older], rule()) is older


def test_attaching_counts_on_and_each_rider_once() -> None:
    candidate = a_candidate()
    steps = [domain.attach(candidate, replace(a_sighting(), rider_id=UUID(int=rider)), NOW) for rider in (2, 2, 3, 2)]
    assert [step.step for step in steps] == ["attached", "repeated", "attached", "repeated"]
    assert [step.report.ordinal for step in steps if step.report] == [2, 2, 3, 2]
    assert [(step.case.version, step.case.report_count) for step in steps] == [(2, 2), (3, 2), (4, 3), (5, 3)]


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


def test_words_are_compared_only_where_they_can_change_the_answer() -> None:
    compared: list[str] = []

    def similarity(one: str, other: str) -> float:
        compared.append(other)
        return likeness(one, other)

    loose, strict = DuplicateRule(30, 48, 0.6, similarity), DuplicateRule(30, 48, 0.9, similarity)
    assert duplicates.best_match(a_sighting(text="井盖"), [a_candidate("井盖")], loose) is not None
    assert compared == []
    assert duplicates.best_match(a_sighting(text="井盖"), [a_candidate("井盖")], strict) is not None
    assert compared == ["井盖"]
    compared.clear()
    crowd = [a_candidate("井盖", LAT + n * METRE_NORTH / 50, n + 1) for n in range(1_000)]
    assert duplicates.best_match(a_sighting(text="井盖"), crowd, loose) is crowd[0]
    assert len(compared) == duplicates.COMPARED_MAX


def test_long_words_cost_no_more_than_short_ones() -> None:
    """What is compared ends somewhere: two texts of 2,000 characters took seconds."""
    chosen = random.Random(5)
    one, other = ("".join(chosen.choices("的一是不了在人有我", k=20_000)) for _ in range(2))
    assert likeness(one, other) == likeness(one[:COMPARED_CHARACTERS], other[:COMPARED_CHARACTERS])
    assert COMPARED_CHARACTERS <= 64  # rapidfuzz compares up to here in one machine word
