"""Templates, which the city's operators keep, and series that are made from them."""

from datetime import date, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from services.activities import problems
from services.activities.api.bodies import (
    TEAMS_MAX,
    ActivityOut,
    Areas,
    Companies,
    Line,
    Places,
    Slug,
    StationId,
    Text,
    Title,
)
from services.activities.settings import Settings
from services.activities.store import activities as store
from services.activities.store.activities import Template
from services.activities.usecases import publishing
from services.activities.usecases.publishing import Series
from shared.events.common import AreaCode
from shared.events.outside import ONE_LINE
from shared.kit.auth import Caller, CityOperator, Operator, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["activities"])
DAYS_MAX = 31
TeamLine = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}\|[^|]{1,60}\|[^|]{1,60}$"), ONE_LINE]


class TemplateIn(Body):
    """What activities are made from. `after_version`: the one that the caller has seen, 0 for a new one."""

    after_version: int = Field(ge=0, le=1_000_000)
    title_zh: Title
    title_en: Title
    words_zh: Text
    words_en: Text
    begins_minute: int = Field(ge=0, le=1_439, description="of the city's day: 780 is 13:00")
    minutes: int = Field(ge=15, le=1_440, description="how long it takes")
    places: Places
    way: Literal["queue", "lot"]
    teams: Annotated[tuple[TeamLine, ...], Field(max_length=TEAMS_MAX)] = Field(
        (), description="`code|Chinese|English` each"
    )


class TemplateOut(Answer):
    """A template."""

    code: str
    version: int
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    begins_minute: int
    minutes: int
    places: int
    way: Literal["queue", "lot"]
    teams: tuple[str, ...]


class TemplatesOut(Answer):
    """All of them; a city has a dozen."""

    items: list[TemplateOut]


class SeriesIn(Body):
    """An activity of a template on each of some days, at one place."""

    template: Slug
    days: Annotated[tuple[date, ...], Field(min_length=1, max_length=DAYS_MAX)] = Field(
        description="in the city's time, e.g. five days of a week, or one a month"
    )
    area_code: AreaCode
    address: Line
    station_id: StationId | None = None
    organiser: Line
    companies: Companies = ()
    areas: Areas = ()
    closes_hours_before: int = Field(0, ge=0, le=336, description="sign-up ends so long before each of them")


class SeriesOut(Answer):
    """What was made, by day."""

    series_id: UUID
    items: list[ActivityOut]


@router.get("/v1/activities/templates")
@allow(Operator)
async def list_templates(conn: Reading) -> TemplatesOut:
    """All templates."""
    return TemplatesOut(items=[TemplateOut.model_validate(one) for one in await store.templates(conn)])


@router.put("/v1/activities/templates/{code}")
@allow(CityOperator, body_max=20_000, refuses=(problems.TEMPLATE_MOVED_ON,))
async def set_template(code: Slug, body: TemplateIn, caller: Caller, service: CurrentService) -> TemplateOut:
    """Make a template, or change it; what was made from it stays as it is."""
    stated = body.model_dump(exclude={"after_version"})
    wanted = Template(code=code, version=body.after_version + 1, set_by=caller.id, **stated)
    async with service.work() as work:
        if not await store.set_template(work.conn, wanted):
            there = await store.template(work.conn, code)
            raise problems.TEMPLATE_MOVED_ON(current_version=0 if there is None else there.version)
    return TemplateOut.model_validate(wanted)


@router.post("/v1/activities/series", status_code=201, response_model=SeriesOut)
@allow(Operator, body_max=20_000, refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.BAD_TIMES), writes=True)
async def create_series(
    body: SeriesIn, caller: Caller, attempt: Idempotent, service: CurrentService, settings: Given[Settings]
) -> Response:
    """Publish a series, all of it or nothing."""
    if not caller.covers(body.area_code):
        raise problems.NOT_YOUR_AREA()
    stated = body.model_dump(exclude={"closes_hours_before"})
    series = Series(**stated, closes_before=timedelta(hours=body.closes_hours_before))
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await publishing.create_series(work, settings.city_zone, series, caller.id)
        series_id = made[0].series_id
        assert series_id is not None, "each of a series has its id"
        out = SeriesOut(series_id=series_id, items=[ActivityOut.model_validate(one) for one in made])
        return await attempt.store(work.conn, 201, out)
