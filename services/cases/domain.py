"""Cases: the transition table, the duplicate rule and the deadlines. Pure: `now` is passed in."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from services.cases import problems
from shared.events.case_changed import CaseState, CaseTransition
from shared.events.common import Level
from shared.kit.problems import FORBIDDEN, not_found

State = CaseState
Step = CaseTransition

OFFICES = frozenset({"grid_worker", "dispatcher", "department", "verifier", "operator"})
"""Roles that work on cases, each in its areas."""
LIVE: frozenset[State] = frozenset({"open", "claimed", "needs_info", "handled", "verified", "returned"})
"""States in which a case takes further reports of the same thing."""


class Deadline(StrEnum):
    """What a step does to the time limit."""

    START = "start"
    """The kind's limit starts now."""
    KEEP = "keep"
    PAUSE = "pause"
    """The limit rests while the reporter is asked; an emergency's never rests."""
    RESUME = "resume"
    """The limit is put off by the time it rested."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the transition table."""

    step: Step
    from_states: frozenset[State]
    """Empty: there is no case yet."""
    to_state: State | None
    """None: the state stays."""
    roles: tuple[str, ...]
    """Who may, in the order in which a person with several roles acts; none: only the system."""
    deadline: Deadline
    publishes: str = "cases.case-changed.v1"


def _row(step: Step, froms: Iterable[State], to: State | None, roles: str, deadline: Deadline) -> tuple[Step, Rule]:
    return step, Rule(step, frozenset(froms), to, tuple(roles.split()), deadline)


