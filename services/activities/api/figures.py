"""Figures: a company's sums, and what the operator reconciles."""

from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import Field

from services.activities import problems
from services.activities.domain import RIDERS_MIN
from services.activities.settings import Settings
from services.activities.store import signups as store
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Company, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.service import Given, Reading

router: APIRouter = policy_router(tags=["activities"])
Month = Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-05"])]


class CompanySumsOut(Answer):
    """What a company's riders took part in, in a month; null: fewer than five of them did."""

    month: str
    riders: int | None
    signups: int | None
    attended: int | None


class ReconciliationOut(Answer):
    """signups = confirmed + waiting + wished + cancelled, and confirmed holds who came and who did not."""

    activities: int
    signups: int
    confirmed: int
    waiting: int
    wished: int
    cancelled: int
    attended: int
    no_shows: int
    difference: int = Field(description="signups without the other four: 0, or something is wrong")


@router.get("/v1/activities/company")
@allow(Company, refuses=(problems.MONTH_RUNS,))
async def read_company(month: Month, caller: Caller, conn: Reading, settings: Given[Settings]) -> CompanySumsOut:
    """What a company's own riders took part in, in a month that is over, of activities whose books are closed.

    Whole months alone: from two periods that overlap one rider's doings could be known.
    """
    since, until = _month(date.fromisoformat(f"{month}-01"), settings.city_zone)
    if until > clock.now():  # process clock: a minute of a month matters to nobody
        raise problems.MONTH_RUNS()
    found = await store.of_company(conn, caller.company_code, since, until)
    if found.riders < RIDERS_MIN:
        return CompanySumsOut(month=month, riders=None, signups=None, attended=None)
    return CompanySumsOut(month=month, riders=found.riders, signups=found.signups, attended=found.attended)


@router.get("/v1/activities/reconciliation")
@allow(CityOperator)
async def read_reconciliation(conn: Reading) -> ReconciliationOut:
    """The numbers of all activities, as they are kept."""
    kept = await store.tallies(conn)
    parts = sum(kept[name] for name in ("confirmed", "waiting", "wished", "cancelled"))
    return ReconciliationOut(**kept, difference=kept["signups"] - parts)


def _month(first: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    since, until = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, after))
    return since, until
