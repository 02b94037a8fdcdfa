"""What the city counts: visits, hours open, stars and sightings, by station and by kind."""

from collections.abc import Collection
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.stations.api.parameters import areas_of
from services.stations.domain.words import Figures, Totals
from services.stations.store import visits
from services.stations.usecases.rules import Rules
from shared.events.common import AreaCode
from shared.kit.auth import Caller, Operator, Principal, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page
from shared.kit.service import Given, Reading

router = policy_router(tags=["stations"])


class FiguresOut(Answer):
    """A station's days together. `stars`: the mean, null where nobody has rated it."""

    station_id: UUID
    code: str
    name: str
    area_code: str
    visits: int
    open_hours: float
    ratings: int
    stars: float | None
    sightings: int

    @staticmethod
    def of(one: Figures) -> "FiguresOut":
        """Hours and means."""
        return FiguresOut(
            **{name: getattr(one, name) for name in FiguresOut.model_fields if hasattr(one, name) and name != "stars"},
            open_hours=round(one.open_s / 3_600, 2),
            stars=round(one.stars / one.ratings, 2) if one.ratings else None,
        )


class TotalOut(Answer):
    """All stations of a kind together. `stars`: the mean, null where nobody has rated one."""

    kind: str
    stations: int
    visits: int
    open_hours: float
    ratings: int
    stars: float | None
    sightings: int

    @staticmethod
    def of(one: Totals) -> "TotalOut":
        """Hours and means."""
        return TotalOut(
            kind=one.kind, stations=one.stations, visits=one.visits, open_hours=round(one.open_s / 3_600, 2),
            ratings=one.ratings, stars=round(one.stars / one.ratings, 2) if one.ratings else None,
            sightings=one.sightings,
        )  # fmt: skip


class TotalsOut(Answer):
    """By kind, of some days."""

    first: date
    last: date
    kinds: list[TotalOut]


@router.get("/v1/stations/figures")
@allow(Operator)
async def read_figures(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    rules: Given[Rules],
    first: Annotated[date, Query(description="the city's day")],
    last: Annotated[date, Query(description="that day included")],
    area: Annotated[AreaCode | None, Query(description="only what lies there")] = None,
) -> Page[FiguresOut]:
    """Visits, hours open and stars by station of the caller's areas, by code; stations that were given up, too."""
    areas = _areas(caller, rules, area)
    found = await visits.figures(conn, first, last, asked.after(str) or "", areas, asked.rows)
    return asked.page(found, FiguresOut.of, lambda one: one.code)


@router.get("/v1/stations/figures/totals")
@allow(Operator)
async def read_totals(
    caller: Caller,
    conn: Reading,
    rules: Given[Rules],
    first: Annotated[date, Query(description="the city's day")],
    last: Annotated[date, Query(description="that day included")],
    area: Annotated[AreaCode | None, Query(description="only what lies there")] = None,
) -> TotalsOut:
    """The same of all stations of the caller's areas together, by kind."""
    found = await visits.totals(conn, first, last, _areas(caller, rules, area))
    return TotalsOut(first=first, last=last, kinds=[TotalOut.of(one) for one in found])


def _areas(caller: Principal, rules: Rules, area: str | None) -> Collection[str] | None:
    """The caller's areas, or what of one of them is theirs; None: the whole city."""
    own = areas_of(caller, rules)
    wanted = own if area is None else rules.tree().below([area])
    return wanted if own is None or wanted is None else set(wanted) & set(own)
