"""The journey of a report as people read it, and the link to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracking import domain
from services.tracking.domain import CaseState, CaseStep, Journey, Movement, ReceivedReport, Routing

T0 = datetime(2026, 3, 1, 8, tzinfo=UTC)
REPORT, OTHER, CASE = UUID(int=1), UUID(int=2), UUID(int=3)
KEY = b"k" * 32


def at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


def received() -> ReceivedReport:
    return ReceivedReport(REPORT, "feima", "F-1", UUID(int=9), "part-01001", "hazard", 120.3, 30.3, T0, T0)


def routing(version: int = 1, outcome: str = "routed", ambiguous: bool = False) -> Routing:
    grid = "330114001002003" if outcome == "routed" else None
    return Routing(REPORT, version, "feima", outcome, None, grid, None, ambiguous, "water", at(version))


def step(version: int, name: str, role: str | None = "grid_worker", report_id: UUID | None = None) -> CaseStep:
    return CaseStep(CASE, version, name, "open", "王芳", role, report_id, "g", "备注", at(10 + version))


def case(state: str) -> CaseState:
    return CaseState(CASE, 2, state, "k", "hazard", "g", None, 120.3, 30.3, 1, T0, T0, T0)


def test_every_step_in_the_order_of_time_whatever_the_order_of_arrival() -> None:
    steps = [step(1, "opened", None, REPORT), step(2, "claimed"), step(3, "closed")]
    expected = ["received", "unroutable", "routed", "opened", "claimed", "closed", "points_posted"]
    for shuffled in permutations(steps):
        journey = Journey(
            received(),
            [routing(2), routing(1, "unroutable")],
            case("closed"),
            shuffled,
            [Movement(REPORT, 4, "feima", "posted", 50, None, at(60))],
        )
        assert [one.key for one in domain.timeline(journey)] == expected


def test_steps_of_one_instant_follow_the_journey() -> None:
    opened = CaseStep(CASE, 1, "opened", "open", None, None, REPORT, "g", "", T0)
    journey = Journey(received(), steps=[opened], movements=[Movement(REPORT, 1, "feima", "held", 50, None, T0)])
    assert [one.key for one in domain.timeline(journey)] == ["received", "opened", "points_held"]


def test_state_is_the_furthest_known() -> None:
    assert Journey(received()).state == "received"
    assert Journey(received(), [routing(1, "unroutable")]).state == "unroutable"
    assert Journey(received(), [routing(1, "unroutable"), routing(2)]).state == "routed"
    assert Journey(received(), [], case("handled")).state == "handled"
    assert {"received", "unroutable", "routed", "handled"} <= set(domain.STATES)


def test_officials_are_named_and_riders_never() -> None:
    lines = domain.timeline(Journey(received(), steps=[step(2, "claimed"), step(3, "info_given", "rider")]))
    by_key = {one.key: one for one in lines}
    assert (by_key["claimed"].who, by_key["claimed"].role, by_key["claimed"].note) == ("王芳", "grid_worker", "备注")
    assert by_key["info_given"].who is None


def test_reports_of_others_are_told_apart_from_the_own() -> None:
    steps = [step(1, "opened", None, OTHER), step(2, "attached", None, REPORT), step(3, "attached", None, UUID(int=7))]
    keys = [one.key for one in domain.timeline(Journey(received(), steps=steps))]
    assert keys == ["received", "other_opened", "attached", "other_attached"]


def test_points_say_amount_and_reason() -> None:
    moves = [
        Movement(REPORT, 1, "feima", "held", 50, None, at(1)),
        Movement(REPORT, 2, "feima", "refused", 0, "already_reported", at(2)),
        Movement(REPORT, 3, "feima", "refused", 0, "some_new_reason", at(3)),
    ]
    texts = [one.zh for one in domain.timeline(Journey(received(), movements=moves))][1:]
    assert "50" in texts[0]
    assert "您已上报过同一问题" in texts[1]
    assert "some_new_reason" in texts[2]


def test_a_border_is_named() -> None:
    lines = domain.timeline(Journey(received(), [routing(ambiguous=True)]))
    assert "先认领者负责" in lines[1].zh
    assert "first to claim" in lines[1].en


@given(st.uuids())
def test_a_link_opens_its_report_only_with_the_key(report_id: UUID) -> None:
    token = domain.link_token(KEY, report_id)
    assert domain.report_of((KEY,), token) == report_id
    assert domain.report_of((b"x" * 32,), token) is None
    assert domain.report_of((b"x" * 32, KEY), token) == report_id
    assert len(token) == 43


@given(st.text(max_size=60))
def test_whatever_else_is_no_link(token: str) -> None:
    assert domain.report_of((KEY,), token) is None


def test_a_changed_link_is_no_link() -> None:
    token = domain.link_token(KEY, REPORT)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert domain.report_of((KEY,), token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize(
    ("role", "actor", "shown"),
    [("rider", UUID(int=9), True), ("rider", UUID(int=8), False), ("rider", None, False), ("verifier", None, True)],
)
def test_what_another_rider_wrote_is_for_the_office_alone(role: str, actor: UUID | None, shown: bool) -> None:
    taken = replace(step(2, "info_given", role), rider_id=actor)
    notes = [one.note for one in domain.timeline(Journey(received(), steps=[taken]))]
    assert notes == ["", "备注" if shown else ""]
