"""What may be said: kinds of report, departments, areas and the codes of refusals, for whoever is outside."""

from typing import Annotated, Literal

from pydantic import Field

from shared.events.common import AreaCode, AreaLevel, Level, Plain
from shared.events.topic import Audience, EventModel, Latest, Topic

Entry = Literal["kind", "department", "area", "code"]


class KindFacts(EventModel):
    """Of a kind of report, by the rule in force."""

    group_zh: Plain
    group_en: Plain
    level: Level
    department: Plain = Field(description="code of the department that handles it")
    limit_hours: int = Field(ge=1, description="hours until it is due, as `clock` counts them")
    clock: Plain = Field(description="emergency and calendar_days run always; working_hours and working_days don't")


class AreaFacts(EventModel):
    """Of an area of the map in force."""

    level: AreaLevel
    parent: AreaCode | None = Field(description="code of the area above it")
    fictional: bool = Field(description="whether its borders are invented")


class CodeFacts(EventModel):
    """Of the code of a refusal."""

    status: int | None = Field(description="of a whole request over HTTP; null: only dead letters have the code")
    next_zh: Plain
    next_en: Plain = Field(description="what whoever is refused can do")
    letters: bool = Field(description="whether it may be the reason of a dead letter (`dlq-code`)")
    same_number: bool = Field(description="whether what was refused may come again, put right, under its number")
    same_id: bool = Field(description="whether a record that was refused may come again under its `ce_id`")


class CatalogueChanged(EventModel):
    """One entry of the catalogue, whole. Of `kind`, `on_map` and `refusal` the one is there that its sort has."""

    entry: Annotated[Plain, Field(pattern=r"^(kind|department|area|code)/.+$", examples=["kind/part-01001"])]
    sort: Entry
    code: Plain = Field(description="as reports, cases and answers name it")
    name_zh: Plain
    name_en: Plain = Field(description="empty where there is none: areas have one name")
    kind: KindFacts | None = None
    on_map: AreaFacts | None = None
    refusal: CodeFacts | None = None


CATALOGUE_CHANGED = Topic(
    name="public.catalogue-changed.v1",
    model=CatalogueChanged,
    key="entry",
    producer="routing",
    consumers=("city-system", "company"),
    audience=Audience.PUBLIC,
    journey="catalogue",
    step=1,
    summary="An entry of the catalogue is new, reads otherwise or has gone.",
    partitions=1,
    kept=Latest(leaves="it is no longer in the catalogue, or not on the map in force"),
)
