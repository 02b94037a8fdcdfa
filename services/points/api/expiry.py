"""HTTP in: until when points are valid, and what is left of them."""

from datetime import date
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from services.points import problems
from services.points.earning.terms import Terms
from services.points.lots import ExpiryRule
from services.points.store import ledger
from services.points.store import lots as store
from services.points.usecases import expiry
from shared.events.outside import Words
from shared.kit.auth import Caller, CityOperator, Operator, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["points"])


class LotOut(Answer):
    """Points that were earned on one day."""

    earned_on: date
    points: int
    left: int = Field(description="not spent, not reserved, not expired")
    expires_on: date | None = Field(description="the first day on which they are gone; null: never")


class LotsOut(Answer):
    """What is left, in the order in which it is spent. `undated`: older than all, and never expires."""

    undated: int
    items: list[LotOut]


class ExpiryRuleOut(Answer):
    """For how many days points are valid that are earned from a day on; 0: for ever."""

    version: int
    effective_from: date
    valid_days: int
    set_by: str
    reason: str


class ExpiryRuleIn(Body):
    """A new rule. `after_version` is the newest version that the caller has seen."""

    after_version: int = Field(ge=1, le=1_000_000)
    effective_from: date = Field(description="a day of the city that hasn't begun")
    valid_days: int = Field(ge=0, le=3650, description="0: for ever")
    reason: Words = Field(min_length=3, max_length=500)


@router.get("/v1/points/me/lots")
@allow(Rider)
async def read_my_lots(caller: Caller, conn: Reading) -> LotsOut:
    """When the caller's points expire: what is left of each day's, oldest first."""
    return await _lots(conn, caller.rider_id)


@router.get("/v1/points/riders/{rider_id}/lots")
@allow(CityOperator)
async def read_lots(rider_id: UUID, conn: Reading) -> LotsOut:
    """When one rider's points expire."""
    return await _lots(conn, rider_id)


@router.get("/v1/points/expiry-rules")
@allow(Operator)
async def read_expiry_rules(conn: Reading, asked: Asked) -> Page[ExpiryRuleOut]:
    """Rules by version. That of the day on which points are earned decides."""
    found = await store.expiry_rules(conn, asked.after(int) or 0, asked.rows)
    return asked.page(found, ExpiryRuleOut.model_validate, lambda rule: rule.version)


@router.put("/v1/points/expiry-rules")
@allow(CityOperator, refuses=(problems.RULE_IN_THE_PAST, problems.RULE_MOVED_ON))
async def set_expiry_rule(
    body: ExpiryRuleIn, caller: Caller, service: CurrentService, terms: Given[Terms]
) -> ExpiryRuleOut:
    """Add a rule, which holds for what is earned from a later day on: nobody's points end earlier than promised."""
    rule = ExpiryRule(
        body.after_version + 1, body.effective_from, body.valid_days, str(terms.zone), caller.name or caller.id,
        masked(body.reason),
    )  # fmt: skip
    async with service.work() as work:
        await expiry.set_expiry_rule(terms.zone, work, rule)
    return ExpiryRuleOut.model_validate(rule)


async def _lots(conn: Connection, rider_id: UUID) -> LotsOut:
    account = await ledger.account(conn, rider_id)
    available = account.available if account is not None else 0
    items = [
        LotOut(earned_on=lot.earned_on, points=lot.points, left=left, expires_on=lot.expires_on)
        for lot in await store.lots_of(conn, rider_id)
        if (left := lot.left(available))
    ]
    return LotsOut(undated=available - sum(item.left for item in items), items=items)
