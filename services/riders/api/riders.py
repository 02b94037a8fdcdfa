"""HTTP: riders and outlets, for their company."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import AwareDatetime, Field

from services.riders import domain, problems, store, usecases
from services.riders.api.conventions import Name
from services.riders.domain import Registered, Rider
from shared.events.common import CompanyCode, ExternalId
from shared.events.inbound_riders import RiderSubmission
from shared.events.outside import LEGIBLE, Code
from shared.events.personal import number_mark
from shared.kit import auth
from shared.kit.auth import AnyOf, Caller, CityOperator, allow, policy_router
from shared.kit.http.events import Stated, StatedEvents
from shared.kit.http.items import EACH, ItemProblem, Malformed, of_event
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.refusals import Refusal
from shared.kit.service import CurrentService, Reading, Service

router = policy_router(tags=["riders"])


class RiderIn(RiderSubmission, Body):
    """A rider as the company knows it."""


class RiderOut(Answer):
    """A registered rider."""

    rider_id: UUID
    company: str
    external_id: str
    name: str
    kind: str
    outlet: str | None
    consent_at: AwareDatetime | None
    locale: str
    active: bool
    version: int


class OutletIn(Body):
    """An outlet; sending its code again changes it."""

    code: ExternalId
    name: Name
    address: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$"), LEGIBLE] = ""
    active: bool = True


class OutletOut(Answer):
    """An outlet."""

    code: str
    name: str
    address: str
    active: bool


if TYPE_CHECKING:
    RiderItem = RiderIn | Malformed
    OutletItem = OutletIn | Malformed
else:
    RiderItem = Annotated[RiderIn, EACH]
    OutletItem = Annotated[OutletIn, EACH]


class RidersIn(Body):
    """Riders to register or change, each for itself."""

    items: Annotated[list[RiderItem], Field(min_length=1, max_length=domain.RIDERS_PER_REQUEST_MAX)]


class OutletsIn(Body):
    """Outlets to make or change, each for itself."""

    items: Annotated[list[OutletItem], Field(min_length=1, max_length=domain.OUTLETS_PER_REQUEST_MAX)]


class RiderItemOut(Answer):
    """What became of one rider of a batch."""

    external_id: str | None
    status: Literal["created", "changed", "unchanged", "refused"]
    rider_id: UUID | None = None
    version: int | None = None
    problem: ItemProblem | None = None


class OutletItemOut(Answer):
    """What became of one outlet of a batch."""

    code: str | None
    status: Literal["saved", "unchanged", "refused"]
    problem: ItemProblem | None = None


class RidersOut(Answer):
    """One item per rider that was sent, in the same order."""

    items: list[RiderItemOut]


class OutletsOut(Answer):
    """One item per outlet that was sent, in the same order."""

    items: list[OutletItemOut]


@router.post("/v1/riders:batch")
@allow(auth.Company, events="items", writes=True)
async def register_riders(body: RidersIn, caller: Caller, service: CurrentService, stated: StatedEvents) -> RidersOut:
    """Register or change up to 1,000 riders; each has its own result, the good ones count.

    As a batch of CloudEvents too: one result per event, in their order; an event that came before is `unchanged`,
    whatever has been said of the rider since. Other content under its source and id is refused as `event_known`.
    """
    return await _register(body, caller.company_code, service, stated)


@router.post("/v1/riders:replay")
@allow(CityOperator, timeout_s=30.0, writes=True)
async def replay_riders(
    body: RidersIn,
    service: CurrentService,
    company: Annotated[CompanyCode, Query(description="whose riders they are")],
) -> RidersOut:
    """Register riders from an operator's file that are not known yet; known ones are `unchanged`, whatever it says."""
    return await _register(body, company, service, (), only_new=True)


async def _register(
    body: RidersIn, company: str, service: Service, stated: Sequence[Stated], *, only_new: bool = False
) -> RidersOut:
    place = usecases.place_of(company)
    events = stated or [Stated()] * len(body.items)
    riders = [of_event(item, event) for item, event in zip(body.items, events, strict=True)]
    good = [(at, item) for at, item in enumerate(riders) if isinstance(item, RiderIn)]
    registrations = [usecases.registration(company, item, events[at].id_at(place)) for at, item in good]
    async with service.work() as work:
        outcomes = await usecases.register(work, registrations, only_new=only_new) if registrations else []
    items = [
        RiderItemOut(external_id=item.external_id, status="refused", problem=ItemProblem.of(item.refusal))
        if isinstance(item, Malformed)
        else RiderItemOut(external_id=item.external_id, status="unchanged")
        for item in riders
    ]
    for (at, item), outcome in zip(good, outcomes, strict=True):
        items[at] = _rider_item(item.external_id, outcome)
    return RidersOut(items=items)


