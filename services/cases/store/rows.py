"""What is written of cases, row by row. How it is made of a case is said here alone.

Rows are never changed; they aren't declared frozen, which would make each cost three times as much.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.cases.domain import LIVE, Case, Report, Sighting, State, Step, Taken, cell_of
from shared.events.common import Level


@dataclass(slots=True, eq=False)
class Look:
    """Where one sighting (by its number) looks for its case: in a cell, inside a box of degrees."""

    number: int
    kind: str
    cell: int
    west: float
    east: float
    south: float
    north: float
    lng: float
    lat: float
    seen_at: datetime

    @classmethod
    def of(cls, number: int, sighting: Sighting, cell: int) -> "Look":
        """Into one of the cells that the sighting reaches."""
        reach = sighting.reach
        return cls(
            number=number, kind=sighting.kind, cell=cell, west=reach.west, east=reach.east, south=reach.south,
            north=reach.north, lng=sighting.lng, lat=sighting.lat, seen_at=sighting.seen_at,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class OpenedCase:
    """A case as it is entered."""

    case_id: UUID
    version: int
    state: State
    live: bool
    kind: str
    level: Level
    grid_code: str
    alternatives: tuple[str, ...]
    department: str | None
    lng: float
    lat: float
    cell: int
    seen_at: datetime
    opened_at: datetime
    due_at: datetime
    changed_at: datetime
    report_count: int

    @classmethod
    def of(cls, case: Case) -> "OpenedCase":
        """Its version may already count attached reports."""
        return cls(
            case_id=case.case_id, version=case.version, state="open", live=True, kind=case.kind, level=case.level,
            grid_code=case.grid_code, alternatives=case.alternatives, department=case.department, lng=case.lng,
            lat=case.lat, cell=cell_of(case.lng, case.lat), seen_at=case.seen_at, opened_at=case.opened_at,
            due_at=case.due_at, changed_at=case.changed_at, report_count=case.report_count,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class ChangedCase:
    """What a case has become that had `version_before`; `alternatives` parted by commas."""

    case_id: UUID
    version_before: int
    version: int
    state: State
    live: bool
    grid_code: str
    alternatives: str
    department: str | None
    due_at: datetime
    changed_at: datetime
    paused_at: datetime | None
    claimed_by_id: str | None
    claimed_by_name: str | None
    claimed_by_role: str | None
    handled_by: str | None
    report_count: int

    @classmethod
    def of(cls, before: int, case: Case) -> "ChangedCase":
        """A case after steps, and the version that it had in the database."""
        by = case.claimed_by
        return cls(
            case_id=case.case_id, version_before=before, version=case.version, state=case.state,
            live=case.state in LIVE, grid_code=case.grid_code, alternatives=",".join(case.alternatives),
            department=case.department, due_at=case.due_at, changed_at=case.changed_at, paused_at=case.paused_at,
            claimed_by_id=by.id if by else None, claimed_by_name=by.name if by else None,
            claimed_by_role=by.role if by else None, handled_by=case.handled_by, report_count=case.report_count,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class CaseReport:
    """A report with its case; a report belongs to one case for good."""

    report_id: UUID
    case_id: UUID
    version: int
    ordinal: int | None
    rider_id: UUID
    company: str
    text: str
    photos: tuple[str, ...]

    @classmethod
    def of(cls, taken: Taken, report: Report, text: str, photos: tuple[str, ...]) -> "CaseReport":
        """A repetition has no ordinal of its own."""
        return cls(
            report_id=report.report_id, case_id=taken.case.case_id, version=taken.case.version,
            ordinal=None if taken.step == "repeated" else report.ordinal, rider_id=report.rider_id,
            company=report.company, text=text, photos=photos,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class NewStep:
    """A step as it is remembered."""

    case_id: UUID
    version: int
    step: Step
    state: State
    actor_id: str | None
    actor_name: str | None
    actor_role: str | None
    report_id: UUID | None
    note: str
    at: datetime

    @classmethod
    def of(cls, taken: Taken) -> "NewStep":
        """A step that was taken."""
        case, actor, report = taken.case, taken.actor, taken.report
        return cls(
            case_id=case.case_id, version=case.version, step=taken.step, state=case.state,
            actor_id=actor.id if actor else None, actor_name=actor.name if actor else None,
            actor_role=actor.role if actor else None, report_id=report.report_id if report else None, note=taken.note,
            at=case.changed_at,
        )  # fmt: skip
