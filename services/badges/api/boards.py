"""Boards: who was credited how much in a day, a week or a month, of the city, an area or a company."""

from datetime import date
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from services.badges import metrics
from services.badges.domain import Period, Place, days_of, handle
from services.badges.settings import Settings
from services.badges.store import standings as store
from services.badges.store.boards import Board, Boards, Score, made, rider_of
from shared.events.common import AreaCode, CompanyCode
from shared.kit import clock
from shared.kit.auth import Caller, Person, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.service import CurrentService, Given

router: APIRouter = policy_router(tags=["badges"])
PLACES = 100


class PlaceOut(Answer):
    """One line: equal points have an equal place, and among equals the order says nothing."""

    place: int
    name: str = Field(description="a rider's handle, or a company's code")
    points: int


class BoardOut(Answer):
    """The first hundred, and the caller's own place, where they have one."""

    since: date
    until: date
    items: list[PlaceOut]
    own: PlaceOut | None


PeriodAsked = Annotated[Period, Query(description="of the day, its week from Monday, or its month")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
DayAsked = Annotated[
    Day | None, Query(description="any day of the period, by the city's days, from 2000 to 2999; none: today")
]
AreaAsked = Annotated[AreaCode | None, Query(description="an area of any level; none: the city")]


@router.get("/v1/badges/boards")
@allow(Person)
async def read_board(
    caller: Caller,
    service: CurrentService,
    boards: Given[Boards],
    settings: Given[Settings],
    period: PeriodAsked = "week",
    on: DayAsked = None,
    area: AreaAsked = None,
    company: Annotated[CompanyCode | None, Query(description="riders of one company; none: all")] = None,
) -> BoardOut:
    """Riders by what was credited, under handles; nobody is on a board who doesn't want to be."""
    board = _board(service, settings, period, on, area, company, teams=False)
    own_key = caller.id if caller.has("rider") else None
    places, own = await boards.top(board, PLACES, own_key, partial(_made, service, board))
    async with service.reading() as conn:
        off = await store.off_boards_among(conn, [rider_of(one) for one in (*places, *([own] if own else []))])
    key = settings.handle_key()
    return BoardOut(
        since=board.since,
        until=board.until,
        items=[_rider(one, key) for one in places if rider_of(one) not in off],
        own=None if own is None or rider_of(own) in off else _rider(own, key),
    )


@router.get("/v1/badges/boards/teams")
@allow(Person)
async def read_teams(
    service: CurrentService,
    boards: Given[Boards],
    settings: Given[Settings],
    period: PeriodAsked = "week",
    on: DayAsked = None,
    area: AreaAsked = None,
) -> BoardOut:
    """Companies by what their riders were credited."""
    board = _board(service, settings, period, on, area, None, teams=True)
    places, _ = await boards.top(board, PLACES, None, partial(_made, service, board))
    items = [PlaceOut(place=one.place, name=one.key, points=one.points) for one in places]
    return BoardOut(since=board.since, until=board.until, items=items, own=None)


def _board(
    service: CurrentService, settings: Settings, period: Period, on: date | None, area: str | None,
    company: str | None, *, teams: bool,
) -> Board:  # fmt: skip
    today = clock.now().astimezone(settings.city_zone).date()  # process clock: which board is shown
    since, until = days_of(period, on or today)
    grids = None if area is None else tuple(sorted(service.tree.below([area])))
    what = "teams" if teams else "riders"
    name = f"{settings.topic_prefix}badges:{what}:{period}:{since.isoformat()}:{area or ''}:{company or ''}"
    return Board(name, since, until, grids, company, teams)


async def _made(service: CurrentService, board: Board) -> list[Score]:
    """With a connection for as long as it is made: those who wait for it have none."""
    metrics.BOARDS_MADE.inc()
    async with service.reading() as conn:
        return await made(conn, board)


def _rider(one: Place, key: bytes) -> PlaceOut:
    return PlaceOut(place=one.place, name=handle(key, rider_of(one)), points=one.points)
