"""The transition table: each row allows exactly what it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from services.cases import domain
from services.cases.api import STEP_OF
from services.cases.domain import TABLE, Actor, Case, Order, Person, State, Step
from shared.events.case_changed import CaseState, CaseTransition
from shared.events.common import Level
from shared.kit.areas import NO_MAP
from shared.kit.auth.principal import ROLES
from shared.kit.refusals import Refusal

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
LIMIT = timedelta(hours=6)
WEEK = timedelta(days=7)
RIDER = UUID(int=7)
GRID = "330114001002003"
STATES: tuple[State, ...] = get_args(State)
ORDERED = [step for step, rule in TABLE.items() if rule.roles]


def a_case(state: State = "open", **changes: object) -> Case:
    case = Case(
        case_id=UUID(int=1),
        version=3,
        state=state,
        kind="part-01001",
        level="hazard",
        grid_code=GRID,
        alternatives=(),
        department="water",
        lng=120.3,
        lat=30.3,
        seen_at=NOW,
        opened_at=NOW,
        due_at=NOW + LIMIT,
        changed_at=NOW,
    )
    return replace(case, **changes)  # type: ignore[arg-type]  # tests change any field


def a_person(role: str, person_id: str = "p1", areas: tuple[str, ...] = ("330114",)) -> Person:
    if role == "rider":
        return Person(str(RIDER), "Rider", frozenset({"rider"}), lambda _: False, frozenset({UUID(int=1)}))

    def covers(code: str) -> bool:
        return any(NO_MAP.covers(area, code) for area in areas)

    return Person(person_id, "王芳", frozenset({role}), covers, frozenset(), covers)


def take(case: Case, order: Order, person: Person, at: datetime = NOW) -> domain.Taken:
    return domain.take(case, order, person, at, LIMIT, WEEK)


def test_the_words_are_those_of_the_contract() -> None:
    assert get_args(State) == get_args(CaseState)
    assert get_args(domain.Level) == get_args(Level)
    assert get_args(Step) == get_args(CaseTransition) == tuple(TABLE)
    assert {role for rule in TABLE.values() for role in rule.roles} <= ROLES
    assert sorted(STEP_OF.values()) == sorted(ORDERED)


@pytest.mark.parametrize("step", ORDERED)
def test_every_combination_of_state_and_role(step: Step) -> None:
    rule = TABLE[step]
    for state, role in product(STATES, sorted(ROLES)):
        if role in rule.roles and state in rule.from_states:
            taken = take(a_case(state), Order(step, "note"), a_person(role))
            assert (taken.case.state, taken.case.version, taken.note) == (rule.to_state, 4, "note")
            assert taken.actor is not None
            assert taken.actor.role == role
        else:
            with pytest.raises(Refusal) as refused:
                take(a_case(state), Order(step), a_person(role))
            expected = "wrong_state" if role in rule.roles else "not_found" if role == "merchant" else "forbidden"
            assert refused.value.code == (expected if role != "rider" or role in rule.roles else "forbidden"), (
                state,
                role,
            )


@pytest.mark.parametrize("step", ORDERED)
def test_nobody_acts_outside_his_areas_and_no_stranger_on_a_report(step: Step) -> None:
    state = min(TABLE[step].from_states)
    for role in TABLE[step].roles:
        person = a_person(role, areas=("330105",))
        if role == "rider":
            person = Person("someone-else", "", frozenset({"rider"}), lambda _: True, frozenset({UUID(int=2)}))
        with pytest.raises(Refusal) as refused:
            take(a_case(state), Order(step), person)
        assert refused.value.code == "not_found"


def test_the_handler_does_not_verify_himself() -> None:
    handled = take(a_case("claimed"), Order("handled"), a_person("grid_worker", "p1")).case
    both = Person("p1", "王芳", frozenset({"grid_worker", "verifier"}), lambda _: True, dispatches_to=lambda _: True)
    for step in ("verified", "rework_ordered"):
        with pytest.raises(Refusal) as refused:
            take(handled, Order(step), both)
        assert refused.value.code == "same_person"
    assert take(handled, Order("verified"), a_person("verifier", "p2")).case.state == "verified"


def test_a_claim_settles_which_grid_it_is() -> None:
    other = "330114001002009"
    case = a_case(alternatives=(other,))
    claimed = take(case, Order("claimed"), a_person("grid_worker", areas=(other,))).case
    assert (claimed.grid_code, claimed.alternatives) == (other, ())
    with pytest.raises(Refusal) as refused:
        take(case, Order("claimed", grid_code=other), a_person("grid_worker", areas=(GRID,)))
    assert refused.value.code == "wrong_grid"
    with pytest.raises(Refusal) as second:
        take(claimed, Order("claimed"), a_person("grid_worker", areas=(other,)))
    assert (second.value.code, second.value.extras["state"]) == ("wrong_state", "claimed")


def test_a_case_goes_only_to_a_grid_of_the_map_that_the_person_covers() -> None:
    there, gone, foreign = "330114001002009", "330114001002010", "330105001001001"
    case = a_case("returned")
    dispatcher = replace(a_person("dispatcher"), dispatches_to=lambda code: code == there)
    assert take(case, Order("redispatched", grid_code=there), dispatcher).case.grid_code == there
    at_home = replace(case, grid_code=there)
    assert take(at_home, Order("redispatched", department="D9"), dispatcher).case.department == "D9"
    for grid in (gone, foreign, "nonsense", None):  # None: the case's own, which the map has left
        with pytest.raises(Refusal) as refused:
            take(case, Order("redispatched", grid_code=grid), dispatcher)
        assert refused.value.code == "wrong_grid"
    ambiguous = a_case(alternatives=(gone, there))
    worker = replace(a_person("grid_worker", areas=(gone, there)), dispatches_to=lambda code: code == there)
    assert take(ambiguous, Order("claimed"), worker).case.grid_code == there
    with pytest.raises(Refusal):
        take(ambiguous, Order("claimed", grid_code=gone), worker)


def test_a_case_between_grids_goes_only_to_one_of_the_persons_own() -> None:
    mine = "330114001002009"
    case = a_case("returned", alternatives=(mine,))
    with pytest.raises(Refusal) as refused:
        take(case, Order("redispatched", department="D9"), a_person("dispatcher", areas=(mine,)))
    assert refused.value.code == "wrong_grid"
    order = Order("redispatched", grid_code=mine)
    assert take(case, order, a_person("dispatcher", areas=(mine,))).case.grids == (mine,)


def test_a_citys_operator_without_areas_has_no_other_office_in_it() -> None:
    both = replace(
        a_person("operator"), roles=frozenset({"operator", "verifier"}), covers=lambda _: True, has_areas=False
    )
    with pytest.raises(Refusal) as refused:
        take(a_case("handled"), Order("verified"), both)
    assert refused.value.code == "forbidden"
    assert take(a_case("verified"), Order("closed"), both).actor == Actor("p1", "王芳", "operator")
    assert take(a_case("handled"), Order("verified"), replace(both, has_areas=True)).case.state == "verified"


def test_an_office_elsewhere_or_none_of_cases_shows_nothing() -> None:
    rider = a_person("rider")
    case = a_case()
    assert domain.may_see(case, rider) and not domain.works_on(case, rider)
    at_a_counter = replace(rider, roles=frozenset({"rider", "merchant"}), covers=lambda _: True)
    assert domain.may_see(case, at_a_counter) and not domain.works_on(case, at_a_counter)
    assert not domain.may_see(case, replace(at_a_counter, reported=frozenset()))
    elsewhere = replace(rider, roles=frozenset({"rider", "verifier"}), covers=lambda code: code == "330105")
    assert domain.may_see(case, elsewhere) and not domain.works_on(case, elsewhere)
    assert domain.works_on(case, a_person("verifier"))


def test_a_colleague_does_not_finish_a_claimed_case_but_the_department_does() -> None:
    case = a_case("claimed", claimed_by=Actor("p1", "王芳", "grid_worker"))
    with pytest.raises(Refusal) as refused:
        take(case, Order("handled"), a_person("grid_worker", "p2"))
    assert refused.value.code == "other_worker"
    assert take(case, Order("handled"), a_person("department", "p2")).case.handled_by == "p2"


@pytest.mark.parametrize(("level", "due_in"), [("hazard", timedelta(hours=9)), ("emergency", timedelta(hours=6))])
def test_asking_the_reporter_rests_the_limit_except_of_an_emergency(level: str, due_in: timedelta) -> None:
    asked = take(a_case("claimed", level=level), Order("info_requested"), a_person("department")).case
    informed = take(asked, Order("info_given"), a_person("rider"), NOW + timedelta(hours=3)).case
    assert informed.due_at == NOW + due_in
    assert informed.paused_at is None


def test_reopening_starts_again_and_ends_after_a_week() -> None:
    closed = a_case("closed", handled_by="p1", claimed_by=Actor("p1", "王芳", "grid_worker"))
    later = NOW + WEEK
    case = take(closed, Order("reopened"), a_person("rider"), later).case
    assert (case.state, case.due_at, case.handled_by, case.claimed_by) == ("open", later + LIMIT, None, None)
    with pytest.raises(Refusal) as refused:
        take(closed, Order("reopened"), a_person("rider"), later + timedelta(seconds=1))
    assert refused.value.code == "too_late"


def test_a_new_dispatch_names_the_grid_and_starts_the_limit() -> None:
    later = NOW + timedelta(hours=5)
    order = Order("redispatched", grid_code="330114002001001", department="roads")
    case = take(a_case("returned", alternatives=("x",)), order, a_person("dispatcher"), later).case
    assert (case.grid_code, case.alternatives, case.department) == ("330114002001001", (), "roads")
    assert case.due_at == later + LIMIT
