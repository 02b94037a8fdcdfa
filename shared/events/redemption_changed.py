"""A redemption took a step."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Plain, Points, RiderId, Utc
from shared.events.topic import Audience, EventModel, Topic


class RedemptionChanged(EventModel):
    """A rider's way from wish to gift. The voucher's code is never on a topic."""

    redemption_id: UUID
    rider_id: RiderId
    offer_id: UUID
    merchant_id: UUID
    offer_name: Plain
    price: Points
    state: Literal["requested", "issued", "used", "expired", "refused", "cancelled", "undone"]
    reason: Plain | None = Field(None, description="why it came to nothing, or why an operator undid it")
    expires_at: Utc | None = Field(None, description="when an issued voucher gives back points and stock")
    changed_at: Utc


REDEMPTION_CHANGED = Topic(
    name="rewards.redemption-changed.v1",
    model=RedemptionChanged,
    key="redemption_id",
    producer="rewards",
    consumers=("points", "notifications"),
    audience=Audience.INTERNAL,
    journey="redemption",
    step=1,
    summary="A rider wants, gets and uses a voucher.",
)