_START, _KEEP, _PAUSE, _RESUME = Deadline.START, Deadline.KEEP, Deadline.PAUSE, Deadline.RESUME
# A rider may do a step only on a case that they reported; all others only in their areas.
TABLE: dict[Step, Rule] = dict([
    #    step              from                  to            who may                               time limit
    _row("opened",         [],                   "open",       "",                                   _START),
    _row("attached",       LIVE,                 None,         "",                                   _KEEP),
    _row("repeated",       LIVE,                 None,         "",                                   _KEEP),
    _row("claimed",        ["open"],             "claimed",    "grid_worker department",             _KEEP),
    _row("info_requested", ["claimed"],          "needs_info", "grid_worker department dispatcher",  _PAUSE),
    _row("info_given",     ["needs_info"],       "claimed",    "rider dispatcher",                   _RESUME),
    _row("handled",        ["claimed"],          "handled",    "grid_worker department",             _KEEP),
    _row("verified",       ["handled"],          "verified",   "verifier dispatcher",                _KEEP),
    _row("rework_ordered", ["handled"],          "claimed",    "verifier dispatcher",                _KEEP),
    _row("closed",         ["verified"],         "closed",     "dispatcher verifier operator",       _KEEP),
    _row("invalidated",    LIVE - {"verified"},  "invalid",    "dispatcher operator",                _KEEP),
    _row("returned",       ["open", "claimed"],  "returned",   "grid_worker department",             _KEEP),
    _row("redispatched",   ["returned", "open"], "open",       "dispatcher operator",                _START),
    _row("reopened",       ["closed"],           "open",       "rider",                              _START),
    _row("carried_over",   LIVE,                 None,         "",                                   _KEEP),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Who takes a step."""

    id: str
    name: str
    roles: frozenset[str]
    covers: Callable[[str], bool]
    """Whether an area code lies in the person's areas."""
    reported: frozenset[UUID] = frozenset()
    """Which of the cases at hand the person reported."""
    dispatches_to: Callable[[str], bool] = lambda _: False
    """Whether it is a grid of the map in force, too: cases go nowhere else."""
    has_areas: bool = True  # an operator without any has the city, but in no other office that they hold


@dataclass(frozen=True, slots=True)
class Actor:
    """Who took a step, as it is remembered."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report that a step brought; `ordinal` is its rider's place among the reporters."""

    report_id: UUID
    rider_id: UUID
    company: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Case:
    """A case after its last step; the place is WGS-84 in degrees."""

    case_id: UUID
    version: int
    state: State
    kind: str
    level: Level
    grid_code: str
    alternatives: tuple[str, ...]
    """Other grids that the place may belong to; the claim settles it."""
    department: str | None
    lng: float
    lat: float
    seen_at: datetime
    """When the first reporter saw it."""
    opened_at: datetime
    due_at: datetime
    changed_at: datetime
    paused_at: datetime | None = None
    claimed_by: Actor | None = None
    handled_by: str | None = None
    report_count: int = 1
    """Riders who reported it: each has one report in a case."""

    @property
    def grids(self) -> tuple[str, ...]:
        """The grid and its alternatives."""
        return (self.grid_code, *self.alternatives)


@dataclass(frozen=True, slots=True)
class Order:
    """A wish to take a step."""

    step: Step
    note: str = ""
    grid_code: str | None = None
    """Of a claim: which of the ambiguous grids; of a new dispatch: the grid it goes to, if not the case's own."""
    department: str | None = None  # any code: it gives nobody a right


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken, and the case after it."""

    case: Case
    step: Step
    actor: Actor | None
    note: str
    report: Report | None = None
    """Of a step that brings one: opened, attached, repeated."""


def may_see(case: Case, person: Person) -> bool:
    """Whether a person may know of the case: a reporter, or somebody with an office in one of its grids."""
    return case.case_id in person.reported or works_on(case, person)


def works_on(case: Case, person: Person) -> bool:
    """Whether the case lies in the person's office: only then what its reporters wrote is for them."""
    return bool(person.roles & OFFICES) and any(person.covers(grid) for grid in case.grids)


def take(case: Case, order: Order, person: Person, now: datetime, limit: timedelta, reopen_within: timedelta) -> Taken:
    """The case after the step that a person orders.

    Args:
        limit: the kind's time limit, for steps that start it.
        reopen_within: how long after closing a reporter may reopen.

    Raises:
        Refusal: the person, the state or the time doesn't allow it.
    """
    rule = TABLE[order.step]
    if not may_see(case, person):
        raise not_found("case")
    role = next((role for role in rule.roles if _acts_as(role, case, person)), None)
    if role is None:
        raise FORBIDDEN(f"{order.step} is for {', '.join(rule.roles) or 'the system'}")
    if case.state not in rule.from_states:
        detail = f"{order.step} is not possible on a case that is {case.state}"
        raise problems.WRONG_STATE(detail, state=case.state)
    # a rider is named nowhere: who may show the name asks the riders service
    actor = Actor(person.id, "" if role == "rider" else person.name, role)
    _check(case, order, actor, now, reopen_within)
    changed = _with_deadline(_with_effect(case, order, actor, person), rule.deadline, now, limit)
    changed = replace(changed, state=rule.to_state or case.state, version=case.version + 1, changed_at=now)
    return Taken(changed, order.step, actor, order.note)


def carry_over(case: Case, successors: Mapping[str, str], now: datetime) -> Taken:
    """The case in the grids that took over (old → new). Whoever claimed it keeps it, and its time limit stays."""
    grid = successors.get(case.grid_code, case.grid_code)
    others = dict.fromkeys(successors.get(code, code) for code in case.alternatives)
    others.pop(grid, None)
    carried = replace(case, grid_code=grid, alternatives=tuple(others), version=case.version + 1, changed_at=now)
    where = [", ".join(one.grids) for one in (case, carried)]
    return Taken(carried, "carried_over", None, f"新地图 / New map: {where[0]} → {where[1]}")


def _acts_as(role: str, case: Case, person: Person) -> bool:
    if role not in person.roles or not (person.has_areas or role in ("operator", "rider")):
        return False
    return case.case_id in person.reported if role == "rider" else any(person.covers(grid) for grid in case.grids)


def _check(case: Case, order: Order, actor: Actor, now: datetime, reopen_within: timedelta) -> None:
    if order.step in ("verified", "rework_ordered") and actor.id == case.handled_by:
        raise problems.SAME_PERSON("whoever handled the case can't verify it", state=case.state)
    # A claim is a promise: a colleague can't finish it, the responsible department can.
    foreign = case.claimed_by is not None and case.claimed_by.id != actor.id
    if foreign and actor.role == "grid_worker" and order.step in ("handled", "info_requested", "returned"):
        raise problems.OTHER_WORKER("another grid worker claimed the case", state=case.state)
    if order.step == "reopened" and now > case.changed_at + reopen_within:
        raise problems.TOO_LATE(f"a case can be reopened within {reopen_within.days} days", state=case.state)


def _with_effect(case: Case, order: Order, actor: Actor, person: Person) -> Case:
    if order.step == "claimed":
        mine = [grid for grid in case.grids if person.dispatches_to(grid)]
        if person.covers(case.grid_code) and case.grid_code not in mine:
            mine.insert(0, case.grid_code)
        grid = order.grid_code or (mine[0] if mine else "")
        if grid not in mine:
            raise problems.WRONG_GRID("the grid is not one of the case's, or not yours", state=case.state)
        return replace(case, grid_code=grid, alternatives=(), claimed_by=actor)
    if order.step == "handled":
        return replace(case, handled_by=actor.id)
    if order.step == "returned":
        return replace(case, claimed_by=None)
    if order.step == "redispatched":
        if not person.dispatches_to(order.grid_code or case.grid_code):
            raise problems.WRONG_GRID("the map in force has no such grid, or it isn't yours", state=case.state)
        return replace(
            case,
            grid_code=order.grid_code or case.grid_code,
            alternatives=() if order.grid_code else case.alternatives,
            department=order.department or case.department,
            claimed_by=None,
        )
    if order.step == "reopened":
        return replace(case, claimed_by=None, handled_by=None)
    return case


def _with_deadline(case: Case, effect: Deadline, now: datetime, limit: timedelta) -> Case:
    if effect is Deadline.START:
        return replace(case, due_at=now + limit, paused_at=None)
    if effect is Deadline.PAUSE and case.level != "emergency":
        return replace(case, paused_at=now)
    if effect is Deadline.RESUME and case.paused_at is not None:
        return replace(case, due_at=case.due_at + (now - case.paused_at), paused_at=None)
    return case


# ── reports of the same thing ──────────────────────────────────────────────────────────────────────────────────────

_METRES_PER_DEGREE = 111_320.0
CELL_DEGREES = 0.002
"""Edge of a search cell, 222 m north to south. Stored with every case: a change needs a migration."""
_CELL_COLUMNS = 1 << 20


class Reach(NamedTuple):
    """The box around everything near a place, in degrees, and the search cells that it touches."""

    west: float
    east: float
    south: float
    north: float
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a routed report says about a thing, reduced to what finds its case."""

    report_id: UUID
    rider_id: UUID
    company: str
    kind: str
    lng: float
    lat: float
    seen_at: datetime
    text: str
    reach: Reach


@dataclass(slots=True)
class Candidate:
    """A live case that a sighting may belong to; `case` changes while the batch attaches to it."""

    case: Case
    text: str
    stored_version: int
    """The version in the database, 0 where the case is new in this batch."""
    ordinals: dict[UUID, int] = field(default_factory=dict)
    """Of those riders in the batch who reported this case before: their place among its reporters."""


def cell_of(lng: float, lat: float) -> int:
    """The search cell of a place."""
    return _cell(math.floor(lng / CELL_DEGREES), math.floor(lat / CELL_DEGREES))


def _cell(column: int, row: int) -> int:
    return (row + (_CELL_COLUMNS >> 1)) * _CELL_COLUMNS + column + (_CELL_COLUMNS >> 1)


def reach_of(lng: float, lat: float, radius_m: float) -> Reach:
    """The box around a circle: 1 to 4 cells where the circle is smaller than a cell."""
    height = radius_m / _METRES_PER_DEGREE
    width = height / max(math.cos(math.radians(lat)), 0.01)
    west, east, south, north = lng - width, lng + width, lat - height, lat + height
    columns = range(math.floor(west / CELL_DEGREES), math.floor(east / CELL_DEGREES) + 1)
    rows = range(math.floor(south / CELL_DEGREES), math.floor(north / CELL_DEGREES) + 1)
    return Reach(west, east, south, north, tuple(_cell(column, row) for row in rows for column in columns))


def place_lock(kind: str, cell: int) -> int:
    """Key of the advisory lock that serialises reports of one kind around one place; 64 bits, signed."""
    return int.from_bytes(blake2b(f"cases/{kind}/{cell}".encode(), digest_size=8).digest(), "big", signed=True)


def distance_m(lng: float, lat: float, other_lng: float, other_lat: float) -> float:
    """Metres between two near places (flat earth: exact to millimetres at 30 m)."""
    east = (other_lng - lng) * math.cos(math.radians((lat + other_lat) / 2))
    return math.hypot(east, other_lat - lat) * _METRES_PER_DEGREE


def attach(candidate: Candidate, sighting: Sighting, now: datetime) -> Taken:
    """The case with one more report. A rider who is among its reporters repeats: the case counts them once."""
    case = candidate.case
    known = candidate.ordinals.get(sighting.rider_id)
    count = case.report_count + (known is None)
    report = Report(sighting.report_id, sighting.rider_id, sighting.company, known or count)
    candidate.case = replace(case, version=case.version + 1, changed_at=now, report_count=count)
    candidate.ordinals[sighting.rider_id] = report.ordinal
    return Taken(candidate.case, "attached" if known is None else "repeated", None, "", report)
