"""A rider's sign-up for an activity has changed, or the activity has: what its rider hears."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Plain, RiderId, Utc
from shared.events.personal import Impersonal
from shared.events.topic import Audience, EventModel, Topic


class SignupChanged(EventModel):
    """One thing that has happened to a sign-up, and when and where the activity is."""

    signup_id: UUID
    activity_id: UUID
    rider_id: RiderId
    what: Annotated[
        Literal[
            "wished", "waiting", "confirmed", "drawn", "not_drawn", "moved_up", "cancelled", "called_off", "changed",
            "reminded",
        ],
        Impersonal(),
    ]  # fmt: skip
    number: int = Field(ge=1, description="in the order in which they came")
    turn: int = Field(ge=1, description="place in the line")
    title_zh: Plain
    title_en: Plain
    address: Plain
    starts_at: Utc
    signup_until: Utc
    reason: Plain = Field("", description="why an activity was called off")
    changed_at: Utc


SIGNUP_CHANGED = Topic(
    name="activities.signup-changed.v1",
    model=SignupChanged,
    key="signup_id",
    producer="activities",
    consumers=("notifications",),
    audience=Audience.INTERNAL,
    journey="activities",
    step=1,
    summary="A rider has a place, waits for one, or an activity is changed, called off or near.",
)
