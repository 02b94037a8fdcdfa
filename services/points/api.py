"""HTTP in: riders read their own account, operators any, and set the rules."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.points import problems, usecases
from services.points.domain import Account, Rule, rule_at
from services.points.store import ledger as store
from services.points.store.ledger import EntryView
from shared.events.common import AnyZone
from shared.events.outside import PLAIN_FORM, RowId, Words
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Operator, Rider, allow, policy_router
from shared.kit.db import Connection
from shared.kit.masking import masked
from shared.kit.problems import NOT_FOUND
from shared.kit.service import Service, current_service

router: APIRouter = policy_router(tags=["points"])
CurrentService = Annotated[Service, Depends(current_service)]
# the newest entry of an account comes before this one
_TOP = "9223372036854775807.0"
Cursor = Annotated[
    str, Query(pattern=r"^[0-9]{1,19}\.[0-9]{1,4}$", description="`next` of the page before"), PLAIN_FORM
]
Limit = Annotated[int, Query(ge=1, le=200)]


class AccountOut(BaseModel):
    """Balances in whole points."""

    rider_id: UUID
    pending: int = Field(description="earned, waiting for the case to be verified")
    available: int = Field(description="can be spent")
    reserved: int = Field(description="held for vouchers not yet used")
    active: bool
    version: int

    @staticmethod
    def of(rider_id: UUID, account: Account | None) -> "AccountOut":
        """A rider who never earned has an account of zeros."""
        found = account or Account(rider_id)
        return AccountOut(
            rider_id=rider_id,
            pending=found.pending,
            available=found.available,
            reserved=found.reserved,
            active=found.active,
            version=found.version,
        )


class EntryOut(BaseModel):
    """One line of the ledger: `amount` > 0 went from one account to another."""

    model_config = ConfigDict(from_attributes=True)
    entry_id: UUID
    movement: Literal["held", "posted", "voided", "reversed"]
    source: Literal["report", "redemption"]
    source_id: UUID
    case_id: UUID | None
    kind: str
    from_account: str
    to_account: str
    amount: int
    made_at: datetime


class EntriesOut(BaseModel):
    """A page, newest first."""

    entries: list[EntryOut]
    next: str | None = Field(description="cursor of the next page; null: this was the last")


class RuleOut(BaseModel):
    """Caps per rider from an instant on."""

    model_config = ConfigDict(from_attributes=True)
    version: int
    effective_from: datetime
    points_per_day_max: int
    kind_reports_per_day_max: int
    co_reporters_max: int
    set_by: str
    reason: str


class RulesOut(BaseModel):
    """The rule in force, and a page of all there are, by version."""

    current: RuleOut
    rules: list[RuleOut]
    next: int | None = Field(description="go on with `after` = this; null: this was the last page")


class RuleIn(BaseModel):
    """A new rule. `after_version` is the newest version the caller has seen."""

    model_config = ConfigDict(extra="forbid")
    after_version: int = Field(ge=1, le=1_000_000)
    effective_from: AnyZone | None = Field(None, description="not in the past; null: now")
    points_per_day_max: int = Field(ge=0, le=1_000_000)
    kind_reports_per_day_max: int = Field(ge=0, le=1_000_000)
    co_reporters_max: int = Field(ge=0, le=1_000)
    reason: Words = Field(min_length=3, max_length=500)


class ReverseIn(BaseModel):
    """Why posted points are taken back; the rider reads it."""

    model_config = ConfigDict(extra="forbid")
    reason: Words = Field(min_length=3, max_length=500)


@router.get("/v1/points/me")
@allow(Rider, refuses=(problems.NOT_A_RIDER_ID,))
async def read_mine(caller: Caller, service: CurrentService) -> AccountOut:
    """The caller's own account."""
    return await _account(service, _rider_id(caller.id))


