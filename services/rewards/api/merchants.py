"""Merchants and stations: applying, deciding, their places and people, and the list that everybody may read."""

import csv
import io
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Path, Query, Response
from pydantic import AfterValidator, Field, model_validator

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
    merchant_id,
    minutes,
)
from services.rewards.domain import Store
from services.rewards.store import merchants, offers, redemptions
from services.rewards.store.merchants import Clerk, ListLine, NewMerchant, NewStore
from services.rewards.usecases.redemptions import say_stock
from shared.events.common import AnyZone, AreaCode, Latitude, Longitude
from shared.events.outside import Code, Line
from shared.kit.auth import AnyOf, Caller, CityOperator, Person, Principal, Public, allow, policy_router
from shared.kit.auth import Merchant as MerchantPolicy
from shared.kit.auth.idempotency import Idempotent
from shared.kit.cells import neutral
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id, one_form
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router = policy_router(tags=["merchants"])
STATEMENT_DAYS_MAX = 400
LIST_MAX = 5_000
_Id = Annotated[UUID, Path(alias="id")]


class MerchantIn(Body):
    """A new merchant or station."""

    name: Text
    address: Text
    kind: Literal["shop", "station"] = "shop"
    service: Annotated[Line, Field(max_length=120)] = Field("", description="what it does for riders, in a few words")
    area_code: AreaCode | None = Field(None, description="where it is")


class MerchantOut(Answer):
    """Who takes vouchers."""

    id: UUID
    version: int
    name: str
    address: str
    active: bool
    closed_reason: str | None = Field(description="why nothing can be redeemed here any more")
    kind: Literal["shop", "station"]
    service: str
    area_code: str | None
    review: Literal["applied", "approved", "refused"]
    review_reason: str | None


class ReviewIn(Body):
    """Whether a merchant may take part, and why not."""

    approved: bool
    reason: Annotated[Text, AfterValidator(masked)] | None = Field(None, description="needed for a refusal")

    @model_validator(mode="after")
    def _with_reason(self) -> Self:
        if not self.approved and self.reason is None:
            raise ValueError("a refusal needs a reason")
        return self


class StoreIn(Body):
    """A place of a merchant, WGS-84; hours in the city's time, over midnight too."""

    name: Text
    address: Text
    area_code: AreaCode | None = None
    lng: Longitude | None = None
    lat: Latitude | None = None
    opens_at: Clock | None = Field(None, examples=["08:00"], description="null: always open")
    closes_at: Clock | None = Field(None, examples=["21:30"])
    weekdays: Weekdays = Field(ALL_WEEK, description="1 is Monday")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.lng is None) != (self.lat is None) or (self.opens_at is None) != (self.closes_at is None):
            raise ValueError("lng and lat belong together, opens_at and closes_at too")
        return self

    def stated(self) -> NewStore:
        """In the store's words."""
        opens, closes = minutes(self.opens_at, self.closes_at)
        return NewStore(
            self.name, self.address, self.area_code, self.lng, self.lat, opens, closes, as_bits(self.weekdays)
        )


class StoreOut(Answer):
    """A place of a merchant."""

    id: UUID
    name: str
    address: str
    area_code: str | None
    lng: float | None
    lat: float | None
    opens_at: str
    closes_at: str
    weekdays: tuple[int, ...]

    @staticmethod
    def of(store: Store) -> "StoreOut":
        """Hours as clock times."""
        values = {name: getattr(store, name) for name in StoreOut.model_fields if hasattr(store, name)}
        values |= {"opens_at": clock(store.opens_minute), "closes_at": clock(store.closes_minute)}
        return StoreOut(**values | {"weekdays": as_days(store.weekdays)})


class ClerkIn(Body):
    """Who takes vouchers here. Once anybody is named, nobody else may."""

    name: Text
    active: bool = True


class ClerkOut(Answer):
    """Who takes vouchers, by the `sub` of their token."""

    person: str
    name: str
    active: bool


class ListLineOut(Answer):
    """A line of 商户服务暖新清单."""

    offer_id: UUID
    merchant: str
    address: str
    service: str
    price: int
    quota_zh: str
    quota_en: str
    donated_by: str | None

    @staticmethod
    def of(line: ListLine) -> "ListLineOut":
        """With the quota in words."""
        zh, en = line.quota.words()
        values = {name: getattr(line, name) for name in ListLineOut.model_fields if hasattr(line, name)}
        return ListLineOut(**values, quota_zh=zh, quota_en=en)


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
        made = await merchants.add(work.conn, new_id(), NewMerchant(**body.model_dump()))
        assert made is not None, "no application that another could be in the way of"
        return await attempt.store(work.conn, 201, MerchantOut.model_validate(made))


@router.get("/v1/merchants")
@allow(Person)
async def list_merchants(conn: Reading, asked: Asked) -> Page[MerchantOut]:
    """Merchants and stations that take part, by id."""
    found = await merchants.merchants(conn, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, MerchantOut.model_validate, lambda merchant: merchant.id)


@router.post("/v1/merchants/applications", status_code=201, response_model=MerchantOut)
@allow(Person, body_max=4_000, refuses=(problems.APPLICATION_OPEN,))
async def apply(body: MerchantIn, caller: Caller, attempt: Idempotent, service: CurrentService) -> Response:
    """Ask to take part. Nothing can be had there before an operator approves it; one application at a time."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await merchants.add(work.conn, new_id(), NewMerchant(**body.model_dump()), caller.id)
        if made is None:
            raise problems.APPLICATION_OPEN()
        return await attempt.store(work.conn, 201, MerchantOut.model_validate(made))


@router.get("/v1/merchants/applications")
@allow(Person)
async def list_applications(caller: Caller, conn: Reading, asked: Asked) -> Page[MerchantOut]:
    """The city's operators read all that wait; everybody else their own, decided ones too."""
    everybody = caller.has("operator") and caller.covers_city
    person = None if everybody else caller.id
    found = await merchants.applications(conn, asked.after(UUID) or FIRST_ID, asked.rows, person)
    return asked.page(found, MerchantOut.model_validate, lambda merchant: merchant.id)


