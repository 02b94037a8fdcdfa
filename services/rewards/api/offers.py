"""Offers and the hours that are agreed on: everybody with a token reads, operators write."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field, field_validator, model_validator

from services.rewards import problems
from services.rewards.api.parameters import (
    ALL_WEEK,
    FIRST_ID,
    Clock,
    ClosingIn,
    Text,
    Weekdays,
    as_bits,
    as_days,
    clock,
    minutes,
)
from services.rewards.domain import Offer, Slot
from services.rewards.store import merchants, offers, slots
from services.rewards.store.offers import NewOffer
from services.rewards.store.slots import NewSlot
from services.rewards.usecases.redemptions import say_stock
from shared.events.common import AnyZone, AreaCode, CompanyCode, Points
from shared.events.outside import PLAIN_FORM, Words
from shared.kit.auth import Caller, CityOperator, Person, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router = policy_router(tags=["offers"])
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Photo = Annotated[
    str, Field(pattern=r"^(https://[\x21-\x7e]{1,300}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"), PLAIN_FORM
]
SLOT_HOURS_MAX = 24


class OfferIn(Body):
    """A new offer. Opening hours are the counter's, in the city's time, and may reach over midnight."""

    merchant_id: UUID
    name: Text
    description: Words = Field("", max_length=1_000)
    price: Points = Field(description="points; 0: a gift")
    donated_by: Text | None = Field(None, description="who gives it")
    thanks: Words = Field("", max_length=300, description="what is said to the donor")
    stock: _Count = Field(description="pieces; 0 where they are not counted")
    counted: bool = Field(True, description="false: nothing runs out, as air for a tyre")
    per_rider_max: Annotated[int, Field(ge=1, le=1_000)] | None = None
    per_rider_day_max: Annotated[int, Field(ge=1, le=1_000)] | None = Field(None, description="a day of the city")
    per_day_max: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="over all riders, a day of the city"
    )
    valid_from: AnyZone
    valid_until: AnyZone
    opens_at: Clock | None = Field(None, examples=["08:00"], description="null: always open")
    closes_at: Clock | None = Field(None, examples=["21:30"])
    weekdays: Weekdays = Field(ALL_WEEK, description="on which the counter takes vouchers; 1 is Monday")
    voucher_minutes: int = Field(7 * 24 * 60, ge=1, le=366 * 24 * 60, description="time to use a voucher")
    by_appointment: bool = Field(False, description="each redemption needs one of its slots")
    citywide: bool = Field(False, description="its vouchers are good at every station that has a piece of it")
    delivered: bool = Field(False, description="its goods have to be brought before a voucher is taken")
    companies: tuple[CompanyCode, ...] = Field((), max_length=50, description="whose riders may have it; none: all")
    areas: tuple[AreaCode, ...] = Field((), max_length=50, description="where it is shown; none: everywhere")
    least_level: int = Field(
        0, ge=0, le=100, description="the rank of the level that a rider needs, see /v1/badges/thresholds; 0: everybody"
    )
    photos: tuple[_Photo, ...] = Field((), max_length=10, description="ids of stored photos, or https addresses")

    @field_validator("description", "thanks")
    @classmethod
    def _plain(cls, text: str) -> str:
        return text.strip()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        if (self.opens_at is None) != (self.closes_at is None):
            raise ValueError("opens_at and closes_at belong together")
        if self.stock and (self.citywide or not self.counted):
            raise ValueError("what is not counted has no stock; of an offer for the whole city the stations have it")
        if self.citywide and (not self.counted or self.by_appointment):
            raise ValueError("an offer for the whole city is counted, and without appointments")
        if self.delivered and (self.citywide or self.by_appointment):
            raise ValueError("what is delivered is fetched at its merchant, without appointments")
        return self

    def stated(self) -> NewOffer:
        """In the store's words."""
        opens, closes = minutes(self.opens_at, self.closes_at)
        fields: dict[str, Any] = self.model_dump(exclude={"opens_at", "closes_at", "weekdays"})
        return NewOffer(**fields, weekdays=as_bits(self.weekdays), opens_minute=opens, closes_minute=closes)


class OfferOut(Answer):
    """An offer with its stock: free + held + sold = stock."""

    id: UUID
    version: int
    merchant_id: UUID
    merchant_name: str
    name: str
    description: str
    price: int
    donated_by: str | None
    thanks: str
    stock: int
    counted: bool
    free: int
    held: int
    sold: int
    per_rider_max: int | None
    per_rider_day_max: int | None
    per_day_max: int | None
    valid_from: datetime
    valid_until: datetime
    opens_at: str
    closes_at: str
    weekdays: tuple[int, ...]
    voucher_minutes: int
    by_appointment: bool
    citywide: bool
    delivered: bool
    companies: tuple[str, ...]
    areas: tuple[str, ...]
    least_level: int = Field(description="the rank of the level that a rider needs; 0: everybody may have it")
    photos: tuple[str, ...]
    closed_reason: str | None = Field(description="why no more can be had; vouchers that are out stay good")

    @staticmethod
    def of(offer: Offer) -> "OfferOut":
        """Times of opening as clock times."""
        values = {name: getattr(offer, name) for name in OfferOut.model_fields if hasattr(offer, name)}
        values |= {"opens_at": clock(offer.opens_minute), "closes_at": clock(offer.closes_minute)}
        return OfferOut(**values | {"weekdays": as_days(offer.weekdays)})


