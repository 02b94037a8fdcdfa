"""HTTP in: riders read their own account, operators any."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from services.points import problems, usecases
from services.points.domain import Account
from services.points.earning.terms import Terms
from services.points.earning.words import Why
from services.points.store import ledger as store
from services.points.store.ledger import EntryView
from shared.events.outside import Words
from shared.kit.auth import Caller, CityOperator, Operator, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page, PageAsked
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading
from shared.kit.service.given import Given
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
    source: Literal["report", "deed", "redemption", "expiry", "adjustment"]
    source_id: UUID
    case_id: UUID | None
    kind: str = Field(description="of a report; of a deed its action")
    from_account: str
    to_account: str
    amount: int
    made_at: datetime
    party: str | None
    waits: bool = Field(description="points that are held, and for which the budget has no room yet")
    reason: str | None = Field(description="why points wait, were taken back or given: a code, or an office's words")
    rule: str | None = Field(description="which rule has decided: version/name, +campaign that multiplied")
    why_zh: str = Field(description="the same in words, with what an office has said of it")
    why_en: str

    @staticmethod
    def of(entry: EntryView, why: Why) -> "EntryOut":
        """With words for people."""
        return EntryOut(
            **{name: getattr(entry, name) for name in EntryOut.model_fields if not name.startswith("why_")},
            why_zh=why.zh,
            why_en=why.en,
        )


class HoldOut(Answer):
    """What became of one report, deed or redemption."""

    id: UUID
    source: Literal["report", "deed", "redemption", "expiry", "adjustment"]
    state: Literal["held", "posted", "voided", "reversed", "refused", "expired", "adjusted"]
    amount: int = Field(description="points; of a refused one, what it would have been")
    waits: bool = Field(description="for its budget")
    reason: str | None
    rule: str | None
    why_zh: str
    why_en: str


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
async def read_my_entries(caller: Caller, conn: Reading, asked: Asked, terms: Given[Terms]) -> Page[EntryOut]:
    """The caller's own entries, newest first, each with the rule that has decided."""
    return await _entries(conn, terms, caller.rider_id, asked)


@router.get("/v1/points/me/holds/{hold_id}")
@allow(Rider, refuses=(NOT_FOUND,))
async def read_my_hold(hold_id: UUID, caller: Caller, conn: Reading, terms: Given[Terms]) -> HoldOut:
    """What became of the caller's own report, deed or redemption, and why: also of one that earns nothing."""
    found = await store.hold(conn, hold_id)
    if found is None or found.rider_id != caller.rider_id:
        raise not_found("hold")
    await terms.memory.read(conn)
    words = terms.why(found.rule, found.reason, found.said)
    return HoldOut(
        id=found.id, source=found.source, state=found.state, amount=found.amount, waits=found.waits,
        reason=found.reason, rule=found.rule, why_zh=words.zh, why_en=words.en,
    )  # fmt: skip


@router.get("/v1/points/riders/{rider_id}")
@allow(CityOperator)
async def read_account(rider_id: UUID, conn: Reading) -> AccountOut:
    """One rider's account, which no area has for itself; zeros for a rider who never earned."""
    return await _account(conn, rider_id)


@router.get("/v1/points/riders/{rider_id}/entries")
@allow(CityOperator)
async def read_entries(rider_id: UUID, conn: Reading, asked: Asked, terms: Given[Terms]) -> Page[EntryOut]:
    """One rider's entries, newest first."""
    return await _entries(conn, terms, rider_id, asked)


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
    """Take back the posted points of a report or deed in the caller's areas; the hold's id is the report's.

    Entries are added, none is changed.
    """
    async with service.work() as work:
        await usecases.reverse(work, hold_id, f"{masked(body.reason)} ({caller.name or caller.id})", caller.covers)
    return Response(status_code=204)


async def _account(conn: Connection, rider_id: UUID) -> AccountOut:
    active = rider_id not in await known_riders.inactive_among(conn, [rider_id])
    return AccountOut.of(rider_id, await store.account(conn, rider_id), active)


async def _entries(conn: Connection, terms: Terms, rider_id: UUID, asked: PageAsked) -> Page[EntryOut]:
    found = await store.entries(conn, rider_id, asked.after(int, int) or NEWEST, asked.rows)
    await terms.memory.read(conn)
    return asked.page(
        found,
        lambda entry: EntryOut.of(entry, terms.why(entry.rule, entry.reason, entry.said)),
        lambda entry: (entry.version, entry.line),
    )
