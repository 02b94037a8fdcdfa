"""What offices keep: stations of their areas, who keeps their state, the code for check-ins."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from services.stations import problems
from services.stations.api.parameters import (
    LAST_ID,
    Name,
    OptionalName,
    Person,
    Said,
    Sentence,
    Staff,
    StationCode,
    StationOut,
    TaxonomyCode,
    WeekHours,
    require_area,
    require_keeper,
    values_of,
)
from services.stations.api.public import LATEST, SpellOut
from services.stations.domain.details import PARKING_MAX, PHONE, PHOTO, PHOTOS_MAX, SERVICES_MAX, Details, canonical
from services.stations.domain.hours import Unreadable
from services.stations.domain.living import Spell
from services.stations.domain.words import visit_code
from services.stations.store import live
from services.stations.store import stations as store
from services.stations.usecases import keeping
from services.stations.usecases.rules import Rules
from shared.events.common import AreaCode, Datum, Latitude, Longitude
from shared.events.outside import PLAIN_FORM
from shared.geo.datum import point_to_wgs84
from shared.kit.auth import Caller, Operator, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.qr import qr_svg
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["stations"])
_PRINTED = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}
_Phone = Annotated[str, Field(pattern=rf"^$|{PHONE}"), PLAIN_FORM]
_Photo = Annotated[str, Field(pattern=PHOTO), PLAIN_FORM]


class DetailsIn(Body):
    """What an office says of a station. Places are degrees of the datum, and kept as WGS-84."""

    name: Name
    kind: TaxonomyCode
    sponsor: OptionalName = ""
    area_code: AreaCode = Field(description="the grid or community in which it lies")
    address: Sentence
    lng: Longitude
    lat: Latitude
    datum: Datum = "wgs84"
    managing_unit: Name
    responsible: OptionalName = Field("", description="who answers for it, by the name on its door")
    phone: _Phone = Field("", description="that person's own, for offices alone")
    duty_phone: _Phone = Field("", description="the one on its door, for everybody")
    hours: WeekHours
    open_on_holidays: bool = False
    services: Annotated[tuple[TaxonomyCode, ...], Field(max_length=SERVICES_MAX)] = ()
    parking_places: Annotated[int, Field(ge=0, le=PARKING_MAX)] | None = None
    photos: Annotated[tuple[_Photo, ...], Field(max_length=PHOTOS_MAX)] = Field(
        (), description="ids of stored photos, or https addresses"
    )

    def stated(self, code: str) -> Details:
        """In the domain's words. Raises the 422 problem for hours that can't be read."""
        lng, lat = point_to_wgs84(self.lng, self.lat, self.datum)
        try:
            hours = canonical(self.hours)
        except Unreadable as wrong:
            raise problems.STATIONS_FAULTY("1 fault", errors=[{"field": "body.hours", "problem": str(wrong)}]) from None
        values = self.model_dump(exclude={"datum", "code", "edition"})
        return Details(**values | {"code": code, "lng": lng, "lat": lat, "hours": hours})


class StationIn(DetailsIn):
    """A new station. Its code stays."""

    code: StationCode


class StationChangeIn(DetailsIn):
    """A station's whole changeable state. `edition`: the one that was read."""

    edition: int = Field(ge=1, le=1_000_000_000)


class OfficeOut(StationOut):
    """The same with what is for offices alone."""

    phone: str
    code_epoch: int


class RetirementIn(Body):
    """Why it is given up, for everybody to read; null: it is there again."""

    reason: Said | None


class KeeperIn(Body):
    """Who keeps a station's state."""

    name: Name


class KeeperOut(Answer):
    """A keeper, by the id of their token."""

    person: str
    name: str
    since: datetime


class VisitCodeOut(Answer):
    """What hangs in the station, as text and QR code."""

    code: str
    epoch: int


class RenewalIn(Body):
    """Which code is replaced."""

    epoch: int = Field(ge=1, le=1_000_000_000)


class OfficeSpellOut(SpellOut):
    """The same with the person."""

    confirmed_by: str = Field(description="the id of whoever has confirmed it; empty: only riders say so")

    @staticmethod
    def of_office(one: Spell) -> "OfficeSpellOut":
        """With the person."""
        return OfficeSpellOut(**SpellOut.of(one).model_dump(), confirmed_by=one.confirmed_by)


@router.post("/v1/stations", status_code=201, response_model=StationOut)
@allow(Operator, refuses=(FORBIDDEN, problems.STATIONS_FAULTY, problems.STATION_CODE_TAKEN), writes=True)
async def create_station(
    body: StationIn, caller: Caller, attempt: Idempotent, service: CurrentService, rules: Given[Rules]
) -> Response:
    """Make a station in one of the caller's areas."""
    require_area(caller, body.area_code)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await keeping.create(rules, work, body.stated(body.code))
        return await attempt.store(work.conn, 201, StationOut.model_validate(made))


