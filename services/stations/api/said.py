"""Lists of services by year, and donations with thanks: offices publish them, everybody reads them."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from services.stations import problems
from services.stations.api.parameters import LAST_ID, Name, OptionalName, Said, TaxonomyCode, require_area
from services.stations.domain.words import Donation, ServiceList
from services.stations.store import given
from services.stations.usecases import keeping
from services.stations.usecases.rules import Rules
from shared.kit.auth import Caller, Operator, Public, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["stations"])
_NEWEST = (3_000, 0)


class ItemIn(Body):
    """A service of a list: what it is, and when."""

    code: TaxonomyCode
    words: Said
    times: Annotated[OptionalName, Field(examples=["每月首个周三 13:00-15:00"])] = ""


class ListIn(Body):
    """A whole list. `version`: one more than the year's newest, 1 for the first."""

    year: int = Field(ge=2000, le=2999)
    version: int = Field(ge=1, le=10_000)
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=100)]


class ItemOut(Answer):
    """A service of a list."""

    code: str
    words: str
    times: str


class ListOut(Answer):
    """One version of a year's list."""

    station_id: UUID
    year: int
    version: int
    items: list[ItemOut]
    published_at: datetime

    @staticmethod
    def of(one: ServiceList) -> "ListOut":
        """Without who published it."""
        items = [ItemOut.model_validate(item) for item in one.items["items"]]
        return ListOut(
            station_id=one.station_id, year=one.year, version=one.version, items=items, published_at=one.published_at
        )


class DonationIn(Body):
    """What somebody gave: 50 barrels of water. `named` false: the donor doesn't want to be read of."""

    donor: Name
    named: bool = True
    goods: Said
    quantity: int = Field(ge=1, le=1_000_000)
    unit: Annotated[Name, Field(max_length=20, examples=["桶"])]
    given_on: date
    thanks: Said


class DonationOut(Answer):
    """What a station was given, and the thanks."""

    id: UUID
    station_id: UUID
    donor: str = Field(description="empty: the donor doesn't want to be named")
    goods: str
    quantity: int
    unit: str
    given_on: date
    thanks: str

    @staticmethod
    def of(one: Donation) -> "DonationOut":
        """Without a name that nobody is to read."""
        values = {name: getattr(one, name) for name in DonationOut.model_fields}
        return DonationOut(**values | {"donor": one.donor if one.named else ""})


class WithdrawalIn(Body):
    """Why a record was wrong."""

    reason: Said


@router.put("/v1/stations/{station_id}/lists")
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN, problems.STATIONS_FAULTY, problems.SERVICE_LIST_EXISTS), writes=True)
async def publish_list(
    station_id: UUID, body: ListIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> ListOut:
    """Publish a year's list of services as its next version; city systems are notified."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        items = [item.model_dump() for item in body.items]
        return ListOut.of(await keeping.publish_list(rules, work, one, body.year, body.version, items, caller.id))


@router.get("/v1/stations/{station_id}/lists")
@allow(Public)
async def read_lists(station_id: UUID, conn: Reading, asked: Asked) -> Page[ListOut]:
    """All versions of all years, the newest first."""
    found = await given.lists(conn, station_id, asked.after(int, int) or _NEWEST, asked.rows)
    return asked.page(found, ListOut.of, lambda one: (one.year, one.version))


@router.post("/v1/stations/{station_id}/donations", status_code=201, response_model=DonationOut)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN))
async def record_donation(
    station_id: UUID, body: DonationIn, caller: Caller, attempt: Idempotent, service: CurrentService
) -> Response:
    """Record what somebody gave to a station, and thank them."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        new = Donation(id=new_id(), station_id=one.id, withdrawn_reason=None, **body.model_dump())
        made = await keeping.record_donation(work, new, caller.id)
        return await attempt.store(work.conn, 201, DonationOut.of(made))


@router.get("/v1/stations/{station_id}/donations")
@allow(Public)
async def read_donations(station_id: UUID, conn: Reading, asked: Asked) -> Page[DonationOut]:
    """What a station was given and by whom, the latest first."""
    found = await given.donations(conn, station_id, asked.after(UUID) or LAST_ID, asked.rows)
    return asked.page(found, DonationOut.of, lambda one: one.id)


@router.put("/v1/stations/donations/{donation_id}/withdrawal", status_code=204)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN))
async def withdraw_donation(donation_id: UUID, body: WithdrawalIn, caller: Caller, service: CurrentService) -> None:
    """Take back a record that was wrong; it is shown no more."""
    async with service.work() as work:
        found = await given.donation(work.conn, donation_id)
        if found is None:
            raise not_found("donation")
        one = await keeping.lock_one(work, found.station_id)
        require_area(caller, one.area_code)
        await given.withdraw_donation(work.conn, found.id, body.reason)
