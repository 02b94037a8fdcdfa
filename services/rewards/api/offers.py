"""Merchants and offers: everybody with a token reads, operators write."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Path, Query, Response
from pydantic import AfterValidator, Field, field_validator, model_validator

from services.rewards import problems
from services.rewards.api.parameters import FIRST_ID, merchant_id
from services.rewards.domain import Merchant, Offer
from services.rewards.store import offers, redemptions
from services.rewards.store.offers import NewOffer
from shared.events.common import AnyZone, Points
from shared.events.outside import ONE_LINE, PLAIN_FORM, Words
from shared.kit.auth import AnyOf, Caller, CityOperator, Person, allow, policy_router
from shared.kit.auth import Merchant as MerchantPolicy
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router = policy_router(tags=["offers"])
STATEMENT_DAYS_MAX = 400
_Text = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), PLAIN_FORM]


class MerchantIn(Body):
    """A new merchant or station."""

    name: _Text
    address: _Text


class MerchantOut(Answer):
    """Who takes vouchers."""

    id: UUID
    version: int
    name: str
    address: str
    active: bool
    closed_reason: str | None = Field(description="why nothing can be redeemed here any more")


class OfferIn(Body):
    """A new offer. Opening hours are the counter's, in the city's time, and may reach over midnight."""

    merchant_id: UUID
    name: _Text
    description: Words = Field("", max_length=1_000)
    price: Points = Field(description="points; 0: a gift")
    donated_by: _Text | None = Field(None, description="who gives it")
    stock: _Count
    per_rider_max: Annotated[int, Field(ge=1, le=1_000)] | None = None
    per_day_max: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(None, description="over all riders")
    valid_from: AnyZone
    valid_until: AnyZone
    opens_at: _Clock | None = Field(None, examples=["08:00"], description="null: always open")
    closes_at: _Clock | None = Field(None, examples=["21:30"])
    voucher_minutes: int = Field(7 * 24 * 60, ge=1, le=366 * 24 * 60, description="time to use a voucher")

    @field_validator("description")
    @classmethod
    def _plain(cls, text: str) -> str:
        return text.strip()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        if (self.opens_at is None) != (self.closes_at is None):
            raise ValueError("opens_at and closes_at belong together")
        return self

    def stated(self) -> NewOffer:
        """In the store's words."""
        opens, closes = _minute(self.opens_at, 0), _minute(self.closes_at, 1440)
        fields: dict[str, Any] = self.model_dump(exclude={"opens_at", "closes_at"})
        return NewOffer(**fields, opens_minute=opens, closes_minute=closes if closes > opens else closes + 1440)


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
    stock: int
    free: int
    held: int
    sold: int
    per_rider_max: int | None
    per_day_max: int | None
    valid_from: datetime
    valid_until: datetime
    opens_at: str
    closes_at: str
    voucher_minutes: int
    closed_reason: str | None = Field(description="why no more can be had; vouchers that are out stay good")

    @staticmethod
    def of(offer: Offer) -> "OfferOut":
        """Times of opening as clock times."""
        values = {name: getattr(offer, name) for name in OfferOut.model_fields if hasattr(offer, name)}
        return OfferOut(**values, opens_at=_clock(offer.opens_minute), closes_at=_clock(offer.closes_minute))


class StockIn(Body):
    """The new total. `version` is the offer's that the caller has seen."""

    stock: _Count
    version: int = Field(ge=1, le=1_000_000_000)


class ClosingIn(Body):
    """Why it is closed, for riders to read; null opens it again."""

    reason: Annotated[_Text, AfterValidator(masked)] | None


class StatementLineOut(Answer):
    """Vouchers of one offer at one price."""

    offer_id: UUID
    offer_name: str
    price: int
    vouchers: int
    points: int


class StatementOut(Answer):
    """What a merchant took in [from, until): the points equal what points posted for these redemptions."""

    merchant_id: UUID
    since: datetime
    until: datetime
    lines: list[StatementLineOut]
    vouchers: int
    points: int


