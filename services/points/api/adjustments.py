"""HTTP in: operators propose and decide what is given or taken by hand."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from services.points import problems
from services.points.store import adjustments as store
from services.points.store.adjustments import Decision, Proposal, Reason, State
from services.points.usecases import adjusting
from shared.events.outside import Words
from shared.kit.auth import Caller, CityOperator, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.auth.principal import Principal
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.privacy.masking import masked
from shared.kit.problems import IDEMPOTENCY_CONFLICT, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router: APIRouter = policy_router(tags=["points"])
NEWEST = UUID(int=2**128 - 1)


class AdjustmentIn(Body):
    """What is to be given to a rider, or taken from them."""

    rider_id: UUID
    amount: int = Field(ge=-1_000_000, le=1_000_000, description="> 0: given; < 0: taken; not 0")
    reason: Reason
    words: Words = Field(min_length=3, max_length=500, description="for those who decide, and for auditors")


class DecisionIn(Body):
    """Why it is decided so."""

    words: Words = Field(min_length=3, max_length=500)


class AdjustmentOut(Answer):
    """A proposal and what became of it. Those that came to nothing stay readable."""

    id: UUID
    rider_id: UUID
    amount: int
    reason: Reason
    words: str
    state: State
    proposed_by: str
    proposed_name: str
    proposed_at: datetime
    decided_by: str | None
    decided_name: str | None
    decided_words: str | None
    decided_at: datetime | None


@router.post("/v1/points/adjustments", status_code=201)
@allow(CityOperator, refuses=(IDEMPOTENCY_CONFLICT, problems.NOTHING_TO_ADJUST))
async def propose_adjustment(
    body: AdjustmentIn, attempt: Idempotent, caller: Caller, service: CurrentService
) -> AdjustmentOut:
    """Propose it. The same Idempotency-Key brings the same proposal again, for ever; with another body a refusal."""
    if body.amount == 0:
        raise problems.NOTHING_TO_ADJUST()
    async with service.work() as work:
        proposal = Proposal(
            id=new_id(), rider_id=body.rider_id, amount=body.amount, reason=body.reason, words=masked(body.words),
            proposed_by=caller.id, proposed_name=caller.name or caller.id, proposed_at=work.now, key=attempt.key,
            input_hash=attempt.body_hash,
        )  # fmt: skip
        return AdjustmentOut.model_validate(await adjusting.propose(work, proposal))


@router.get("/v1/points/adjustments")
@allow(CityOperator)
async def list_adjustments(
    conn: Reading, asked: Asked, rider_id: UUID | None = None, state: State | None = None
) -> Page[AdjustmentOut]:
    """Newest first; of one rider, or in one state."""
    found = await store.adjustments(conn, asked.after(UUID) or NEWEST, rider_id, state, asked.rows)
    return asked.page(found, AdjustmentOut.model_validate, lambda one: one.id)


@router.get("/v1/points/adjustments/{adjustment_id}")
@allow(CityOperator, refuses=(NOT_FOUND,))
async def read_adjustment(adjustment_id: UUID, conn: Reading) -> AdjustmentOut:
    """One of them."""
    if (found := await store.adjustment(conn, adjustment_id)) is None:
        raise not_found("adjustment")
    return AdjustmentOut.model_validate(found)


@router.post("/v1/points/adjustments/{adjustment_id}/approve")
@allow(
    CityOperator,
    refuses=(NOT_FOUND, problems.TWO_PEOPLE, problems.ADJUSTMENT_DECIDED, problems.TOO_FEW_POINTS),
    writes=True,
)
async def approve_adjustment(
    adjustment_id: UUID, body: DecisionIn, caller: Caller, service: CurrentService
) -> AdjustmentOut:
    """Let it take effect. Not for the person who proposed it."""
    return await _decide(adjustment_id, "approved", body, caller, service)


@router.post("/v1/points/adjustments/{adjustment_id}/refuse")
@allow(CityOperator, refuses=(NOT_FOUND, problems.TWO_PEOPLE, problems.ADJUSTMENT_DECIDED))
async def refuse_adjustment(
    adjustment_id: UUID, body: DecisionIn, caller: Caller, service: CurrentService
) -> AdjustmentOut:
    """Let it come to nothing. Not for the person who proposed it: they withdraw it."""
    return await _decide(adjustment_id, "refused", body, caller, service)


@router.post("/v1/points/adjustments/{adjustment_id}/withdraw")
@allow(CityOperator, refuses=(NOT_FOUND, problems.TWO_PEOPLE, problems.ADJUSTMENT_DECIDED))
async def withdraw_adjustment(
    adjustment_id: UUID, body: DecisionIn, caller: Caller, service: CurrentService
) -> AdjustmentOut:
    """Take one's own proposal back."""
    return await _decide(adjustment_id, "withdrawn", body, caller, service)


async def _decide(
    adjustment_id: UUID, decision: Decision, body: DecisionIn, caller: Principal, service: CurrentService
) -> AdjustmentOut:
    async with service.work() as work:
        by = (caller.id, caller.name or caller.id)
        decided = await adjusting.decide(work, adjustment_id, decision, by, masked(body.words))
    return AdjustmentOut.model_validate(decided)
