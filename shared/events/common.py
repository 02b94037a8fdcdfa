"""Field types that several events share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from shared.events.topic import EventModel

CompanyCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$", examples=["sf-express"])]
ExternalId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
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
Level = Literal["emergency", "hazard", "routine"]
RiderKind = Literal["courier", "food_delivery", "ride_hailing", "truck", "other"]


class Photo(EventModel):
    """A stored, re-encoded photo. `phash` is the 64-bit perceptual hash in hexadecimal."""

    photo_id: str
    sha256: str
    phash: str


class ReportFacts(EventModel):
    """What every event about one report tells of it; the place is WGS-84, accuracy in metres."""

    report_id: UUID
    rider_id: UUID
    company: CompanyCode
    kind: str
    level: Level
    lng: Longitude
    lat: Latitude
    accuracy_m: float
    text: str
    photos: tuple[Photo, ...] = ()
    occurred_at: Utc
    received_at: Utc


class Actor(EventModel):
    """The named person who did a step; role as in the transition table."""

    id: str
    name: str
    role: str