class StockIn(Body):
    """The new total. `version` is the offer's that the caller has seen."""

    stock: _Count
    version: int = Field(ge=1, le=1_000_000_000)


class SlotIn(Body):
    """An hour that riders can agree on."""

    starts_at: AnyZone
    ends_at: AnyZone
    capacity: Annotated[int, Field(ge=1, le=10_000)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < (self.ends_at - self.starts_at).total_seconds() <= SLOT_HOURS_MAX * 3_600:
            raise ValueError(f"starts_at must be before ends_at, at most {SLOT_HOURS_MAX} hours")
        return self


class SlotsIn(Body):
    """Hours of one offer."""

    items: Annotated[list[SlotIn], Field(min_length=1, max_length=200)]


class SlotOut(Answer):
    """An hour with its places; its voucher is good until it ends."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    capacity: int
    free: int

    @staticmethod
    def of(slot: Slot) -> "SlotOut":
        """With what is free."""
        return SlotOut(
            id=slot.id,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            capacity=slot.capacity,
            free=slot.capacity - slot.taken,
        )


class AddedOut(Answer):
    """How many hours there are more."""

    added: int


@router.post("/v1/offers", status_code=201, response_model=OfferOut)
@allow(CityOperator, refuses=(NOT_FOUND,), writes=True)
async def create_offer(body: OfferIn, attempt: Idempotent, service: CurrentService) -> Response:
    """Put an offer up with its stock."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        if await merchants.merchant(work.conn, body.merchant_id) is None:
            raise not_found("merchant")
        id_ = new_id()
        await offers.add_offer(work.conn, id_, body.stated())
        made = await offers.offer(work.conn, id_)
        assert made is not None, "inserted in this transaction"
        say_stock(work, await offers.say(work.conn, [id_]))
        return await attempt.store(work.conn, 201, OfferOut.of(made))


@router.get("/v1/offers")
@allow(Person)
async def list_offers(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    merchant_id: UUID | None = None,
    area: Annotated[AreaCode | None, Query(description="only what is shown there")] = None,
) -> Page[OfferOut]:
    """What can be had now, sold-out offers included, by id. A rider doesn't see what is for other companies' riders, or
    for higher levels.
    """
    rider = caller.rider_id if caller.has("rider") and not caller.has("operator") else None
    found = await offers.offers(conn, asked.after(UUID) or FIRST_ID, merchant_id, asked.rows, area, rider)
    return asked.page(found, OfferOut.of, lambda offer: offer.id)


@router.get("/v1/offers/{offer_id}")
@allow(Person, refuses=(NOT_FOUND,))
async def read_offer(offer_id: UUID, conn: Reading) -> OfferOut:
    """One offer, also when it isn't valid now."""
    found = await offers.offer(conn, offer_id)
    if found is None:
        raise not_found("offer")
    return OfferOut.of(found)


@router.put("/v1/offers/{offer_id}/stock")
@allow(
    CityOperator,
    refuses=(
        NOT_FOUND,
        problems.STOCK_MOVED_ON,
        problems.STOCK_NOT_SET_HERE,
    ),
    writes=True,
)
async def set_stock(offer_id: UUID, body: StockIn, service: CurrentService) -> OfferOut:
    """Set the total stock; never below what is held and sold."""
    async with service.work() as work:
        done = await offers.set_stock(work.conn, offer_id, body.stock, body.version)
        found = await offers.offer(work.conn, offer_id)
        if found is None:
            raise not_found("offer")
        if not done and (found.citywide or not found.counted):
            raise problems.STOCK_NOT_SET_HERE()
        if not done:
            raise problems.STOCK_MOVED_ON(current_version=found.version, held=found.held, sold=found.sold)
        say_stock(work, await offers.say(work.conn, [offer_id]))
        return OfferOut.of(found)


@router.put("/v1/offers/{offer_id}/closing")
@allow(CityOperator, refuses=(NOT_FOUND,), writes=True)
async def close_offer(offer_id: UUID, body: ClosingIn, service: CurrentService) -> OfferOut:
    """Close an offer, or open it again: no new redemptions; vouchers that are out stay good till their end."""
    async with service.work() as work:
        await offers.close_offer(work.conn, offer_id, body.reason)
        say_stock(work, await offers.say(work.conn, [offer_id]))
        found = await offers.offer(work.conn, offer_id)
    if found is None:
        raise not_found("offer")
    return OfferOut.of(found)


@router.post("/v1/offers/{offer_id}/slots", status_code=201, response_model=AddedOut)
@allow(CityOperator, refuses=(NOT_FOUND, problems.SLOT_EXISTS))
async def add_slots(offer_id: UUID, body: SlotsIn, attempt: Idempotent, service: CurrentService) -> Response:
    """Put up hours of an offer by appointment: all of them, or none."""
    new = [NewSlot(new_id(), one.starts_at, one.ends_at, one.capacity) for one in body.items]
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        if await offers.offer(work.conn, offer_id) is None:
            raise not_found("offer")
        if not await slots.add(work.conn, offer_id, new):
            raise problems.SLOT_EXISTS()
        return await attempt.store(work.conn, 201, AddedOut(added=len(new)))


@router.get("/v1/offers/{offer_id}/slots")
@allow(Person)
async def list_slots(offer_id: UUID, conn: Reading, asked: Asked) -> Page[SlotOut]:
    """Hours that are not over, full ones too, in the order in which they were put up."""
    found = await slots.slots(conn, offer_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, SlotOut.of, lambda slot: slot.id)
