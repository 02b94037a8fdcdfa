"""The community looks at finished work, decides on appeals, and can call whom a rider named."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.tasks import problems
from services.tasks.api.parts import FIRST, ClaimOut, Reason, ReasonIn, areas_of
from services.tasks.store import claims as store
from services.tasks.store import tasks
from services.tasks.usecases import reviewing
from services.tasks.usecases.claiming import SEALED_FOR
from shared.kit.auth import Caller, Operator, Sealer, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["tasks"])


class ReviewIn(Body):
    """What is decided of finished work, and why; the rider reads it."""

    approved: bool
    reason: Reason


class DecisionIn(Body):
    """What is decided of an appeal, and why; the rider reads it."""

    granted: bool
    reason: Reason


class ContactOut(Answer):
    """Whom to call."""

    name: str
    phone: str


@router.get("/v1/tasks/reviews")
@allow(Operator)
async def list_to_review(
    caller: Caller, conn: Reading, asked: Asked,
    overdue: Annotated[bool, Query(description="only those whose deadline has passed")] = False,
) -> Page[ClaimOut]:  # fmt: skip
    """Finished work in the caller's areas that nobody has reviewed, what falls due first."""
    after = asked.after(datetime, UUID) or FIRST
    found = await store.to_review(conn, areas_of(caller), after, asked.rows, overdue=overdue)
    return asked.page(found, ClaimOut.of, lambda claim: (claim.review_due_at, claim.id))


@router.get("/v1/tasks/appeals")
@allow(Operator)
async def list_appeals(caller: Caller, conn: Reading, asked: Asked) -> Page[ClaimOut]:
    """Appeals in the caller's areas that nobody has decided on, the oldest first."""
    found = await store.appeals(conn, areas_of(caller), asked.after(datetime, UUID) or FIRST, asked.rows)
    return asked.page(found, ClaimOut.of, lambda claim: (claim.appealed_at, claim.id))


@router.get("/v1/tasks/{task_id}/claims")
@allow(Operator, refuses=(NOT_FOUND,))
async def list_claims(task_id: UUID, caller: Caller, conn: Reading, asked: Asked) -> Page[ClaimOut]:
    """All claims of one of the caller's tasks, in its line's order."""
    task = await tasks.task(conn, task_id)
    if task is None or not caller.covers(task.area_code):
        raise not_found("task")
    found = await store.of_task(conn, task_id, asked.after(int) or 0, asked.rows)
    return asked.page(found, ClaimOut.of, lambda claim: claim.no)


@router.put("/v1/tasks/claims/{claim_id}/review")
@allow(Operator, body_max=8_000, refuses=(NOT_FOUND, problems.CLAIM_MOVED_ON), writes=True)
async def review(claim_id: UUID, body: ReviewIn, caller: Caller, service: CurrentService) -> ClaimOut:
    """Approve finished work, for which points are asked, or reject it."""
    async with service.work() as work:
        made = await reviewing.review(
            work, claim_id, caller.id, caller.covers, approved=body.approved, reason=body.reason
        )
        return ClaimOut.of(made)


@router.put("/v1/tasks/claims/{claim_id}/overturning")
@allow(
    Operator, body_max=8_000, refuses=(NOT_FOUND, problems.CLAIM_MOVED_ON, problems.JUDGED_BEFORE), writes=True
)  # fmt: skip
async def overturn(claim_id: UUID, body: ReasonIn, caller: Caller, service: CurrentService) -> ClaimOut:
    """Reject approved work after all, as another person than who approved it: its points are asked back."""
    async with service.work() as work:
        return ClaimOut.of(await reviewing.overturn(work, claim_id, caller.id, caller.covers, body.reason))


@router.put("/v1/tasks/claims/{claim_id}/decision")
@allow(
    Operator, body_max=8_000, refuses=(NOT_FOUND, problems.CLAIM_MOVED_ON, problems.JUDGED_BEFORE), writes=True
)  # fmt: skip
async def decide_appeal(claim_id: UUID, body: DecisionIn, caller: Caller, service: CurrentService) -> ClaimOut:
    """Decide on an appeal, as a person who has not judged this work before."""
    async with service.work() as work:
        made = await reviewing.decide(
            work, claim_id, caller.id, caller.covers, granted=body.granted, reason=body.reason
        )
        return ClaimOut.of(made)


@router.put("/v1/tasks/claims/{claim_id}/contact")
@allow(Operator, refuses=(NOT_FOUND,))
async def read_contact(claim_id: UUID, caller: Caller, service: CurrentService, sealer: Given[Sealer]) -> ContactOut:
    """Whom to call if something happened to a rider: it is kept who asked. 404 when the work is done."""
    async with service.work() as work:
        claim = await store.claim(work.conn, claim_id)
        task = None if claim is None else await tasks.task(work.conn, claim.task_id)
        if task is None or not caller.covers(task.area_code):
            raise not_found("claim")
        sealed = await store.read_contact(work.conn, claim_id, caller.id)
        if sealed is None:
            raise not_found("contact")
    name, _, phone = sealer.unseal(sealed, SEALED_FOR, str(claim_id)).decode().partition("\n")
    return ContactOut(name=name, phone=phone)
