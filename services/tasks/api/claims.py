"""Riders claim places and hand them back, start, finish and appeal."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from services.tasks import problems
from services.tasks.api.parts import ClaimOut, Note, PlaceIn, Reason
from services.tasks.settings import Settings
from services.tasks.usecases import claiming, reviewing, working
from services.tasks.usecases.claiming import Counter, Wish
from services.tasks.usecases.working import Place
from shared.events.common import Datum
from shared.events.outside import ONE_LINE, PLAIN_FORM
from shared.geo.datum import point_to_wgs84
from shared.kit.auth import Caller, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Body
from shared.kit.problems import NOT_FOUND, RIDER_ERASED, RIDER_INACTIVE, UNKNOWN_RIDER
from shared.kit.service import CurrentService, Given

router: APIRouter = policy_router(tags=["tasks"])


class ContactIn(Body):
    """Whom to call if something happens; sealed, and deleted when the work is done."""

    name: Annotated[str, Field(min_length=1, max_length=40), ONE_LINE]
    phone: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{4,22}[0-9]$", examples=["13800138000"]), PLAIN_FORM]


class ClaimIn(Body):
    """A wish for a place."""

    of_age: bool = Field(description="the rider declares to be of age; nothing else is asked")
    wait: bool = Field(True, description="take a number of the waiting list where no place is free")
    team_id: UUID | None = Field(None, description="as a member of this team, whose tallies it counts in")
    contact: ContactIn | None = None


class WhereIn(PlaceIn):
    """Where the rider is."""

    accuracy_m: Annotated[float, Field(ge=0, le=100_000)] | None = None
    datum: Datum = "wgs84"


class StartIn(Body):
    """That the rider is there. The place is compared with the task's, and kept nowhere."""

    place: WhereIn | None = None


class FinishIn(Body):
    """What proves the work."""

    photo_id: UUID | None = Field(None, description="of a stored photo")
    note: Note = ""


class AppealIn(Body):
    """Why another person should look at the work again."""

    words: Reason


@router.post("/v1/tasks/{task_id}/claims", status_code=201, response_model=ClaimOut)
@allow(
    Rider,
    body_max=4_000,
    refuses=(
        NOT_FOUND, UNKNOWN_RIDER, RIDER_INACTIVE, RIDER_ERASED, problems.NOT_OF_AGE, problems.CLAIMS_PAUSE,
        problems.TASK_NOT_OPEN, problems.TASK_BEGUN, problems.WEATHER_ALARM, problems.NOT_IN_TEAM, problems.TASK_FULL,
        problems.ALREADY_CLAIMED,
    ),
    writes=True,
)  # fmt: skip
async def claim_task(
    task_id: UUID, body: ClaimIn, caller: Caller, attempt: Idempotent, service: CurrentService, counter: Given[Counter]
) -> Response:
    """Claim a place, or a number of the waiting list: first come, first served."""
    contact = None if body.contact is None else f"{body.contact.name}\n{body.contact.phone}"
    wish = Wish(task_id, caller.rider_id, body.of_age, body.wait, contact, body.team_id)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await claiming.claim(counter, service.tree, work, wish)
        return await attempt.store(work.conn, 201, ClaimOut.of(made))


@router.put("/v1/tasks/claims/{claim_id}/hand-back")
@allow(Rider, refuses=(NOT_FOUND, problems.HAND_BACK_OVER, problems.CLAIM_MOVED_ON), writes=True)
async def hand_back(claim_id: UUID, caller: Caller, service: CurrentService) -> ClaimOut:
    """Give up a place, which goes to the first who waits, or leave the waiting list."""
    async with service.work() as work:
        return ClaimOut.of(await claiming.hand_back(work, claim_id, caller.rider_id))


@router.put("/v1/tasks/claims/{claim_id}/start")
@allow(
    Rider,
    refuses=(
        NOT_FOUND, problems.CLAIM_MOVED_ON, problems.WEATHER_ALARM, problems.NOT_NOW, problems.PLACE_NEEDED,
        problems.TOO_FAR,
    ),
)  # fmt: skip
async def start(
    claim_id: UUID, body: StartIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> ClaimOut:
    """Begin the work, at its place."""
    place = None
    if (at := body.place) is not None:
        place = Place(*point_to_wgs84(at.lng, at.lat, at.datum), at.accuracy_m)
    async with service.work() as work:
        return ClaimOut.of(await working.start(settings, service.tree, work, claim_id, caller.rider_id, place))


@router.put("/v1/tasks/claims/{claim_id}/finish")
@allow(Rider, body_max=8_000, refuses=(NOT_FOUND, problems.CLAIM_MOVED_ON))
async def finish(
    claim_id: UUID, body: FinishIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> ClaimOut:
    """Say that the work is done, and what proves it."""
    async with service.work() as work:
        made = await working.finish(settings, work, claim_id, caller.rider_id, body.photo_id, body.note)
        return ClaimOut.of(made)


@router.put("/v1/tasks/claims/{claim_id}/appeal")
@allow(Rider, body_max=8_000, refuses=(NOT_FOUND, problems.APPEAL_OVER))
async def appeal(
    claim_id: UUID, body: AppealIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> ClaimOut:
    """Ask, once, for another person's decision on rejected work."""
    async with service.work() as work:
        return ClaimOut.of(await reviewing.appeal(settings, work, claim_id, caller.rider_id, body.words))
