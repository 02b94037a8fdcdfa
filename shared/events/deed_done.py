"""A rider has done something that may earn points: a task, a course, a check-in, an activity, a rescue.

Any service reports its riders' deeds on a topic of its own, `<service>.deed-done.v1`; which of them earn, where and how
much, the rules of points say (docs/adr/0087). A service that begins names its actions in its about.py and publishes
with its name: `work.publish(DEED_DONE, deed, version=1, service="stations")`.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Plain, RiderId, Utc
from shared.events.personal import ERASED_WORDS, Personal
from shared.events.topic import ANY_SERVICE, Audience, EventModel, Topic

ACTION = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
QUANTITY_MAX = 1_000
Action = Annotated[Plain, Field(pattern=ACTION, max_length=40, examples=["volunteer-task"])]


class DeedDone(EventModel):
    """One deed, whole. It is never corrected: who reported it wrongly withdraws it and reports another one.

    `done` and `withdrawn` of one deed say the same of it, but for `state`, `reason` and `changed_at`.
    """

    deed_id: UUID
    state: Literal["done", "withdrawn"] = "done"
    action: Action
    rider_id: RiderId
    area_code: AreaCode = Field(description="where it was done: a grid, or any area above it")
    quantity: int = Field(1, ge=1, le=QUANTITY_MAX, description="in the units of its rule: hours, items, times")
    role: Annotated[Plain, Field(pattern=ACTION, max_length=40)] | None = Field(
        None, description="as what the rider did it, e.g. captain"
    )
    outcome: Annotated[Plain, Field(pattern=ACTION, max_length=40)] | None = Field(
        None, description="how it came out, e.g. passed"
    )
    done_at: Annotated[Utc, Personal("time", "when it was done; its day's rules hold")]
    confirmed_by: Annotated[Plain, Field(min_length=1, max_length=64)] = Field(
        description="the office that has confirmed it: a department, station or street by its code, no person"
    )
    reason: Annotated[
        str, Field(max_length=500), Personal("words", "why it was withdrawn, for the rider", erased=ERASED_WORDS)
    ] = ""
    changed_at: Utc


DEED_DONE = Topic(
    name="{service}.deed-done.v1",
    model=DeedDone,
    key="deed_id",
    producer=ANY_SERVICE,
    consumers=("points",),
    audience=Audience.INTERNAL,
    journey="deed",
    step=1,
    summary="A rider's deed was confirmed, or withdrawn.",
)
