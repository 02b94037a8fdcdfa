"""HTTP in: riders read their own account, operators any, and set the rules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from services.points import problems, usecases
from services.points.domain import Account, Rule, rule_at
from services.points.store import ledger as store
from shared.events.common import AnyZone
from shared.events.outside import Words
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Operator, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page, PageAsked
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Reading
from shared.known import riders as known_riders

router: APIRouter = policy_router(tags=["points"])

NEWEST = (2**63 - 1, 0)
"""Before this comes the newest entry of an account."""


class AccountOut(Answer):
    """Balances in whole points."""

    rider_id: UUID
    pending: int = Field(description="earned, waiting for the case to be verified")
    available: int = Field(description="can be spent")
    reserved: int = Field(description="held for vouchers not yet used")
    active: bool
    version: int

    @staticmethod
    def of(rider_id: UUID, account: Account | None, active: bool) -> "AccountOut":
        """A rider who never earned has an account of zeros."""
        found = account or Account(rider_id)
        return AccountOut(
            rider_id=rider_id,
            pending=found.pending,
            available=found.available,
            reserved=found.reserved,
            active=active,
            version=found.version,
        )


class EntryOut(Answer):
    """One line of the ledger: `amount` > 0 went from one account to another.

    (version, line) is its place in the account. `party`: with whom the points changed hands, `merchant:<id>`.
    """

    version: int
    line: int
    entry_id: UUID
    movement: Literal["held", "posted", "voided", "reversed", "expired", "adjusted"]
    source: Literal["report", "redemption", "expiry", "adjustment"]
    source_id: UUID
    case_id: UUID | None
    kind: str
    from_account: str
    to_account: str
    amount: int
    made_at: datetime
    party: str | None


class RuleOut(Answer):
    """Caps per rider from an instant on."""

    version: int
    effective_from: datetime
    points_per_day_max: int
    kind_reports_per_day_max: int
    co_reporters_max: int
    set_by: str
    reason: str


class RulesOut(Page[RuleOut]):
    """All rules there are, by version, and the one in force."""

    current: RuleOut


class RuleIn(Body):
    """A new rule. `after_version` is the newest version the caller has seen."""

    after_version: int = Field(ge=1, le=1_000_000)
    effective_from: AnyZone | None = Field(None, description="not in the past; null: now")
    points_per_day_max: int = Field(ge=0, le=1_000_000)
    kind_reports_per_day_max: int = Field(ge=0, le=1_000_000)
    co_reporters_max: int = Field(ge=0, le=1_000)
    reason: Words = Field(min_length=3, max_length=500)


class ReverseIn(Body):
    """Why posted points are taken back; the rider reads it."""

    reason: Words = Field(min_length=3, max_length=500)


@router.get("/v1/points/me")
@allow(Rider)
async def read_mine(caller: Caller, conn: Reading) -> AccountOut:
    """The caller's own account."""
    return await _account(conn, caller.rider_id)


@router.get("/v1/points/me/entries")
@allow(Rider)
async def read_my_entries(caller: Caller, conn: Reading, asked: Asked) -> Page[EntryOut]:
    """The caller's own entries, newest first."""
    return await _entries(conn, caller.rider_id, asked)


@router.get("/v1/points/riders/{rider_id}")
@allow(CityOperator)
async def read_account(rider_id: UUID, conn: Reading) -> AccountOut:
    """One rider's account, which no area has for itself; zeros for a rider who never earned."""
    return await _account(conn, rider_id)


@router.get("/v1/points/riders/{rider_id}/entries")
@allow(CityOperator)
async def read_entries(rider_id: UUID, conn: Reading, asked: Asked) -> Page[EntryOut]:
    """One rider's entries, newest first."""
    return await _entries(conn, rider_id, asked)


@router.post("/v1/points/holds/{hold_id}/reverse", status_code=204)
@allow(
    Operator,
    refuses=(
        NOT_FOUND,
        problems.NOT_REVERSIBLE,
    ),
    writes=True,
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
async def read_rules(conn: Reading, asked: Asked) -> RulesOut:
    """Rules by version, and the one in force."""
    found = await store.rules_page(conn, asked.after(int) or 0, asked.rows)
    return await _rules(conn, found[: asked.limit], asked.next(found, lambda rule: rule.version))


@router.put("/v1/points/rules")
@allow(CityOperator, refuses=(problems.RULE_IN_THE_PAST, problems.RULE_MOVED_ON))
async def set_rules(body: RuleIn, caller: Caller, service: CurrentService) -> RulesOut:
    """Add a rule, and publish it. What was counted before stays: a rule can't begin in the past."""
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
        return await _rules(work.conn, await store.rules_page(work.conn, body.after_version, 1), None)


async def _rules(conn: Connection, page: Sequence[Rule], cursor: str | None) -> RulesOut:
    current = rule_at(await store.rules(conn), clock.now())  # process clock: shown only
    shown = [RuleOut.model_validate(rule) for rule in page]
    return RulesOut(items=shown, cursor=cursor, current=RuleOut.model_validate(current))


async def _account(conn: Connection, rider_id: UUID) -> AccountOut:
    active = rider_id not in await known_riders.inactive_among(conn, [rider_id])
    return AccountOut.of(rider_id, await store.account(conn, rider_id), active)


async def _entries(conn: Connection, rider_id: UUID, asked: PageAsked) -> Page[EntryOut]:
    found = await store.entries(conn, rider_id, asked.after(int, int) or NEWEST, asked.rows)
    return asked.page(found, EntryOut.model_validate, lambda entry: (entry.version, entry.line))