@router.get("/v1/points/me/entries")
@allow(Rider, refuses=(problems.NOT_A_RIDER_ID,))
async def read_my_entries(
    caller: Caller, service: CurrentService, cursor: Cursor = _TOP, limit: Limit = 50
) -> EntriesOut:
    """The caller's own entries."""
    return await _entries(service, _rider_id(caller.id), cursor, limit)


@router.get("/v1/points/riders/{rider_id}")
@allow(CityOperator)
async def read_account(rider_id: UUID, service: CurrentService) -> AccountOut:
    """One rider's account, which no area has for itself; zeros for a rider who never earned."""
    return await _account(service, rider_id)


@router.get("/v1/points/riders/{rider_id}/entries")
@allow(CityOperator)
async def read_entries(rider_id: UUID, service: CurrentService, cursor: Cursor = _TOP, limit: Limit = 50) -> EntriesOut:
    """One rider's entries."""
    return await _entries(service, rider_id, cursor, limit)


@router.post("/v1/points/holds/{hold_id}/reverse", status_code=204)
@allow(
    Operator,
    refuses=(
        NOT_FOUND,
        problems.NOT_REVERSIBLE,
    ),
)
async def reverse_hold(hold_id: UUID, body: ReverseIn, caller: Caller, service: CurrentService) -> Response:
    """Take back the posted points of a report in the caller's areas; the hold's id is the report's.

    Entries are added, none is changed.
    """
    async with service.work() as work:
        await usecases.reverse(work, hold_id, f"{masked(body.reason)} ({caller.name or caller.id})", caller.covers)
    return Response(status_code=204)


@router.get("/v1/points/rules")
@allow(Operator)
async def read_rules(
    service: CurrentService,
    after: Annotated[RowId, Query(description="`next` of the page before")] = 0,
    limit: Limit = 200,
) -> RulesOut:
    """Rules by version, and the one in force."""
    async with service.pool.acquire() as conn:
        return await _rules(conn, after, limit)


@router.put("/v1/points/rules")
@allow(CityOperator, refuses=(problems.RULE_IN_THE_PAST, problems.RULE_MOVED_ON))
async def set_rules(body: RuleIn, caller: Caller, service: CurrentService) -> RulesOut:
    """Add a rule, and tell it. What was reckoned before stays: a rule can't begin in the past."""
    async with service.work() as work:
        effective_from = body.effective_from or work.now
        if effective_from < work.now:
            raise problems.RULE_IN_THE_PAST()
        rule = Rule(
            body.after_version + 1,
            effective_from,
            body.points_per_day_max,
            body.kind_reports_per_day_max,
            body.co_reporters_max,
            caller.name or caller.id,
            masked(body.reason),
        )
        await usecases.set_rule(work, rule)
        return await _rules(work.conn, body.after_version, 1)


def _rider_id(subject: str) -> UUID:
    try:
        return UUID(subject)
    except ValueError:
        raise problems.NOT_A_RIDER_ID() from None


async def _rules(conn: Connection, after: int, limit: int) -> RulesOut:
    current = rule_at(await store.rules(conn), clock.now())  # process clock: shown only
    page = [RuleOut.model_validate(rule) for rule in await store.rules_page(conn, after, limit)]
    last = page[-1].version if len(page) == limit else None
    return RulesOut(current=RuleOut.model_validate(current), rules=page, next=last)


async def _account(service: Service, rider_id: UUID) -> AccountOut:
    async with service.pool.acquire() as conn:
        return AccountOut.of(rider_id, await store.account(conn, rider_id))


async def _entries(service: Service, rider_id: UUID, cursor: str, limit: int) -> EntriesOut:
    version, _, line = cursor.partition(".")
    before = (min(int(version), 2**63 - 1), int(line))
    async with service.pool.acquire() as conn:
        found: list[EntryView] = await store.entries(conn, rider_id, before, limit)
    following = f"{found[-1].version}.{found[-1].line}" if len(found) == limit else None
    return EntriesOut(entries=[EntryOut.model_validate(entry) for entry in found], next=following)