@router.post("/v1/merchants", status_code=201, response_model=MerchantOut)
@allow(CityOperator)
async def create_merchant(body: MerchantIn, attempt: Idempotent, service: CurrentService) -> Response:
    """Register a merchant; tokens of its people carry its id."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made: Merchant = await offers.add_merchant(work.conn, new_id(), body.name, body.address)
        return await attempt.store(work.conn, 201, MerchantOut.model_validate(made))


@router.get("/v1/merchants")
@allow(Person)
async def list_merchants(conn: Reading, asked: Asked) -> Page[MerchantOut]:
    """Merchants and stations, by id."""
    found = await offers.merchants(conn, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, MerchantOut.model_validate, lambda merchant: merchant.id)


@router.put("/v1/merchants/{id}/closing")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def close_merchant(
    id_: Annotated[UUID, Path(alias="id")], body: ClosingIn, service: CurrentService
) -> MerchantOut:
    """Close all offers of a merchant, or open them again. It goes on taking vouchers that are out."""
    async with service.work() as work:
        found = await offers.close_merchant(work.conn, id_, body.reason)
    if found is None:
        raise not_found("merchant")
    return MerchantOut.model_validate(found)


@router.get("/v1/merchants/{id}/statement")
@allow(
    AnyOf(MerchantPolicy, CityOperator),
    refuses=(
        NOT_FOUND,
        problems.BAD_PERIOD,
    ),
)
async def read_statement(
    id_: Annotated[UUID, Path(alias="id")],
    since: Annotated[AnyZone, Query(alias="from")],
    until: Annotated[AnyZone, Query(alias="to")],
    caller: Caller,
    conn: Reading,
) -> StatementOut:
    """Vouchers taken in [from, to), at most 400 days; a merchant reads its own."""
    if not caller.has("operator") and merchant_id(caller) != id_:
        raise not_found("merchant")
    if not 0 < (until - since).total_seconds() <= STATEMENT_DAYS_MAX * 86_400:
        raise problems.BAD_PERIOD(f"from before to, at most {STATEMENT_DAYS_MAX} days")
    if await offers.merchant(conn, id_) is None:
        raise not_found("merchant")
    found = await redemptions.statement(conn, id_, since, until)
    lines = [StatementLineOut.model_validate(line) for line in found]
    return StatementOut(
        merchant_id=id_,
        since=since,
        until=until,
        lines=lines,
        vouchers=sum(line.vouchers for line in lines),
        points=sum(line.points for line in lines),
    )


@router.post("/v1/offers", status_code=201, response_model=OfferOut)
@allow(CityOperator, refuses=(NOT_FOUND,))
async def create_offer(body: OfferIn, attempt: Idempotent, service: CurrentService) -> Response:
    """Put an offer up with its stock."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        if await offers.merchant(work.conn, body.merchant_id) is None:
            raise not_found("merchant")
        id_ = new_id()
        await offers.add_offer(work.conn, id_, body.stated())
        made = await offers.offer(work.conn, id_)
        assert made is not None, "inserted in this transaction"
        return await attempt.store(work.conn, 201, OfferOut.of(made))


@router.get("/v1/offers")
@allow(Person)
async def list_offers(conn: Reading, asked: Asked, merchant_id: UUID | None = None) -> Page[OfferOut]:
    """What can be had now, sold-out offers included, by id."""
    found = await offers.offers(conn, asked.after(UUID) or FIRST_ID, merchant_id, asked.rows)
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
    ),
)
async def set_stock(offer_id: UUID, body: StockIn, service: CurrentService) -> OfferOut:
    """Set the total stock; never below what is held and sold."""
    async with service.work() as work:
        done = await offers.set_stock(work.conn, offer_id, body.stock, body.version)
        found = await offers.offer(work.conn, offer_id)
        if found is None:
            raise not_found("offer")
        if not done:
            raise problems.STOCK_MOVED_ON(current_version=found.version, held=found.held, sold=found.sold)
        return OfferOut.of(found)


@router.put("/v1/offers/{offer_id}/closing")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def close_offer(offer_id: UUID, body: ClosingIn, service: CurrentService) -> OfferOut:
    """Close an offer, or open it again: no new redemptions; vouchers that are out stay good till their end."""
    async with service.work() as work:
        await offers.close_offer(work.conn, offer_id, body.reason)
        found = await offers.offer(work.conn, offer_id)
    if found is None:
        raise not_found("offer")
    return OfferOut.of(found)


def _minute(clock: str | None, default: int) -> int:
    return default if clock is None else int(clock[:2]) * 60 + int(clock[3:])


def _clock(minute: int) -> str:
    return "24:00" if minute == 1440 else f"{minute // 60 % 24:02}:{minute % 60:02}"
