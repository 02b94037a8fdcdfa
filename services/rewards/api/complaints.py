"""Riders complain about vouchers that have ended; operators answer, and give the points back where that is right."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Response
from pydantic import AfterValidator, Field

from services.rewards import problems
from services.rewards.api.parameters import FIRST_ID
from services.rewards.settings import Settings
from services.rewards.store import complaints
from services.rewards.usecases import complaints as usecases
from shared.events.outside import Words
from shared.kit.auth import AnyOf, Caller, CityOperator, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["complaints"])
_Words = Annotated[Words, Field(min_length=3, max_length=500), AfterValidator(masked)]


class ComplaintIn(Body):
    """What was wrong."""

    words: _Words


class AnswerIn(Body):
    """What is answered; `refund`: the use is undone, so that points and piece come back."""

    refund: bool
    words: _Words


class ComplaintOut(Answer):
    """A complaint and its answer."""

    id: UUID
    redemption_id: UUID
    words: str
    state: Literal["open", "refused", "refunded"]
    answer: str | None
    filed_at: datetime
    answered_at: datetime | None


@router.post("/v1/redemptions/{redemption_id}/complaints", status_code=201, response_model=ComplaintOut)
@allow(Rider, body_max=4_000, refuses=(problems.NO_COMPLAINT,))
async def complain(
    redemption_id: UUID, body: ComplaintIn, caller: Caller, attempt: Idempotent, service: CurrentService
) -> Response:
    """Say what was wrong with a voucher that was used or has ended: one at a time."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await complaints.file(work.conn, new_id(), redemption_id, caller.rider_id, body.words)
        if made is None:
            raise problems.NO_COMPLAINT()
        return await attempt.store(work.conn, 201, ComplaintOut.model_validate(made))


@router.get("/v1/vouchers/complaints")
@allow(AnyOf(Rider, CityOperator))
async def list_complaints(caller: Caller, conn: Reading, asked: Asked) -> Page[ComplaintOut]:
    """Operators read all that are open, riders their own, answered ones too; the oldest first."""
    rider = None if caller.has("operator") else caller.rider_id
    found = await complaints.complaints(conn, asked.after(UUID) or FIRST_ID, rider, asked.rows)
    return asked.page(found, ComplaintOut.model_validate, lambda one: one.id)


@router.put("/v1/vouchers/complaints/{complaint_id}")
@allow(
    CityOperator,
    body_max=4_000,
    refuses=(NOT_FOUND, problems.COMPLAINT_ANSWERED, problems.NOT_UNDOABLE),
    writes=True,
)
async def answer_complaint(
    complaint_id: UUID, body: AnswerIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> ComplaintOut:
    """Answer a complaint, once."""
    days = settings.undo_days_max if body.refund else None
    async with service.work() as work:
        made = await usecases.answer(work, complaint_id, body.words, caller.id, days)
    return ComplaintOut.model_validate(made)
