"""What a rider has claimed."""

from uuid import UUID

from fastapi import APIRouter

from services.tasks.api.parts import FIRST_ID, ClaimOut
from services.tasks.store import claims as store
from shared.kit.auth import Caller, Rider, allow, policy_router
from shared.kit.http.paging import Asked, Page
from shared.kit.service import Reading

router: APIRouter = policy_router(tags=["tasks"])


@router.get("/v1/tasks/claims/mine")
@allow(Rider)
async def list_own_claims(caller: Caller, conn: Reading, asked: Asked) -> Page[ClaimOut]:
    """The rider's own claims, the oldest first."""
    found = await store.of_rider(conn, caller.rider_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, ClaimOut.of, lambda claim: claim.id)
