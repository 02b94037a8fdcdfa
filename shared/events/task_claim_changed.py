"""Something happened to a rider's part in a task that they should hear of."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Plain, RiderId, Utc
from shared.events.personal import ERASED_WORDS, Personal
from shared.events.topic import Audience, EventModel, Topic

ClaimNews = Literal[
    "promoted", "unserved", "called_off", "paused", "approved", "rejected", "overturned", "appeal_granted",
    "appeal_refused",
]  # fmt: skip


class TaskClaimChanged(EventModel):
    """One step of a claim, for its rider. What they did themselves is not among them."""

    claim_id: UUID
    task_id: UUID
    rider_id: RiderId
    news: ClaimNews
    title: Plain
    starts_at: Utc
    reason: Annotated[
        str, Field(max_length=500), Personal("words", "what the community says of it", erased=ERASED_WORDS)
    ] = ""
    changed_at: Utc


TASK_CLAIM_CHANGED = Topic(
    name="tasks.claim-changed.v1",
    model=TaskClaimChanged,
    key="claim_id",
    producer="tasks",
    consumers=("notifications",),
    audience=Audience.INTERNAL,
    journey="tasks",
    step=1,
    summary="A rider has a place now, or their work was looked at.",
)
