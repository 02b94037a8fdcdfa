"""Photos for publicity: shown as long as everybody who is named on them agrees."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field

from services.activities import problems
from services.activities.api.areas import covered
from services.activities.api.bodies import FIRST_ID
from services.activities.store import after
from services.activities.store.after import Photo
from shared.events.outside import ONE_LINE, PLAIN_FORM
from shared.kit.auth import Caller, Operator, Public, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router: APIRouter = policy_router(tags=["activities"])
Ref = Annotated[
    str, Field(pattern=r"^(https://[!-~]{1,380}|[0-9A-Za-z][0-9A-Za-z._-]{0,127})$", max_length=390), PLAIN_FORM
]
Numbers = Annotated[tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], Field(max_length=200)]


class PhotoIn(Body):
    """A photo, and who is to be recognised on it."""

    ref: Ref = Field(description="the photo's id, or an address with https")
    caption: Annotated[str, Field(max_length=120), ONE_LINE, AfterValidator(masked)] | None = None
    numbers: Numbers = Field((), description="numbers of the sign-ups of whom is on it; each has to agree")


class PhotoOut(Answer):
    """A photo, without who is on it."""

    id: UUID
    ref: str
    caption: str
    added_at: datetime


@router.post("/v1/activities/{activity_id}/photos", status_code=201, response_model=PhotoOut)
@allow(Operator, body_max=8_000, refuses=(NOT_FOUND, problems.NO_CONSENT))
async def add_photo(
    activity_id: UUID, body: PhotoIn, caller: Caller, attempt: Idempotent, service: CurrentService
) -> Response:
    """Add a photo to an activity. Who withdraws their consent, or leaves for good, takes it off the list."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        await covered(work.conn, activity_id, caller.covers)
        photo = Photo(new_id(), body.ref, body.caption or "", work.now)
        if not await after.add_photo(work.conn, activity_id, photo, body.numbers, caller.id):
            raise problems.NO_CONSENT()
        return await attempt.store(work.conn, 201, PhotoOut.model_validate(photo))


@router.get("/v1/activities/{activity_id}/photos")
@allow(Public)
async def list_photos(activity_id: UUID, conn: Reading, asked: Asked) -> Page[PhotoOut]:
    """An activity's photos."""
    found = await after.photos(conn, activity_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, PhotoOut.model_validate, lambda one: one.id)


@router.delete("/v1/activities/{activity_id}/photos/{photo_id}", status_code=204)
@allow(Operator, refuses=(NOT_FOUND,))
async def drop_photo(activity_id: UUID, photo_id: UUID, caller: Caller, service: CurrentService) -> None:
    """Take a photo away."""
    async with service.work() as work:
        await covered(work.conn, activity_id, caller.covers)
        if not await after.drop_photo(work.conn, activity_id, photo_id):
            raise not_found("photo")
