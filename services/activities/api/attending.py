"""At the door and afterwards: check-in by a rider's code or the place's, and what riders say of it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from services.activities import problems
from services.activities.api.areas import covered
from services.activities.api.bodies import FIRST_ID, LineOut, ReasonIn
from services.activities.domain import QR_PREFIX, SITE_CODE_SECONDS, site_code
from services.activities.settings import Settings
from services.activities.store import after
from services.activities.usecases import attending, publishing
from services.activities.usecases.attending import Door
from shared.events.outside import Code, Words
from shared.kit import clock
from shared.kit.auth import AnyOf, Caller, GridWorker, Operator, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.qr import qr_svg
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["activities"])
STAFF = AnyOf(Operator, GridWorker)


class CodeIn(Body):
    """What was typed or scanned."""

    code: Code = Field(min_length=1, max_length=120)


class UndoIn(ReasonIn):
    """Whose check-in was a mistake, and why, for the rider to read."""

    number: int = Field(ge=1, le=1_000_000, description="of the sign-up")


class CheckedOut(Answer):
    """A check-in, without who."""

    activity_id: UUID
    way: Literal["staff", "site"]
    checked_in_at: datetime


class SiteCodeOut(Answer):
    """What is to be shown at the place: another code every five minutes; the last one is taken, too."""

    code: str
    qr_svg: str = Field(description="the same as a picture: SVG, without scripts or styles")
    seconds: int = Field(description="so long it is shown at most")


class OpinionIn(Body):
    """How it was."""

    stars: int = Field(ge=1, le=5)
    words: Annotated[Words, Field(max_length=500), AfterValidator(masked)] = ""


class OpinionOut(Answer):
    """What somebody said, without who; numbers by which a person can be called are masked."""

    id: UUID
    stars: int
    words: str
    given_at: datetime


@router.post("/v1/activities/{activity_id}/check-ins")
@allow(
    STAFF,
    body_max=1_000,
    refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.DOORS_CLOSED, problems.CODE_WRONG, problems.NO_PLACE),
    writes=True,
)
async def check_in(
    activity_id: UUID,
    body: CodeIn,
    caller: Caller,
    service: CurrentService,
    door: Given[Door],
    settings: Given[Settings],
) -> CheckedOut:
    """Take a rider's code. Once a rider: shown again, it is the same check-in."""
    if service.limiter is not None:
        limit = settings.staff_checkins_per_minute
        await service.limiter.check(f"check-ins:{caller.key}", per_minute=limit)
    async with service.work() as work:
        activity = await publishing.locked(work, activity_id, caller.covers)
        done = await attending.check_in_by_staff(door, work, activity, body.code, caller.id)
    return CheckedOut.model_validate(done)


@router.post("/v1/activities/{activity_id}/check-ins/undo")
@allow(Operator, body_max=2_000, refuses=(NOT_FOUND, problems.NOT_YOUR_AREA, problems.DOORS_CLOSED), writes=True)
async def undo_check_in(activity_id: UUID, body: UndoIn, caller: Caller, service: CurrentService) -> LineOut:
    """Take back a check-in that was a mistake, until the books are closed; what it earned is withdrawn."""
    async with service.work() as work:
        activity = await publishing.locked(work, activity_id, caller.covers)
        signup = await attending.undo(work, activity, body.number, body.reason)
    return LineOut.model_validate(signup)


@router.post("/v1/activities/{activity_id}/check-in")
@allow(
    Rider,
    body_max=1_000,
    refuses=(NOT_FOUND, problems.DOORS_CLOSED, problems.CODE_WRONG, problems.NO_PLACE),
    writes=True,
)
async def check_in_self(
    activity_id: UUID,
    body: CodeIn,
    caller: Caller,
    service: CurrentService,
    door: Given[Door],
    settings: Given[Settings],
) -> CheckedOut:
    """Enter the code that is shown at the place."""
    if service.limiter is not None:
        await service.limiter.check(f"check-in:{caller.key}", per_minute=settings.checkins_per_minute)
    async with service.work() as work:
        done = await attending.check_in_at_site(door, work, activity_id, body.code, caller.rider_id)
    return CheckedOut.model_validate(done)


@router.get("/v1/activities/{activity_id}/site-code")
@allow(STAFF, refuses=(NOT_FOUND,))
async def read_site_code(activity_id: UUID, caller: Caller, conn: Reading, door: Given[Door]) -> SiteCodeOut:
    """The code to show at the place now."""
    await covered(conn, activity_id, caller.covers)
    code = site_code(door.keys[0], activity_id, clock.now())  # process clock: two turns are taken
    picture = qr_svg(f"{QR_PREFIX}{activity_id}:{code}", f"现场签到码 / check-in {code}")
    return SiteCodeOut(code=code, qr_svg=picture, seconds=SITE_CODE_SECONDS)


@router.put("/v1/activities/{activity_id}/feedback")
@allow(Rider, body_max=4_000, refuses=(problems.NOT_ATTENDED,))
async def say_opinion(activity_id: UUID, body: OpinionIn, caller: Caller, service: CurrentService) -> OpinionOut:
    """Say how it was, once checked in; again: instead of what was said."""
    async with service.work() as work:
        said = await attending.say_opinion(work, activity_id, caller.rider_id, body.stars, body.words)
    return OpinionOut.model_validate(said)


@router.get("/v1/activities/{activity_id}/feedback")
@allow(Operator, refuses=(NOT_FOUND,))
async def list_opinions(activity_id: UUID, caller: Caller, conn: Reading, asked: Asked) -> Page[OpinionOut]:
    """What riders said, for who answers for the area."""
    await covered(conn, activity_id, caller.covers)
    found = await after.opinions(conn, activity_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, OpinionOut.model_validate, lambda one: one.id)
