"""What city systems learn of a task."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Plain, Utc
from shared.events.topic import Audience, EventModel, Latest, Topic

TaskKind = Literal["volunteer-task", "errand"]
TaskState = Literal["open", "paused", "cancelled", "over"]


class PublicTaskChanged(EventModel):
    """A task's whole state, without any rider and without its address."""

    task_id: UUID
    state: TaskState = Field(description="paused: a weather alarm holds where and when it is")
    kind: TaskKind
    title: Plain
    area_code: AreaCode
    starts_at: Utc
    ends_at: Utc
    capacity: int = Field(ge=1)
    points: int = Field(ge=1, description="a person, where the city's rules of points pay one point a unit")
    taken: int = Field(ge=0, description="places that riders have, or had when it ended")
    waiting: int = Field(ge=0, description="riders on the waiting list")
    approved: int = Field(ge=0, description="riders whose work was approved")
    changed_at: Utc


PUBLIC_TASK_CHANGED = Topic(
    name="public.task-changed.v1",
    model=PublicTaskChanged,
    key="task_id",
    producer="tasks",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="tasks",
    step=2,
    summary="City systems follow what communities ask riders to do.",
    partitions=3,
    kept=Latest(leaves="the task ended 30 days ago (a setting)"),
)
