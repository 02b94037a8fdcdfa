"""What is so now: keepers and riders say it, offices set storms, holidays and special days."""

from datetime import date
from typing import Literal, Self
from uuid import UUID

from fastapi import Response
from pydantic import Field, model_validator

from services.stations import problems
from services.stations.api.parameters import (
    Hours,
    Said,
    Staff,
    StationOut,
    TaxonomyCode,
    require_area,
    require_keeper,
    role_of,
)
from services.stations.api.public import PeriodOut
from services.stations.domain.hours import SpecialDay, Unreadable, spans_of, spans_text
from services.stations.domain.living import Found, Period, PeriodKind
from services.stations.store import live as store
from services.stations.usecases import keeping, living
from services.stations.usecases.rules import Rules
from shared.events.common import AnyZone, AreaCode
from shared.kit.auth import Caller, Operator, Public, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import (
    FORBIDDEN,
    NOT_FOUND,
    not_found,
)
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["stations"])
RIDERS_REFUSED = (problems.UNKNOWN_RIDER, problems.RIDER_INACTIVE, problems.RIDER_ERASED)


class StateIn(Body):
    """What a keeper says. `part`: the facility of a fault; `until`: when it is over by itself."""

    state: Literal["open", "full", "closed", "fault", "repaired"]
    part: TaxonomyCode | None = None
    reason: Said | None = None
    until: AnyZone | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.part is None) != (self.state not in ("fault", "repaired")):
            raise ValueError("part names the facility of a fault, and of nothing else")
        return self


class SightingIn(Body):
    """What a rider found."""

    found: Found
    part: TaxonomyCode | None = Field(None, description="what is out of order")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.part is None) != (self.found != "fault"):
            raise ValueError("part names what is out of order, and nothing else")
        return self


class SightingOut(Answer):
    """What is so at the station after it."""

    station_id: UUID
    state: str
    faults: tuple[str, ...]


class PeriodIn(Body):
    """A holiday or a storm. `closes` false: stations should be open in it, and what is found is counted under it."""

    kind: PeriodKind
    closes: bool
    areas: tuple[AreaCode, ...] = Field((), max_length=200, description="none: the whole city")
    reason: Said
    begins_at: AnyZone
    ends_at: AnyZone | None = Field(None, description="null: not known yet")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at is not None and self.ends_at <= self.begins_at:
            raise ValueError("begins_at must be before ends_at")
        return self


class DayIn(Body):
    """Other hours on one day; null: the weekday's again; empty: closed."""

    day: date = Field(description="the city's day")
    hours: Hours | None
    reason: Said

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            spans_of(self.hours or "")
        except Unreadable as wrong:
            raise ValueError(str(wrong)) from None
        return self


class DayOut(Answer):
    """A special day; without hours the station is closed."""

    day: date
    hours: str
    reason: str


@router.put("/v1/stations/{station_id}/state")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN, problems.STATIONS_FAULTY), writes=True)
async def set_state(
    station_id: UUID, body: StateIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> StationOut:
    """Say that a station is open, full or closed, that something is out of order, or repaired; it confirms what riders
    have found. By its keepers, and by grid workers and operators of its area."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        await require_keeper(work.conn, caller, one)
        said = (body.state, body.part or "", body.reason or "", body.until)
        after = await living.set_state(rules, work, one, *said, role_of(caller), caller.id)
    return StationOut.model_validate(after)


@router.put("/v1/stations/{station_id}/sighting")
@allow(Rider, refuses=(NOT_FOUND, problems.STATIONS_FAULTY, *RIDERS_REFUSED), writes=True)
async def report_sighting(
    station_id: UUID, body: SightingIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> SightingOut:
    """Say what one found at a station. It counts once a day, also when it is said again; where enough riders say the
    same, others read it."""
    async with service.work() as work:
        after = await living.sight(rules, work, station_id, caller.rider_id, body.found, body.part or "")
    return SightingOut(station_id=after.id, state=after.state, faults=after.faults)


@router.get("/v1/stations/{station_id}/days")
@allow(Public)
async def read_days(station_id: UUID, conn: Reading, asked: Asked) -> Page[DayOut]:
    """Special days of a station, the earliest first; days of a year ago are kept."""
    found = await store.days_page(conn, station_id, asked.after(str) or "", asked.rows)
    return asked.page(found, DayOut.model_validate, lambda one: one.day.isoformat())


@router.post("/v1/stations/periods", status_code=201, response_model=PeriodOut)
@allow(Operator, refuses=(FORBIDDEN,), writes=True)
async def add_period(
    body: PeriodIn, caller: Caller, attempt: Idempotent, service: CurrentService, rules: Given[Rules]
) -> Response:
    """Set a holiday or a storm for one's areas, or for the city; stations show it within seconds."""
    if not body.areas and not caller.covers_city:
        raise FORBIDDEN("only operators of the city set what holds for all of it")
    for area in body.areas:
        require_area(caller, area)
    new = Period(new_id(), body.kind, body.closes, body.areas, body.reason, body.begins_at, body.ends_at)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        await living.add_period(rules, work, new, caller.id)
        return await attempt.store(work.conn, 201, PeriodOut.model_validate(new))


@router.put("/v1/stations/periods/{period_id}/end", status_code=204)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN), writes=True)
async def end_period(period_id: UUID, caller: Caller, service: CurrentService) -> None:
    """A storm is over now. Again changes nothing."""
    async with service.work() as work:
        found = await store.period(work.conn, period_id)
        if found is None:
            raise not_found("period")
        if not found.areas and not caller.covers_city:
            raise FORBIDDEN("only operators of the city end what holds for all of it")
        for area in found.areas:
            require_area(caller, area)
        await living.end_period(work, period_id)


@router.put("/v1/stations/{station_id}/days", status_code=204)
@allow(Operator, refuses=(NOT_FOUND, FORBIDDEN), writes=True)
async def set_day(station_id: UUID, body: DayIn, caller: Caller, service: CurrentService, rules: Given[Rules]) -> None:
    """Set a station's hours of one day, a holiday or not: they hold before the weekday's."""
    async with service.work() as work:
        one = await keeping.lock_one(work, station_id)
        require_area(caller, one.area_code)
        if body.hours is None:
            await store.unset_day(work.conn, one.id, body.day)
            await living.restate(rules, work, [one.id])
        else:
            await living.set_day(
                rules, work, one.id, SpecialDay(body.day, spans_text(spans_of(body.hours)), body.reason)
            )
