"""Repeating tasks: the night patrol on Fridays."""

from datetime import date, datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field, model_validator

from services.tasks import problems
from services.tasks.api.parts import FIRST_ID, TermsIn, areas_of, need
from services.tasks.domain import Kind
from services.tasks.settings import Settings
from services.tasks.store import series as store
from services.tasks.store.series import Series
from services.tasks.usecases import publishing
from shared.events.outside import PLAIN_FORM
from shared.kit.auth import Caller, Operator, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import FORBIDDEN, NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["tasks"])
DAYS_MAX = 366 * 2


class SeriesIn(TermsIn):
    """A task that comes each week, with its own points each time."""

    weekday: Annotated[int, Field(ge=1, le=7, description="1 is Monday")]
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["20:00"]), PLAIN_FORM]
    minutes: Annotated[int, Field(ge=15, le=1_440)]
    since: date
    until: date = Field(description="the day on which no task begins any more")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta() < self.until - self.since <= timedelta(days=DAYS_MAX):
            raise ValueError("a series ends after it begins, within two years")
        return self

    def stated(self, settings: Settings, by: str) -> Series:
        """In the store's words."""
        hours, minutes = (int(part) for part in self.at.split(":"))
        lng, lat = self.placed()
        back = settings.hand_back_hours if self.hand_back_hours is None else self.hand_back_hours
        return Series(
            new_id(), self.team_id, self.kind, self.area_code, self.title, self.needs, self.address, lng, lat,
            self.skills, self.capacity, self.points, self.points_given, self.weekday, hours * 60 + minutes,
            self.minutes, back, self.since, self.until, by, None,
        )  # fmt: skip


class SeriesOut(Answer):
    """A series; its tasks of days before `made_until` are there."""

    id: UUID
    kind: Kind
    area_code: str
    title: str
    weekday: int
    minute: int = Field(description="of the day, by the city's clock")
    minutes: int
    capacity: int
    points: int
    points_given: int
    made_until: date
    until: date
    ended_at: datetime | None


@router.post("/v1/tasks/series", status_code=201, response_model=SeriesOut)
@allow(
    Operator,
    body_max=16_000,
    refuses=(FORBIDDEN, NOT_FOUND, problems.IN_PEAK_HOURS, problems.POINTS_OVER_GIVEN),
    writes=True,
)
async def publish_series(
    body: SeriesIn, caller: Caller, attempt: Idempotent, service: CurrentService, settings: Given[Settings]
) -> Response:
    """Publish a task that comes each week; those of the next weeks are there at once."""
    need(caller, body.area_code)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await publishing.repeat(settings, service.tree, work, body.stated(settings, caller.id))
        return await attempt.store(work.conn, 201, SeriesOut.model_validate(made))


@router.get("/v1/tasks/series")
@allow(Operator)
async def list_series(caller: Caller, conn: Reading, asked: Asked) -> Page[SeriesOut]:
    """Series in the caller's areas, ended ones too, by id."""
    found = await store.page(conn, areas_of(caller), asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, SeriesOut.model_validate, lambda one: one.id)


@router.put("/v1/tasks/series/{series_id}/end")
@allow(Operator, refuses=(NOT_FOUND,))
async def end_series(series_id: UUID, caller: Caller, service: CurrentService) -> SeriesOut:
    """No more tasks of a series; those that are published stay."""
    async with service.work() as work:
        return SeriesOut.model_validate(await publishing.end_series(work, series_id, caller.covers))