@router.put("/v1/riders/{external_id:path}")
@allow(
    auth.Company,
    refuses=(
        problems.EXTERNAL_ID_MISMATCH,
        problems.UNKNOWN_COMPANY,
        problems.COMPANY_SUSPENDED,
        problems.RIDER_ERASED,
        problems.INVALID_NAME,
        problems.CONSENT_IN_FUTURE,
    ),
    writes=True,
)
async def put_rider(external_id: ExternalId, body: RiderIn, caller: Caller, service: CurrentService) -> RiderOut:
    """Register or change one rider. The body names the rider too, as on the topic and in batches."""
    if external_id != body.external_id:
        raise problems.EXTERNAL_ID_MISMATCH("path and body name different riders")
    one = usecases.registration(caller.company_code, body)
    async with service.work() as work:
        (outcome,) = await usecases.register(work, [one])
    if isinstance(outcome, Refusal):
        raise outcome
    return _rider_out(Rider(outcome.rider_id, one.company, one.external_id, one.facts, outcome.version))


@router.get("/v1/riders")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def find_rider(
    conn: Reading,
    company: Annotated[CompanyCode, Query(description="whose rider")],
    external_id: Annotated[ExternalId, Query(description="the company's own number of the rider")],
) -> RiderOut:
    """A rider by their company's number; an erased one too."""
    found = await store.rider_by_external_id(conn, company, external_id)
    if found is None:
        found = await store.rider_by_external_id(conn, company, number_mark(company, external_id))
    if found is None:
        raise not_found("rider")
    return _rider_out(found)


@router.get("/v1/riders/{rider:path}")
@allow(AnyOf(auth.Company, auth.Rider, CityOperator), refuses=(NOT_FOUND,))
async def read_rider(rider: Annotated[Code, Path(max_length=64)], caller: Caller, conn: Reading) -> RiderOut:
    """A company asks by its own number, an operator or the rider by rider id. Others get 404."""
    if caller.kind == "company":
        found = await store.rider_by_external_id(conn, caller.company_code, rider)
    else:
        rider_id = _uuid(rider)
        if not (caller.has("operator") or caller.is_self(rider_id)):
            raise not_found("rider")
        found = await store.rider_by_id(conn, rider_id)
    if found is None:
        raise not_found("rider")
    return _rider_out(found)


@router.delete("/v1/riders/{rider_id}", status_code=204)
@allow(AnyOf(auth.Rider, CityOperator), refuses=(NOT_FOUND,))
async def erase_rider(rider_id: UUID, caller: Caller, service: CurrentService) -> None:
    """Erase who the rider is, for good and in every service: name, words and photos gone, no longer active.

    Again changes nothing. How far it is, operators see at /ops/<service>/erasures/{rider_id} of each service.
    """
    if not (caller.has("operator") or caller.is_self(rider_id)):
        raise not_found("rider")
    assert service.erasure is not None, "app.py has said how riders are forgotten"
    async with service.work() as work:
        rider = await usecases.erase(work, service.erasure, rider_id)
    if rider is None:
        raise not_found("rider")


@router.post("/v1/outlets:batch")
@allow(auth.Company, refuses=(problems.UNKNOWN_COMPANY, problems.COMPANY_SUSPENDED))
async def save_outlets(body: OutletsIn, caller: Caller, service: CurrentService) -> OutletsOut:
    """Make or change up to 1,000 outlets; each has its own result."""
    good = [
        domain.Outlet(item.code, item.name, item.address, item.active)
        for item in body.items
        if isinstance(item, OutletIn)
    ]
    async with service.work() as work:
        saved = await usecases.save_outlets(work, caller.company_code, good)
    if isinstance(saved, Refusal):
        raise saved
    return OutletsOut(
        items=[
            OutletItemOut(code=None, status="refused", problem=ItemProblem.of(item.refusal))
            if isinstance(item, Malformed)
            else OutletItemOut(code=item.code, status="saved" if item.code in saved else "unchanged")
            for item in body.items
        ]
    )


@router.get("/v1/outlets")
@allow(auth.Company)
async def list_outlets(caller: Caller, conn: Reading, asked: Asked) -> Page[OutletOut]:
    """The company's outlets by code."""
    found = await store.outlets(conn, caller.company_code, asked.after(str) or "", asked.rows)
    return asked.page(found, OutletOut.model_validate, lambda outlet: outlet.code)


def _rider_item(external_id: str, outcome: Registered | Refusal) -> RiderItemOut:
    if isinstance(outcome, Refusal):
        return RiderItemOut(external_id=external_id, status="refused", problem=ItemProblem.of(outcome))
    status: Literal["created", "changed", "unchanged"] = "unchanged"
    if outcome.changed:
        status = "created" if outcome.version == 1 else "changed"
    return RiderItemOut(external_id=external_id, status=status, rider_id=outcome.rider_id, version=outcome.version)


def _rider_out(rider: Rider) -> RiderOut:
    facts = rider.facts
    return RiderOut(
        rider_id=rider.rider_id,
        company=rider.company,
        external_id=rider.external_id,
        name=facts.name,
        kind=facts.kind,
        outlet=facts.outlet,
        consent_at=facts.consent_at,
        locale=facts.locale,
        active=facts.active,
        version=rider.version,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as bad:
        raise not_found("rider") from bad
