"""What city systems learn of an offer's stock."""

from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Plain, Points, Utc
from shared.events.topic import Audience, EventModel, Topic


class PublicStockChanged(EventModel):
    """An offer's pieces after a change: free + held + sold = stock. Many changes of a moment are one event."""

    offer_id: UUID
    offer_name: Plain
    merchant_id: UUID
    merchant_name: Plain
    area_code: AreaCode | None = Field(None, description="where the merchant is")
    price: Points
    counted: bool = Field(description="false: nothing runs out, and stock is what was given")
    stock: int = Field(ge=0)
    free: int = Field(ge=0)
    held: int = Field(ge=0, description="vouchers are out for them, or points are being asked")
    sold: int = Field(ge=0)
    closed: bool
    changed_at: Utc


PUBLIC_STOCK_CHANGED = Topic(
    name="public.stock-changed.v1",
    model=PublicStockChanged,
    key="offer_id",
    producer="rewards",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="redemption",
    step=2,
    summary="City systems follow what is left of each offer.",
    partitions=3,
)
