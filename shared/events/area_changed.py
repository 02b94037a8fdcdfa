"""An area of the city's map came into force, got another place in the tree, or went out of force."""

from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, AreaLevel
from shared.events.topic import Audience, EventModel, Latest, Topic


class AreaChanged(EventModel):
    """One area with its whole path: whether somebody covers it needs no other area's event."""

    area_code: AreaCode
    level: AreaLevel
    path: tuple[AreaCode, ...] = Field((), description="codes of the areas above it, the largest first")
    in_force: bool = Field(description="whether the map in force has it")
    successors: tuple[AreaCode, ...] = Field(
        (), description="of one that is out of force: the areas that took it over, the preferred one first"
    )
    map_version: UUID = Field(description="the map by which it changed")


AREA_CHANGED = Topic(
    name="routing.area-changed.v1",
    model=AreaChanged,
    key="area_code",
    producer="routing",
    consumers=(
        "activities",
        "badges",
        "cases",
        "intake",
        "notifications",
        "points",
        "rewards",
        "riders",
        "screening",
        "stations",
        "tasks",
        "tracking",
    ),
    audience=Audience.INTERNAL,
    journey="map",
    step=1,
    summary="An area is in force, with its place in the tree, or isn't any more.",
    partitions=1,
    kept=Latest(),
)
