"""What everybody reads: the stations, the nearest ones, what programmes call their services, what was found."""

from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Self
from uuid import UUID

from fastapi import Query
from pydantic import Field, model_validator

from services.stations import metrics
from services.stations.api.parameters import LAST_ID, StationOut, TaxonomyCode
from services.stations.domain.living import PeriodKind, Spell
from services.stations.index import Near, StationIndex, Wanted
from services.stations.settings import Settings
from services.stations.store import live
from services.stations.store import stations as store
from services.stations.usecases.rules import Rules
from shared.events.common import AreaCode, Datum, Latitude, Longitude
from shared.events.public_station_changed import StationState
from shared.geo.datum import point_from_wgs84, point_to_wgs84
from shared.kit import clock
from shared.kit.auth import Public, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import Given, Reading

router = policy_router(tags=["stations"])
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
WAY_PLACES_MAX, NEAR_MAX = 200, 50


class KindOut(Answer):
    """A kind of station."""

    code: str
    zh: str
    en: str
    programme: str
    colour: str


class ServiceOut(Answer):
    """A service, in a programme's scheme."""

    code: str
    zh: str
    en: str
    scheme: str
    group: str
    group_zh: str
    group_en: str
    special: bool


class TaxonomyOut(Answer):
    """What stations may be called, and what they may offer; the same service may stand in several schemes."""

    kinds: list[KindOut]
    services: list[ServiceOut]


class WantedIn(Body):
    """Which stations are looked for. Places are used to answer, and kept nowhere."""

    datum: Datum = "wgs84"
    services: Annotated[tuple[TaxonomyCode, ...], Field(max_length=10)] = Field((), description="all of these")
    kind: TaxonomyCode | None = None
    is_open: bool = Field(True, description="only where one gets in now")

    def wanted(self) -> Wanted:
        """In the index's words."""
        return Wanted(self.services, self.kind, self.is_open)


class NearbyIn(WantedIn):
    """A place, in degrees of the datum."""

    lng: Longitude
    lat: Latitude
    within_m: int = Field(5_000, ge=10, le=50_000, description="metres in a straight line")
    limit: int = Field(10, ge=1, le=NEAR_MAX)


class PlaceIn(Body):
    """A corner of a way."""

    lng: Longitude
    lat: Latitude


class AlongIn(WantedIn):
    """A way, as the phone's own map has it."""

    way: Annotated[tuple[PlaceIn, ...], Field(min_length=2, max_length=WAY_PLACES_MAX)]
    within_m: int = Field(300, ge=10, le=3_000, description="metres from the way")
    limit: int = Field(20, ge=1, le=NEAR_MAX)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if len({(place.lng, place.lat) for place in self.way}) < 2:
            raise ValueError("a way has two places or more")
        return self


class NearOut(Answer):
    """A station with its distance; `lng`, `lat` in the datum that was asked in."""

    id: UUID
    code: str
    name: str
    kind: str
    address: str
    lng: float
    lat: float
    duty_phone: str
    services: tuple[str, ...]
    state: StationState
    is_open: bool
    state_until: datetime | None
    faults: tuple[str, ...]
    distance_m: int = Field(description="in a straight line")
    walk_m: int = Field(description="an estimate of the way on foot")
    walk_minutes: int
    closes_before: bool = Field(description="it closes before whoever walks there now arrives")
    along_m: int | None = Field(None, description="how far along the way it lies")


class NearestOut(Answer):
    """Stations, the nearest or the first on the way first."""

    items: list[NearOut]


class SpellOut(Answer):
    """A time in which a station was full, closed although its hours say open, or a part of it out of order."""

    id: UUID
    state: str
    part: str
    reason: str
    during: UUID | None = Field(description="the storm or holiday in which it began")
    began_at: datetime
    until_at: datetime | None
    ended_at: datetime | None
    sightings: int = Field(description="riders who found it so")
    denials: int = Field(description="riders who found it open meanwhile")
    confirmed_at: datetime | None
    confirmed_as: str = Field(description="as what somebody at work has confirmed it; empty: only riders say so")

    @staticmethod
    def of(one: Spell) -> "SpellOut":
        """Without the person."""
        names = [name for name in SpellOut.model_fields if hasattr(one, name)]
        return SpellOut(
            **{name: getattr(one, name) for name in names}, during=one.period_id, confirmed_as=one.confirmed_role
        )


class PeriodOut(Answer):
    """A holiday or a storm; `areas` none: the whole city. Stations that it doesn't close should be open in it."""

    id: UUID
    kind: PeriodKind
    closes: bool
    areas: tuple[str, ...]
    reason: str
    begins_at: datetime
    ends_at: datetime | None


