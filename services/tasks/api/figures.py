"""What the city reconciles, and what companies learn: sums, never a rider."""

from datetime import date, datetime, time
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from services.tasks import problems
from services.tasks.settings import Settings
from services.tasks.store import claims
from services.tasks.store.figures import figures
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Company, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.service import Given, Reading

router: APIRouter = policy_router(tags=["tasks"])
RIDERS_MIN = 5
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


class FiguresOut(Answer):
    """All tasks' figures against all claims and deeds, counted row by row.

    claims = places + waiting + handed_back + no_shows + called_off, and deeds = approved; `balanced` says whether.
    """

    balanced: bool
    claims: int = Field(description="rows")
    places: int = Field(description="that riders have or had, as the tasks say")
    waiting: int = Field(description="in a line, or left without a place, as the tasks say")
    handed_back: int
    no_shows: int
    called_off: int
    deeds: int = Field(description="that hold: rows")
    approved_reviews: int = Field(description="claims that are approved: rows")
    reviews_overdue: int
    appeals_open: int


class CompanyMonthOut(Answer):
    """What a company's riders did in a month; null: fewer than five of them did anything."""

    month: str
    riders: int | None
    tasks: int | None
    points: int | None = Field(description="that were asked for it")


@router.get("/v1/tasks/figures")
@allow(CityOperator)
async def read_figures(conn: Reading) -> FiguresOut:
    """Whether all claims are somewhere, and each approved one has its deed."""
    found = await figures(conn)
    return FiguresOut(
        balanced=found.balanced,
        claims=found.claims_rows,
        places=found.places,
        waiting=found.waiting,
        handed_back=found.handed_back,
        no_shows=found.no_shows,
        called_off=found.called_off,
        approved_reviews=found.approved_rows,
        deeds=found.deeds_rows,
        reviews_overdue=await claims.overdue(conn),
        appeals_open=await claims.appeals_open(conn),
    )


@router.get("/v1/tasks/by-company")
@allow(Company, refuses=(problems.TASKS_MONTH_NOT_OVER,))
async def read_company_month(month: Month, caller: Caller, conn: Reading, settings: Given[Settings]) -> CompanyMonthOut:
    """What a company's own riders did in a month that is over: totals, and none where fewer than five riders did.

    Whole months alone: from two periods that overlap one rider's part could be found.
    """
    first = date.fromisoformat(f"{month}-01")
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    since, until = (datetime.combine(day, time(), settings.city_zone) for day in (first, after))
    if clock.now() < until:  # process clock: a month that ends now is asked for once more
        raise problems.TASKS_MONTH_NOT_OVER()
    riders, done, points = await claims.of_company(conn, caller.company_code, since, until)
    if riders < RIDERS_MIN:
        return CompanyMonthOut(month=month, riders=None, tasks=None, points=None)
    return CompanyMonthOut(month=month, riders=riders, tasks=done, points=points)
