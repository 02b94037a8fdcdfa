"""Tasks: communities publish them and call them off, everybody with a token reads what is open."""

from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import model_validator

from services.tasks import problems
from services.tasks.api.parts import FIRST, ReasonIn, Skill, TaskOut, TermsIn, need
from services.tasks.domain import Kind
from services.tasks.settings import Settings
from services.tasks.store import tasks as store
from services.tasks.store.tasks import NewTask, Wanted
from services.tasks.usecases import publishing
from shared.events.common import AnyZone, AreaCode
from shared.kit import clock
from shared.kit.auth import Caller, Operator, Person, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["tasks"])
HOURS_MAX = 24 * 7


class TaskIn(TermsIn):
    """A new task."""

    starts_at: AnyZone
    ends_at: AnyZone

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta() < self.ends_at - self.starts_at <= timedelta(hours=HOURS_MAX):
            raise ValueError("a task ends after it begins, within a week")
        return self

    def stated(self, settings: Settings, by: str) -> NewTask:
        """In the store's words."""
        hours = settings.hand_back_hours if self.hand_back_hours is None else self.hand_back_hours
        lng, lat = self.placed()
        return NewTask(
            new_id(), None, self.team_id, self.kind, self.area_code, self.title, self.needs, self.address, lng, lat,
            self.skills, self.capacity, self.points, self.points_given, self.starts_at, self.ends_at,
            self.starts_at - timedelta(hours=hours), by,
        )  # fmt: skip


@router.post("/v1/tasks", status_code=201, response_model=TaskOut)
@allow(
    Operator,
    body_max=16_000,
    refuses=(
        FORBIDDEN, NOT_FOUND, problems.TASK_IN_THE_PAST, problems.IN_PEAK_HOURS, problems.WEATHER_ALARM,
        problems.POINTS_OVER_GIVEN,
    ),
    writes=True,
)  # fmt: skip
async def publish_task(
    body: TaskIn, caller: Caller, attempt: Idempotent, service: CurrentService, settings: Given[Settings]
) -> Response:
    """Publish a task in one's own area, clear of peak hours and weather alarms, within the points that are given."""
    need(caller, body.area_code)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await publishing.publish(settings, service.tree, work, body.stated(settings, caller.id))
        return await attempt.store(work.conn, 201, TaskOut.of(made, work.now))


@router.get("/v1/tasks")
@allow(Person)
async def list_tasks(
    conn: Reading,
    asked: Asked,
    service: CurrentService,
    area: Annotated[AreaCode | None, Query(description="in this area, and all that lies in it")] = None,
    kind: Kind | None = None,
    skill: Annotated[
        list[Skill] | None, Query(max_length=20, description="that the rider has; none: whatever it needs")
    ] = None,
    since: Annotated[AnyZone | None, Query(description="begins then or later")] = None,
    until: Annotated[AnyZone | None, Query(description="ends then or before")] = None,
    free: Annotated[bool, Query(description="has a place that can be had at once")] = False,
) -> Page[TaskOut]:
    """Tasks that are not over, by when they begin."""
    areas = None if area is None else tuple(sorted(service.tree.below([area])))
    wanted = Wanted(areas, kind, None if skill is None else tuple(skill), since, until, free)
    found = await store.open_ones(conn, wanted, asked.after(datetime, UUID) or FIRST, asked.rows)
    now = clock.now()  # process clock: what is shown
    return asked.page(found, lambda task: TaskOut.of(task, now), lambda task: (task.starts_at, task.id))


@router.get("/v1/tasks/{task_id}")
@allow(Person, refuses=(NOT_FOUND,))
async def read_task(task_id: UUID, conn: Reading) -> TaskOut:
    """One task, also when it is over."""
    found = await store.task(conn, task_id)
    if found is None:
        raise not_found("task")
    return TaskOut.of(found, clock.now())  # process clock: what is shown


@router.put("/v1/tasks/{task_id}/cancellation")
@allow(Operator, refuses=(NOT_FOUND, problems.TASK_NOT_OPEN), writes=True)
async def cancel_task(task_id: UUID, body: ReasonIn, caller: Caller, service: CurrentService) -> TaskOut:
    """Call a task off: whoever has a place or waits hears why; work that is done is reviewed still."""
    async with service.work() as work:
        made = await publishing.call_off(work, task_id, body.reason, caller.covers)
        return TaskOut.of(made, work.now)
