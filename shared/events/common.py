"""Field types that several events share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from shared.events.outside import PLAIN_FORM
from shared.events.personal import ERASED, Impersonal, Personal, coarse
from shared.events.topic import EventModel

AREA_CODE = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$"
AreaCode = Annotated[str, Field(pattern=AREA_CODE, examples=["330114001002003", "G10"]), Impersonal(), PLAIN_FORM]
"""The code of an area of any level: national numbers, or a city's own. Codes say nothing about what lies in what."""
Plain = Annotated[str, Impersonal()]
"""A text of the suite's own that tells of nobody."""
CompanyCode = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$", examples=["sf-express"]), PLAIN_FORM, Impersonal()
]
ExternalId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$"), PLAIN_FORM]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
RiderId = Annotated[UUID, Personal("id", "whose it is; leads to nobody once name and number are gone")]
RiderNumber = Annotated[ExternalId, Personal("number", "the company names its rider by it", erased=ERASED)]
ReportNumber = Annotated[ExternalId, Personal("number", "the company finds its report again", erased=ERASED)]
SeenLongitude = Annotated[Longitude, Personal("place", "where the thing is", erased=coarse)]
SeenLatitude = Annotated[Latitude, Personal("place", "where the thing is", erased=coarse)]
Points = Annotated[int, Field(ge=0, le=1_000_000)]
Utc = AwareDatetime
"""An instant. Services write UTC; readers keep the offset as it came, since converting costs more than reading."""
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def _to_utc(value: datetime) -> datetime:
    """Instants at the ends of the calendar can't be turned into UTC, and databases take them for infinity."""
    if not _EARLIEST < value < _LATEST:
        raise ValueError("must be after 1970 and before 9000")
    return value.astimezone(UTC)


def _written(value: Any) -> Any:
    """Pydantic reads numbers as seconds or milliseconds since 1970, by their size: nobody should have to guess."""
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("must be a date and time with zone, e.g. 2026-05-01T08:30:00+08:00")


AnyZone = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_to_utc)]
"""An instant from outside, turned into UTC where it comes in."""
Datum = Literal["wgs84", "gcj02", "bd09"]
AreaLevel = Literal["city", "district", "street", "community", "grid"]
Level = Literal["emergency", "hazard", "routine"]
RiderKind = Literal["courier", "food_delivery", "ride_hailing", "truck", "other"]


class Photo(EventModel):
    """A stored, re-encoded photo. `phash` is the 64-bit perceptual hash in hexadecimal."""

    photo_id: Plain
    sha256: Plain
    phash: Plain


class ReportFacts(EventModel):
    """What every event about one report tells of it; the place is WGS-84, accuracy in metres, null where unknown."""

    report_id: UUID
    rider_id: RiderId
    company: CompanyCode
    kind: Plain
    level: Level
    lng: SeenLongitude
    lat: SeenLatitude
    accuracy_m: float | None
    text: Annotated[str, Personal("words", "what the rider saw, for those who handle it", erased="")]
    photos: Annotated[tuple[Photo, ...], Personal("photo", "what the thing looks like", erased=())] = ()
    occurred_at: Annotated[Utc, Personal("time", "when it was seen")]
    received_at: Utc


class Actor(EventModel):
    """Who did a step; role as in the transition table. Staff is named; a rider is an id, the name is empty."""

    id: Annotated[str, Personal("id", "who answers for the step", where=("role", "rider"))]
    name: Annotated[str, Personal("name", "staff answers for its steps by name; never a rider's", erased="")]
    role: Plain
