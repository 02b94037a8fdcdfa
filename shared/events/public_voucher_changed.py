"""What city systems learn of vouchers."""

from typing import Literal
from uuid import UUID

from shared.events.common import Plain, Points, Utc
from shared.events.topic import Audience, EventModel, Topic


class PublicVoucherChanged(EventModel):
    """A voucher was issued, or came to an end; whose it is, nobody learns. `merchant_id` of a used one: who took it."""

    redemption_id: UUID
    offer_id: UUID
    offer_name: Plain
    merchant_id: UUID
    price: Points
    state: Literal["issued", "used", "expired", "cancelled", "undone"]
    changed_at: Utc


PUBLIC_VOUCHER_CHANGED = Topic(
    name="public.voucher-changed.v1",
    model=PublicVoucherChanged,
    key="redemption_id",
    producer="rewards",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="redemption",
    step=2,
    summary="City systems follow vouchers, without riders.",
    partitions=3,
)
