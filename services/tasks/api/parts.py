"""Parts of bodies and answers that several routes share, and where a caller may look."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from services.tasks.domain import Claim, ClaimState, Kind, Task
from shared.events.common import AreaCode, Latitude, Longitude
from shared.events.outside import ONE_LINE, PLAIN_FORM, Words
from shared.kit.auth import Principal
from shared.kit.http.models import Answer, Body
from shared.kit.privacy.masking import masked
from shared.kit.problems import FORBIDDEN

FIRST_ID = UUID(int=0)
FIRST = (datetime(1970, 1, 1, tzinfo=UTC), FIRST_ID)
"""Before this nothing is in a list by time."""
Title = Annotated[str, Field(min_length=1, max_length=80), ONE_LINE]
Note = Annotated[Words, Field(max_length=500), AfterValidator(masked)]
Reason = Annotated[Words, Field(min_length=3, max_length=500), AfterValidator(masked)]
Skill = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", examples=["first-aid"]), PLAIN_FORM]
Skills = Annotated[tuple[Skill, ...], Field(max_length=10)]


class ReasonIn(Body):
    """Why, for those whom it concerns."""

    reason: Reason


class PlaceIn(Body):
    """A place, WGS-84."""

    lng: Longitude
    lat: Latitude


class TermsIn(Body):
    """What a task is, once or each week."""

    kind: Kind
    area_code: AreaCode
    title: Title
    needs: Annotated[Words, Field(min_length=1, max_length=1_000)] = Field(
        description="what is to be done, and brought"
    )
    address: Annotated[str, Field(min_length=1, max_length=120), ONE_LINE]
    place: PlaceIn | None = Field(None, description="public: where riders have to be to start; none: anywhere")
    skills: Skills = Field((), description="all of which a rider needs, by the city's own codes")
    capacity: Annotated[int, Field(ge=1, le=1_000)]
    points: Annotated[int, Field(ge=1, le=1_000, description="a person; asked of points as so many units")]
    points_given: Annotated[int, Field(ge=1, le=1_000_000, description="what there is of points for one task")]
    team_id: UUID | None = Field(None, description="for members of this team alone")
    hand_back_hours: Annotated[int, Field(ge=0, le=168)] | None = Field(
        None, description="until so long before the start a place can be handed back; null: as the city has set it"
    )

    def placed(self) -> tuple[float | None, float | None]:
        """Longitude and latitude."""
        return (None, None) if self.place is None else (self.place.lng, self.place.lat)


class TaskOut(Answer):
    """A task as it is now."""

    id: UUID
    version: int
    series_id: UUID | None
    team_id: UUID | None
    kind: Kind
    area_code: str
    title: str
    needs: str
    address: str
    lng: float | None
    lat: float | None
    skills: tuple[str, ...]
    capacity: int
    points: int
    points_given: int
    free: int = Field(description="places that can be had at once; none while others wait for them")
    waiting: int
    starts_at: datetime
    ends_at: datetime
    hand_back_until: datetime
    state: str = Field(description="open, paused by a weather alarm, cancelled or over")
    reason: str = Field(description="why it was cancelled")

    @staticmethod
    def of(task: Task, now: datetime) -> "TaskOut":
        """With its state as riders have it."""
        values = {name: getattr(task, name) for name in TaskOut.model_fields if hasattr(task, name)}
        state = "paused" if task.paused and task.state == "open" else task.state
        return TaskOut(**values | {"free": task.free_at(now), "state": state})


class ClaimOut(Answer):
    """One rider's part in a task."""

    id: UUID
    task_id: UUID
    rider_id: UUID
    team_id: UUID | None
    no: int = Field(description="its number in the task's line")
    state: ClaimState
    claimed_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    photo_id: UUID | None
    note: str
    review_due_at: datetime | None
    decided_at: datetime | None
    reason: str = Field(description="why it was approved or rejected, in the last decision's words")
    appeal: str
    appealed_at: datetime | None
    appeal_decided_at: datetime | None

    @staticmethod
    def of(claim: Claim) -> "ClaimOut":
        """Without who has judged it, and without the contact."""
        return ClaimOut.model_validate(claim)


def need(caller: Principal, area: str) -> None:
    """Raises the 403 problem where the caller doesn't answer for an area."""
    if not caller.covers(area):
        raise FORBIDDEN("the area is not one of yours")


def areas_of(caller: Principal) -> list[str] | None:
    """The areas that the caller answers for, with all that lies in them; None: the whole city."""
    return None if caller.covers_city else sorted(caller.tree.below(caller.areas))
