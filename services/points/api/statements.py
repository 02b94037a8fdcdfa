"""HTTP in: accounts as of any instant, and what was redeemed at a merchant."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from services.points import problems
from services.points.api import EntryOut
from services.points.earning.terms import Terms
from services.points.store import statements as store
from shared.events.common import AnyZone
from shared.kit.auth import AnyOf, Caller, CityOperator, Merchant, Rider, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page, PageAsked
from shared.kit.postgres.db import Connection
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import Reading
from shared.kit.service.given import Given

router: APIRouter = policy_router(tags=["points"])
PERIOD_DAYS_MAX = 400
Since = Annotated[AnyZone, Query(alias="from", description="after this instant")]
Until = Annotated[AnyZone, Query(alias="to", description="up to this instant")]


class BalancesOut(Answer):
    """Balances at an instant, in whole points."""

    at: datetime
    pending: int
    available: int
    reserved: int


class StatementOut(Page[EntryOut]):
    """Entries after one instant and up to another, oldest first, with the balances at both."""

    rider_id: UUID
    opening: BalancesOut
    closing: BalancesOut


class RedeemedOut(Answer):
    """What was redeemed at a merchant or station in [from, to), by the ledger's own entries, in whole points."""

    merchant_id: UUID
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    points: int = Field(description="paid with vouchers that were used")
    vouchers: int
    undone_points: int = Field(description="given back to riders, of vouchers that were used then or before")
    undone_vouchers: int
    net: int = Field(description="points less undone_points")


@router.get("/v1/points/me/statement")
@allow(Rider, refuses=(problems.BAD_PERIOD,))
async def read_my_statement(
    since: Since, until: Until, caller: Caller, conn: Reading, asked: Asked, terms: Given[Terms]
) -> StatementOut:
    """The caller's own entries of a period of at most 400 days, and the balances before and after it."""
    return await _statement(conn, terms, caller.rider_id, since, until, asked)


@router.get("/v1/points/riders/{rider_id}/statement")
@allow(CityOperator, refuses=(problems.BAD_PERIOD,))
async def read_statement(
    rider_id: UUID, since: Since, until: Until, conn: Reading, asked: Asked, terms: Given[Terms]
) -> StatementOut:
    """One rider's entries of a period of at most 400 days, and the balances before and after it."""
    return await _statement(conn, terms, rider_id, since, until, asked)


@router.get("/v1/points/me/balances")
@allow(Rider)
async def read_my_balances(at: AnyZone, caller: Caller, conn: Reading) -> BalancesOut:
    """The caller's own balances as of an instant."""
    return await _balances(conn, caller.rider_id, at)


@router.get("/v1/points/riders/{rider_id}/balances")
@allow(CityOperator)
async def read_balances(rider_id: UUID, at: AnyZone, conn: Reading) -> BalancesOut:
    """One rider's balances as of an instant."""
    return await _balances(conn, rider_id, at)


@router.get("/v1/points/merchants/{merchant_id}/redeemed")
@allow(AnyOf(Merchant, CityOperator), refuses=(NOT_FOUND, problems.BAD_PERIOD))
async def read_redeemed(
    merchant_id: UUID,
    since: Annotated[AnyZone, Query(alias="from")],
    until: Annotated[AnyZone, Query(alias="to")],
    caller: Caller,
    conn: Reading,
) -> RedeemedOut:
    """Points redeemed at a merchant in [from, to), at most 400 days; a merchant reads its own."""
    if not caller.has("operator") and caller.merchant != str(merchant_id):
        raise not_found("merchant")
    _check(since, until)
    found = await store.redeemed(conn, f"merchant:{merchant_id}", since, until)
    return RedeemedOut(
        merchant_id=merchant_id, since=since, until=until, points=found.points, vouchers=found.vouchers,
        undone_points=found.undone_points, undone_vouchers=found.undone_vouchers,
        net=found.points - found.undone_points,
    )  # fmt: skip


async def _statement(
    conn: Connection, terms: Terms, rider_id: UUID, since: datetime, until: datetime, asked: PageAsked
) -> StatementOut:
    _check(since, until)
    found = await store.lines(conn, rider_id, since, until, asked.after(int, int) or (0, 0), asked.rows)
    await terms.memory.read(conn)
    page = asked.page(
        found,
        lambda entry: EntryOut.of(entry, terms.why(entry.rule, entry.reason, entry.said)),
        lambda entry: (entry.version, entry.line),
    )
    opening, closing = await _balances(conn, rider_id, since), await _balances(conn, rider_id, until)
    return StatementOut(items=page.items, cursor=page.cursor, rider_id=rider_id, opening=opening, closing=closing)


async def _balances(conn: Connection, rider_id: UUID, at: datetime) -> BalancesOut:
    found = await store.balances_at(conn, rider_id, at)
    return BalancesOut(at=at, pending=found.pending, available=found.available, reserved=found.reserved)


def _check(since: datetime, until: datetime) -> None:
    if not 0 < (until - since).total_seconds() <= PERIOD_DAYS_MAX * 86_400:
        raise problems.BAD_PERIOD(f"from before to, at most {PERIOD_DAYS_MAX} days")
