"""Weather alarms: operators set them for an area and a time."""

from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field, model_validator

from services.tasks.api.parts import FIRST_ID, need
from services.tasks.settings import Settings
from services.tasks.store import alarms as store
from services.tasks.usecases import weather
from shared.events.common import AnyZone, AreaCode
from shared.events.outside import ONE_LINE
from shared.kit.auth import Caller, Operator, Person, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["tasks"])
DAYS_MAX = 14
_Words = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]


class AlarmIn(Body):
    """Where and when nobody works outside, and what riders read."""

    area_code: AreaCode
    since: AnyZone
    until: AnyZone
    words_zh: _Words
    words_en: _Words

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta() < self.until - self.since <= timedelta(days=DAYS_MAX):
            raise ValueError("an alarm ends after it begins, within two weeks")
        return self


class AlarmOut(Answer):
    """An alarm."""

    id: UUID
    area_code: str
    since: datetime
    until: datetime
    words_zh: str
    words_en: str
    ended_at: datetime | None = Field(description="when it was ended before its time")


@router.post("/v1/tasks/alarms", status_code=201, response_model=AlarmOut)
@allow(Operator, refuses=(FORBIDDEN,), writes=True)
async def set_alarm(
    body: AlarmIn, caller: Caller, attempt: Idempotent, service: CurrentService, settings: Given[Settings]
) -> Response:
    """Pause all tasks there and then: nobody claims or starts one, and nobody has missed one."""
    need(caller, body.area_code)
    values = (body.area_code, body.since, body.until, body.words_zh, body.words_en, caller.id)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await weather.set_alarm(work, service.tree, settings.clock_rows, new_id(), values)
        return await attempt.store(work.conn, 201, AlarmOut.model_validate(made))


@router.get("/v1/tasks/alarms")
@allow(Person)
async def list_alarms(conn: Reading, asked: Asked) -> Page[AlarmOut]:
    """Alarms that are not over, by id."""
    found = await store.page(conn, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, AlarmOut.model_validate, lambda one: one.id)


@router.put("/v1/tasks/alarms/{alarm_id}/end")
@allow(Operator, refuses=(NOT_FOUND,), writes=True)
async def end_alarm(alarm_id: UUID, caller: Caller, service: CurrentService, settings: Given[Settings]) -> AlarmOut:
    """End an alarm before its time: tasks that no other one meets go on."""
    async with service.work() as work:
        found = await store.alarm(work.conn, alarm_id)
        if found is None or not caller.covers(found.area_code):
            raise not_found("alarm")
        made = await weather.end_alarm(work, service.tree, settings.clock_rows, alarm_id, caller.id)
        return AlarmOut.model_validate(made)
