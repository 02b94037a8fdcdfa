"""What city systems learn of a station: everything that a map of them shows."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Latitude, Longitude, Plain, Utc
from shared.events.topic import Audience, EventModel, Latest, Topic

StationState = Literal["open", "full", "closed", "off_hours", "day_off", "weather", "retired"]
"""`closed`: though its hours say open; `weather`: by order, for its area; `day_off`: a holiday or a special day."""


class PublicStationChanged(EventModel):
    """A station's whole state: what it is, and whether somebody who walks there finds it open. WGS-84.

    No rider is in it, and of those who answer for it the name and the duty phone that hang on its door.
    """

    station_id: UUID
    code: Plain
    name: Plain
    kind: Plain = Field(description="which programme's: a code of the taxonomy of kinds")
    kind_zh: Plain
    sponsor: Plain
    area_code: AreaCode
    address: Plain
    lng: Longitude
    lat: Latitude
    managing_unit: Plain
    responsible: Annotated[Plain, Field(description="who answers for it, by the name on its door")]
    duty_phone: Plain
    hours: Plain = Field(examples=["1-5 08:00-20:00; 6-7 09:00-18:00"])
    services: tuple[Plain, ...] = Field(description="codes of the taxonomy of services")
    parking_places: int | None = Field(None, ge=0)
    photos: tuple[Plain, ...] = ()
    state: StationState
    is_open: bool
    reason: Plain = ""
    until: Utc | None = Field(None, description="when it will be otherwise, as far as is known")
    faults: tuple[Plain, ...] = Field((), description="facilities that are out of order")
    list_year: int | None = Field(None, description="of its newest list of services")
    list_version: int | None = None
    changed_at: Utc


PUBLIC_STATION_CHANGED = Topic(
    name="public.station-changed.v1",
    model=PublicStationChanged,
    key="station_id",
    producer="stations",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="stations",
    step=1,
    summary="City systems follow every station: what it offers, and whether it is open now.",
    partitions=3,
    kept=Latest(leaves="the station is given up"),
)
