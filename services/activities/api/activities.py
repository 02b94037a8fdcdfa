"""Activities: everybody reads those for all, operators publish, change and call off those of their areas."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from services.activities import problems
from services.activities.api.bodies import (
    FIRST_ID,
    ActivityIn,
    ActivityOut,
    ActivityWhole,
    ChangeIn,
    ReasonIn,
    Slug,
    TeamOut,
)
from services.activities.calendar import feed
from services.activities.store import activities as store
from services.activities.store import after
from services.activities.store import signups as signup_store
from services.activities.store.activities import Change, NewActivity
from services.activities.usecases import publishing
from services.activities.usecases.publishing import TeamWanted
from shared.events.common import AreaCode
from shared.kit import clock
from shared.kit.auth import Caller, Operator, Person, Public, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router: APIRouter = policy_router(tags=["activities"])
AreaAsked = Annotated[AreaCode | None, Query(description="an area of any level; none: the city")]
CALENDAR_MAX = 500
_BEGINNING = (datetime(1970, 1, 2, tzinfo=UTC), FIRST_ID)


class ServedIn(Body):
    """How many people a team has served so far. `after_version`: the team's, as it was seen."""

    served: int = Field(ge=0, le=100_000)
    after_version: int = Field(ge=1, le=1_000_000_000)


class DrawOut(Answer):
    """All that is needed to recompute a draw.

    Each number from 1 to `entrants`, without those `withdrawn` before it, has the value SHA-256 of the ASCII text
    `seed:activity_id:entrants:number`; the smallest value is the first in the line.
    """

    activity_id: UUID
    seed_hash: str = Field(description="SHA-256 of the seed's 64 characters: published before anybody signed up")
    seed: str
    entrants: int
    withdrawn: list[int] = Field(description="numbers that have been given back by now, before the draw or after it")
    places: int
    confirmed: list[int] = Field(description="numbers that have a place now, by turn")


@router.get("/v1/activities")
@allow(Public)
async def list_activities(conn: Reading, asked: Asked, area: AreaAsked = None) -> Page[ActivityOut]:
    """What comes, by its beginning, of that which is for every company's riders."""
    now = clock.now()  # process clock: which are shown
    found = await store.coming(conn, now, asked.after(datetime, UUID) or _BEGINNING, area, None, asked.rows)
    return asked.page(found, ActivityOut.model_validate, lambda one: (one.starts_at, one.id))


@router.get("/v1/activities/for-me")
@allow(Rider)
async def list_for_me(caller: Caller, conn: Reading, asked: Asked, area: AreaAsked = None) -> Page[ActivityOut]:
    """The same, with what is for riders of the caller's company alone."""
    after_, now = asked.after(datetime, UUID) or _BEGINNING, clock.now()  # process clock: which are shown
    found = await store.coming(conn, now, after_, area, caller.rider_id, asked.rows)
    return asked.page(found, ActivityOut.model_validate, lambda one: (one.starts_at, one.id))


@router.get(
    "/v1/activities/calendar.ics",
    response_class=Response,
    responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}, "description": "RFC 5545"}},
)
@allow(Public)
async def read_calendar(
    conn: Reading, area: AreaAsked = None, language: Annotated[Literal["zh", "en"], Query()] = "zh"
) -> Response:
    """What comes, for calendars: subscribe to this address. At most 500, the next ones."""
    now = clock.now()  # process clock: which are shown
    found = await store.coming(conn, now, _BEGINNING, area, None, CALENDAR_MAX)
    return Response(
        feed(found, language, "activities.beegrid"),
        media_type="text/calendar; charset=utf-8",
        headers={"Cache-Control": "max-age=300"},
    )


@router.get("/v1/activities/{activity_id}")
@allow(Person, refuses=(NOT_FOUND,))
async def read_activity(activity_id: UUID, conn: Reading) -> ActivityWhole:
    """One activity with its teams."""
    found = await store.activity(conn, activity_id)
    if found is None:
        raise not_found("activity")
    return ActivityWhole.of(found, await store.teams(conn, activity_id), await after.stars(conn, activity_id))


@router.get("/v1/activities/{activity_id}/draw")
@allow(Public, refuses=(NOT_FOUND, problems.NOT_DRAWN))
async def read_draw(activity_id: UUID, conn: Reading) -> DrawOut:
    """The draw, for whoever wants to recompute it."""
    found = await store.activity(conn, activity_id)
    if found is None or found.seed_hash is None:
        raise not_found("draw")
    if found.drawn_at is None:
        raise problems.NOT_DRAWN()
    return DrawOut(
        activity_id=activity_id,
        seed_hash=found.seed_hash,
        seed=await store.seed(conn, activity_id),
        entrants=found.signups,
        withdrawn=await signup_store.withdrawn(conn, activity_id),
        places=found.places,
        confirmed=await signup_store.winners(conn, activity_id),
    )


@router.post("/v1/activities", status_code=201, response_model=ActivityOut)
@allow(Operator, body_max=30_000, refuses=(problems.NOT_YOUR_AREA, problems.BAD_TIMES), writes=True)
async def create_activity(body: ActivityIn, caller: Caller, attempt: Idempotent, service: CurrentService) -> Response:
    """Publish an activity: riders can sign up at once."""
    if not caller.covers(body.area_code):
        raise problems.NOT_YOUR_AREA()
    stated = body.model_dump(exclude={"teams"})
    teams = [TeamWanted(**team.model_dump()) for team in body.teams]
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        new = NewActivity(
            id=new_id(), series_id=None, template=None, published_by=caller.id, seed_hash=None, **stated
        )  # fmt: skip
        made = await publishing.create(work, new, teams)
        return await attempt.store(work.conn, 201, ActivityOut.model_validate(made))


@router.put("/v1/activities/{activity_id}")
@allow(
    Operator,
    body_max=20_000,
    refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.BAD_TIMES, problems.ACTIVITY_MOVED_ON),
    writes=True,
)
async def change_activity(activity_id: UUID, body: ChangeIn, caller: Caller, service: CurrentService) -> ActivityOut:
    """Change an activity. Of another time or place all hear who have a place or wait; more places are given on."""
    stated = body.model_dump(exclude={"after_version"})
    async with service.work() as work:
        made = await publishing.change(work, activity_id, Change(version=body.after_version, **stated), caller.covers)
    return ActivityOut.model_validate(made)


@router.post("/v1/activities/{activity_id}/cancel")
@allow(
    Operator,
    body_max=2_000,
    refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.ACTIVITY_MOVED_ON),
    writes=True,
)
async def call_off(activity_id: UUID, body: ReasonIn, caller: Caller, service: CurrentService) -> ActivityOut:
    """Call an activity off before it begins; everybody who has signed up hears why. Again: the same answer."""
    async with service.work() as work:
        made = await publishing.call_off(work, activity_id, body.reason, caller.covers)
    return ActivityOut.model_validate(made)


@router.put("/v1/activities/{activity_id}/teams/{code}/served")
@allow(Operator, refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.ACTIVITY_MOVED_ON))
async def set_served(activity_id: UUID, code: Slug, body: ServedIn, caller: Caller, service: CurrentService) -> TeamOut:
    """Count the people whom a team has served."""
    async with service.work() as work:
        made = await publishing.serve(work, activity_id, code, body.served, body.after_version, caller.covers)
    return TeamOut.model_validate(made)
