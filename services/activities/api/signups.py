"""Riders sign up, read their place in the line, agree to photos or not, and cancel."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from services.activities import problems
from services.activities.api.areas import covered
from services.activities.api.bodies import LAST_ID, LineOut, Slug
from services.activities.domain import QR_PREFIX, Signup, rider_code
from services.activities.store import signups as store
from services.activities.store.signups import Mine
from services.activities.usecases import signing_up
from services.activities.usecases.attending import Door
from services.activities.usecases.signing_up import Wish
from shared.events.common import AreaCode
from shared.kit.auth import Caller, Operator, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.qr import qr_svg
from shared.kit.postgres.batcher import Batcher
from shared.kit.problems import NOT_FOUND, RIDER_ERASED, RIDER_INACTIVE, UNKNOWN_RIDER, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["activities"])


class SignupIn(Body):
    """What goes with a wish to come."""

    photo_consent: bool = Field(False, description="whether photos on which the rider is may be shown")
    team: Slug | None = Field(None, description="one of the activity's teams")
    area_code: AreaCode | None = Field(
        None, description="where the rider works: needed for activities of certain areas, and not kept"
    )


class ConsentIn(Body):
    """Whether photos on which the rider is may be shown."""

    photo_consent: bool


class SignupOut(Answer):
    """A rider's sign-up. `number`: in the order in which they came; in a draw it is what is drawn."""

    id: UUID
    activity_id: UUID
    number: int
    state: Literal["wished", "waiting", "confirmed", "cancelled"]
    outcome: Literal["attended", "no_show"] | None
    photo_consent: bool
    team: str | None


class MineOut(SignupOut):
    """With the activity, and how many are ahead of who waits."""

    title_zh: str
    title_en: str
    address: str
    starts_at: datetime
    ends_at: datetime
    activity_state: Literal["open", "called_off", "over"]
    ahead: int | None = Field(description="of who waits: so many are before them")


class OwnOut(MineOut):
    """With the code to show at the door."""

    code: str | None = Field(description="of a place: shown or said to staff")
    qr_svg: str | None = Field(description="the same as a picture: SVG, without scripts or styles")


@router.get("/v1/activities/mine")
@allow(Rider)
async def list_mine(caller: Caller, conn: Reading, asked: Asked) -> Page[MineOut]:
    """The caller's sign-ups, the newest first."""
    found = await store.mine(conn, caller.rider_id, asked.after(UUID) or LAST_ID, asked.rows)
    return asked.page(found, MineOut.model_validate, lambda one: one.id)


@router.put("/v1/activities/{activity_id}/signup")
@allow(
    Rider,
    body_max=2_000,
    refuses=(
        NOT_FOUND,
        RIDER_ERASED,
        RIDER_INACTIVE,
        UNKNOWN_RIDER,
        problems.SIGNUP_CLOSED,
        problems.NOT_FOR_YOU_HERE,
        problems.UNKNOWN_TEAM,
        problems.LIST_FULL,
    ),
    writes=True,
)
async def sign_up(
    activity_id: UUID, body: SignupIn, caller: Caller, service: CurrentService, line: Given[Batcher[Wish, Signup]]
) -> SignupOut:
    """Ask for a place: there is one, or the rider waits, or by lot the draw decides. Again: the same sign-up."""
    wish = Wish(caller.rider_id, activity_id, body.photo_consent, body.team, body.area_code, service.tree)
    return SignupOut.model_validate(await line.submit(wish))


@router.get("/v1/activities/{activity_id}/signup")
@allow(Rider, refuses=(NOT_FOUND,))
async def read_own(activity_id: UUID, caller: Caller, conn: Reading, door: Given[Door]) -> OwnOut:
    """The caller's sign-up, with the code to show at the door once there is a place."""
    own = await store.own(conn, activity_id, caller.rider_id)
    signup = await store.last_of(conn, activity_id, caller.rider_id)
    if own is None or signup is None:
        raise not_found("signup")
    return _own(own, signup, door.keys[0])


@router.post("/v1/activities/{activity_id}/signup/cancel")
@allow(Rider, refuses=(NOT_FOUND, problems.SIGNUP_OVER), writes=True)
async def cancel(activity_id: UUID, caller: Caller, service: CurrentService) -> SignupOut:
    """Give the place back before the beginning: the next who waits has it at once. Again: the same answer."""
    async with service.work() as work:
        gone = await signing_up.cancel(work, activity_id, caller.rider_id)
    return SignupOut.model_validate(gone)


@router.put("/v1/activities/{activity_id}/signup/consent")
@allow(Rider, refuses=(NOT_FOUND,))
async def set_consent(activity_id: UUID, body: ConsentIn, caller: Caller, service: CurrentService) -> SignupOut:
    """Agree to be on photos, or no longer: those on which the caller is aren't shown from now on."""
    async with service.work() as work:
        made = await store.consent(work.conn, activity_id, caller.rider_id, body.photo_consent)
    if made is None:
        raise not_found("signup")
    return SignupOut.model_validate(made)


@router.get("/v1/activities/{activity_id}/signups")
@allow(Operator, refuses=(NOT_FOUND,))
async def list_signups(activity_id: UUID, caller: Caller, conn: Reading, asked: Asked) -> Page[LineOut]:
    """An activity's sign-ups by number, for who answers for its area."""
    await covered(conn, activity_id, caller.covers)
    found = await store.page(conn, activity_id, asked.after(int) or 0, asked.rows)
    return asked.page(found, LineOut.model_validate, lambda one: one.number)


def _own(own: Mine, signup: Signup, key: bytes) -> OwnOut:
    code = rider_code(key, signup) if signup.state == "confirmed" else None
    picture = None if code is None else qr_svg(f"{QR_PREFIX}{own.activity_id}:{code}", f"签到码 / check-in {code}")
    return OwnOut(**MineOut.model_validate(own).model_dump(), code=code, qr_svg=picture)