@router.get("/v1/stations")
@allow(Public)
async def list_stations(
    conn: Reading,
    asked: Asked,
    rules: Given[Rules],
    area: Annotated[AreaCode | None, Query(description="only what lies there")] = None,
    kind: Annotated[TaxonomyCode | None, Query()] = None,
    service: Annotated[TaxonomyCode | None, Query()] = None,
    is_open: Annotated[bool, Query(description="only where one gets in now")] = False,
) -> Page[StationOut]:
    """Stations by their codes."""
    areas = None if area is None else rules.tree().below([area])
    found = await store.page(conn, asked.after(str) or "", asked.rows, areas, kind, service, is_open=is_open)
    return asked.page(found, StationOut.model_validate, lambda one: one.code)


@router.get("/v1/stations/taxonomy")
@allow(Public)
async def read_taxonomy(rules: Given[Rules]) -> TaxonomyOut:
    """Kinds of stations, and the services that may be chosen today, by programmes' schemes."""
    on = rules.day(clock.now())  # process clock: shown only
    return TaxonomyOut(
        kinds=[KindOut.model_validate(one) for one in rules.taxonomy.kinds.values()],
        services=[ServiceOut.model_validate(one) for one in rules.taxonomy.lines if one.is_offered(on)],
    )


@router.post("/v1/stations:nearest")
@allow(Public)
async def find_nearest(body: NearbyIn, index: Given[StationIndex], settings: Given[Settings]) -> NearestOut:
    """The nearest stations that are open now and have what is wanted. A POST, so that no log has a rider's place."""
    lng, lat = point_to_wgs84(body.lng, body.lat, body.datum)
    with metrics.NEAREST.time():
        found = index.snapshot.nearest(lng, lat, body.wanted(), body.within_m, body.limit)
    return NearestOut(items=[_near(one, body.datum, settings) for one in found])


@router.post("/v1/stations:along")
@allow(Public)
async def find_along(body: AlongIn, index: Given[StationIndex], settings: Given[Settings]) -> NearestOut:
    """Stations along a way, in the order in which it passes them."""
    way = [point_to_wgs84(place.lng, place.lat, body.datum) for place in body.way]
    with metrics.NEAREST.time():
        found = index.snapshot.along(way, body.wanted(), body.within_m, body.limit)
    near = [_near(one, body.datum, settings) for one in found]
    return NearestOut(
        items=[out.model_copy(update={"along_m": round(one.along_m)}) for out, one in zip(near, found, strict=True)]
    )


@router.get("/v1/stations/periods")
@allow(Public)
async def list_periods(conn: Reading, asked: Asked) -> Page[PeriodOut]:
    """Holidays and storms, the latest first."""
    found = await live.periods_page(conn, asked.after(datetime, UUID) or (LATEST, LAST_ID), asked.rows)
    return asked.page(found, PeriodOut.model_validate, lambda one: (one.begins_at, one.id))


@router.get("/v1/stations/{station_id}")
@allow(Public, refuses=(NOT_FOUND,))
async def read_station(station_id: UUID, conn: Reading) -> StationOut:
    """One station, also one that was given up."""
    found = await store.station(conn, station_id)
    if found is None:
        raise not_found("station")
    return StationOut.model_validate(found)


@router.get("/v1/stations/{station_id}/history")
@allow(Public)
async def read_history(station_id: UUID, conn: Reading, asked: Asked) -> Page[SpellOut]:
    """When it was full, closed or had a fault, how many riders found it so, and who confirmed it; the latest first."""
    found = await live.history(conn, station_id, asked.after(datetime, UUID) or (LATEST, LAST_ID), asked.rows)
    return asked.page(found, SpellOut.of, lambda one: (one.began_at, one.id))


def _near(one: Near, datum: Datum, settings: Settings) -> NearOut:
    there = one.station
    walk_m = one.distance_m * settings.walk_detour
    minutes = ceil(walk_m / (settings.walk_kmh * 1_000 / 60))
    lng, lat = point_from_wgs84(there.lng, there.lat, datum)
    left = None if there.state_until is None else there.state_until - clock.now()  # process clock: an estimate
    values = {name: getattr(there, name) for name in NearOut.model_fields if hasattr(there, name)}
    values |= {"lng": round(lng, 7), "lat": round(lat, 7)}
    return NearOut(
        **values,
        distance_m=round(one.distance_m),
        walk_m=round(walk_m),
        walk_minutes=minutes,
        closes_before=there.is_open and left is not None and left.total_seconds() < 60 * minutes,
    )