@router.put("/v1/merchants/{id}/review")
@allow(CityOperator, refuses=(NOT_FOUND, problems.ALREADY_REVIEWED), writes=True)
async def review(id_: _Id, body: ReviewIn, caller: Caller, service: CurrentService) -> MerchantOut:
    """Decide about an application, once."""
    async with service.work() as work:
        made = await merchants.review(work.conn, id_, approved=body.approved, reason=body.reason, by=caller.id)
        if made is None and await merchants.merchant(work.conn, id_) is None:
            raise not_found("merchant")
        say_stock(work, await offers.say_of(work.conn, id_) if made is not None else ())
    if made is None:
        raise problems.ALREADY_REVIEWED()
    return MerchantOut.model_validate(made)


@router.put("/v1/merchants/{id}/closing")
@allow(CityOperator, refuses=(NOT_FOUND,), writes=True)
async def close_merchant(id_: _Id, body: ClosingIn, service: CurrentService) -> MerchantOut:
    """Close all offers of a merchant, or open them again. It goes on taking vouchers that are out."""
    async with service.work() as work:
        found = await merchants.close(work.conn, id_, body.reason)
        say_stock(work, await offers.say_of(work.conn, id_))
    if found is None:
        raise not_found("merchant")
    return MerchantOut.model_validate(found)


@router.post("/v1/merchants/{id}/stores", status_code=201, response_model=StoreOut)
@allow(CityOperator, refuses=(NOT_FOUND,))
async def add_store(id_: _Id, body: StoreIn, attempt: Idempotent, service: CurrentService) -> Response:
    """A place where the merchant takes vouchers."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        if await merchants.merchant(work.conn, id_) is None:
            raise not_found("merchant")
        made = await merchants.add_store(work.conn, new_id(), id_, body.stated())
        return await attempt.store(work.conn, 201, StoreOut.of(made))


@router.get("/v1/merchants/{id}/stores")
@allow(Person)
async def list_stores(id_: _Id, conn: Reading, asked: Asked) -> Page[StoreOut]:
    """Places of a merchant, by id."""
    found = await merchants.stores(conn, id_, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, StoreOut.of, lambda store: store.id)


@router.put("/v1/merchants/{id}/staff/{person}")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def set_clerk(
    id_: _Id,
    person: Annotated[Code, Path(max_length=128), AfterValidator(one_form)],
    body: ClerkIn,
    caller: Caller,
    service: CurrentService,
) -> ClerkOut:
    """Let somebody take vouchers for a merchant, or no longer."""
    async with service.work() as work:
        if await merchants.merchant(work.conn, id_) is None:
            raise not_found("merchant")
        made = await merchants.set_clerk(work.conn, id_, Clerk(person, body.name, body.active), caller.id)
    return ClerkOut.model_validate(made)


@router.get("/v1/merchants/{id}/staff")
@allow(AnyOf(MerchantPolicy, CityOperator), refuses=(NOT_FOUND,))
async def list_staff(id_: _Id, caller: Caller, conn: Reading, asked: Asked) -> Page[ClerkOut]:
    """Who may take vouchers; a merchant reads its own."""
    _own(caller, id_)
    found = await merchants.staff(conn, id_, asked.after(str) or "", asked.rows)
    return asked.page(found, ClerkOut.model_validate, lambda clerk: clerk.person)


@router.get("/v1/merchants/list")
@allow(Public)
async def public_list(conn: Reading, asked: Asked) -> Page[ListLineOut]:
    """商户服务暖新清单 / who gives what to riders, where, and how much of it: what can be had now."""
    found = await merchants.public_list(conn, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, ListLineOut.of, lambda line: line.offer_id)


@router.get("/v1/merchants/list.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
@allow(Public)
async def public_file(conn: Reading) -> Response:
    """The same as a file for spreadsheets, at most 5,000 lines; a cell that would be a formula begins with '."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("商户 merchant", "地址 address", "服务 service", "积分 points", "名额 quota", "捐赠 donated by"))
    for line in await merchants.public_list(conn, FIRST_ID, LIST_MAX):
        cells = (line.merchant, line.address, line.service, line.price, " / ".join(line.quota.words()))
        writer.writerow([neutral(str(cell)) for cell in (*cells, line.donated_by or "")])
    # the mark lets spreadsheets read Chinese
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="merchants.csv"'},
    )


@router.get("/v1/merchants/{id}/statement")
@allow(
    AnyOf(MerchantPolicy, CityOperator),
    refuses=(
        NOT_FOUND,
        problems.BAD_PERIOD,
    ),
)
async def read_statement(
    id_: _Id,
    since: Annotated[AnyZone, Query(alias="from")],
    until: Annotated[AnyZone, Query(alias="to")],
    caller: Caller,
    conn: Reading,
) -> StatementOut:
    """Vouchers taken in [from, to), at most 400 days; a merchant reads its own."""
    _own(caller, id_)
    if not 0 < (until - since).total_seconds() <= STATEMENT_DAYS_MAX * 86_400:
        raise problems.BAD_PERIOD(f"from before to, at most {STATEMENT_DAYS_MAX} days")
    if await merchants.merchant(conn, id_) is None:
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


def _own(caller: Principal, id_: UUID) -> None:
    """A merchant's own, or an operator. Raises the 404 problem."""
    if not caller.has("operator") and merchant_id(caller) != id_:
        raise not_found("merchant")