@router.put("/v1/stations/{station_id}")
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN, problems.STATIONS_FAULTY, problems.STATION_EDITED), writes=True)
async def change_station(
    station_id: UUID, body: StationChangeIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> StationOut:
    """Change what is said of a station; it may move to another of the caller's areas."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        require_area(caller, body.area_code)
        after = await keeping.change(rules, work, one, body.edition, body.stated(one.code))
    return StationOut.model_validate(after)


@router.put("/v1/stations/{station_id}/retirement")
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN), writes=True)
async def retire_station(
    station_id: UUID, body: RetirementIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> StationOut:
    """Give a station up: it leaves the map and the open data; what was counted stays."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        after = await keeping.retire(rules, work, one, body.reason)
    return StationOut.model_validate(after)


@router.get("/v1/stations/{station_id}/office")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN))
async def read_for_office(station_id: UUID, caller: Caller, conn: Reading) -> OfficeOut:
    """A station with the responsible person's own phone."""
    found = await store.station(conn, station_id)
    if found is None:
        raise not_found("station")
    await require_keeper(conn, caller, found)
    return OfficeOut(**values_of(OfficeOut, found))


@router.get("/v1/stations/{station_id}/keepers")
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN))
async def read_keepers(station_id: UUID, caller: Caller, conn: Reading, asked: Asked) -> Page[KeeperOut]:
    """Who keeps a station's state, beside grid workers and operators of its area."""
    found = await store.station(conn, station_id)
    if found is None:
        raise not_found("station")
    require_area(caller, found.area_code)
    people = await store.keepers(conn, station_id, asked.after(str) or "", asked.rows)
    return asked.page(people, KeeperOut.model_validate, lambda one: one.person)


@router.put("/v1/stations/{station_id}/keepers/{person}", status_code=204)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN))
async def name_keeper(
    station_id: UUID, person: Person, body: KeeperIn, caller: Caller, service: CurrentService
) -> None:
    """Let somebody keep a station's state, by the id of their token: a merchant, a grid worker or an operator."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        await store.keep(work.conn, one.id, person, body.name, caller.id)


@router.delete("/v1/stations/{station_id}/keepers/{person}", status_code=204)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN))
async def remove_keeper(station_id: UUID, person: Person, caller: Caller, service: CurrentService) -> None:
    """The other way round; again changes nothing."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        await store.keep_no_more(work.conn, one.id, person)


@router.get("/v1/stations/{station_id}/visit-code")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN))
async def read_visit_code(station_id: UUID, caller: Caller, conn: Reading, rules: Given[Rules]) -> VisitCodeOut:
    """The code for check-ins that has to hang in the station now."""
    found = await store.station(conn, station_id)
    if found is None:
        raise not_found("station")
    await require_keeper(conn, caller, found)
    return _code(rules, found.id, found.code_epoch)


@router.get(
    "/v1/stations/{station_id}/visit-code.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "a QR code"}},
)
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN))
async def draw_visit_code(station_id: UUID, caller: Caller, conn: Reading, rules: Given[Rules]) -> Response:
    """The same as a QR code, to be printed and hung up."""
    code = (await read_visit_code(station_id, caller, conn, rules)).code
    return Response(qr_svg(code, "驿站打卡码 / check-in code"), media_type="image/svg+xml", headers=_PRINTED)


@router.put("/v1/stations/{station_id}/visit-code")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN))
async def renew_visit_code(
    station_id: UUID, body: RenewalIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> VisitCodeOut:
    """Another code, where the present one is passed around; the same epoch again changes nothing."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        await require_keeper(work.conn, caller, one)
        epoch = await store.renew_code(work.conn, one.id, body.epoch)
    return _code(rules, one.id, epoch or one.code_epoch)


@router.get("/v1/stations/{station_id}/office/history")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN))
async def read_history_for_office(
    station_id: UUID, caller: Caller, conn: Reading, asked: Asked
) -> Page[OfficeSpellOut]:
    """What was found at a station, with the person who confirmed it; the latest first."""
    found = await store.station(conn, station_id)
    if found is None:
        raise not_found("station")
    await require_keeper(conn, caller, found)
    spells = await live.history(conn, station_id, asked.after(datetime, UUID) or (LATEST, LAST_ID), asked.rows)
    return asked.page(spells, OfficeSpellOut.of_office, lambda one: (one.began_at, one.id))


def _code(rules: Rules, station_id: UUID, epoch: int) -> VisitCodeOut:
    return VisitCodeOut(code=visit_code(rules.visit_keys[0], station_id, epoch), epoch=epoch)
