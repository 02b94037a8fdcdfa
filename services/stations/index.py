"""All stations of the city in memory: the nearest ones, and those along a way, without a question to anybody.

A few thousand stations are a few arrays; a look at all of them costs less than a question to a server. Whatever
anybody changes raises a station's version, so the sum of versions says whether there is something new. Read again whole
from Postgres at any time; a process has nothing of its own.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from services.stations.domain.words import Station
from services.stations.store import stations as store
from services.stations.store.stations import Total
from shared.geo.metres import metres_per_degree
from shared.kit.postgres.db import Pool, is_transient, reading

log = structlog.get_logger(__name__)
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Near:
    """A station, how far away it is in a straight line, and where along the way, both in metres."""

    station: Station
    distance_m: float
    along_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which stations: `services` all of them, `kind` where one is named."""

    services: tuple[str, ...] = ()
    kind: str | None = None
    is_open: bool = True


@dataclass(frozen=True)
class Snapshot:
    """Stations at one moment. Immutable: a request takes one and asks it throughout."""

    stations: tuple[Station, ...] = ()
    lng: Array = field(default_factory=lambda: np.empty(0))
    lat: Array = field(default_factory=lambda: np.empty(0))
    is_open: Mask = field(default_factory=lambda: np.empty(0, np.bool_))
    services: dict[str, Mask] = field(default_factory=dict)
    kinds: dict[str, Mask] = field(default_factory=dict)

    @staticmethod
    def of(stations: Sequence[Station]) -> "Snapshot":
        """The arrays of these stations."""
        codes = {code for one in stations for code in one.services}
        return Snapshot(
            tuple(stations),
            np.array([one.lng for one in stations], np.float64),
            np.array([one.lat for one in stations], np.float64),
            np.array([one.is_open for one in stations], np.bool_),
            {code: np.array([code in one.services for one in stations], np.bool_) for code in codes},
            {kind: np.array([one.kind == kind for one in stations], np.bool_) for kind in {s.kind for s in stations}},
        )

    def nearest(self, lng: float, lat: float, wanted: Wanted, within_m: float, limit: int) -> list[Near]:
        """The nearest stations in a straight line, at most so many; WGS-84 degrees."""
        there = np.flatnonzero(self._mask(wanted))
        east, north = metres_per_degree(lat)
        away = np.hypot((self.lng[there] - lng) * float(east), (self.lat[there] - lat) * float(north))
        within = np.flatnonzero(away <= within_m)
        if len(within) > limit:
            within = within[np.argpartition(away[within], limit - 1)[:limit]]
        ordered = within[np.argsort(away[within], kind="stable")]
        return [Near(self.stations[there[n]], float(away[n])) for n in ordered]

    def along(self, way: Sequence[tuple[float, float]], wanted: Wanted, within_m: float, limit: int) -> list[Near]:
        """Stations within so many metres of a way of two or more places, in the order in which it passes them."""
        line = np.array(way, np.float64)
        lat = float(line[:, 1].mean())
        scale = np.array([float(one) for one in metres_per_degree(lat)])
        origin = line[0]
        line = (line - origin) * scale
        there = np.flatnonzero(self._mask(wanted))
        places = (np.column_stack([self.lng[there], self.lat[there]]) - origin) * scale
        low, high = line.min(axis=0) - within_m, line.max(axis=0) + within_m
        close = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
        if not len(close):
            return []
        away, along = _to_line(places[close], line)
        within = np.flatnonzero(away <= within_m)
        ordered = within[np.argsort(along[within], kind="stable")][:limit]
        return [Near(self.stations[there[close[n]]], float(away[n]), float(along[n])) for n in ordered]

    def _mask(self, wanted: Wanted) -> Mask:
        mask = self.is_open if wanted.is_open else np.ones(len(self.stations), np.bool_)
        asked: list[Mask | None] = [self.services.get(code) for code in wanted.services]
        asked += [] if wanted.kind is None else [self.kinds.get(wanted.kind)]
        for one in asked:
            if one is None:
                return np.zeros(len(self.stations), np.bool_)
            mask = mask & one
        return mask


def _to_line(places: Array, line: Array) -> tuple[Array, Array]:
    """Each place's distance to a line, and how far along it the nearest point lies; all in metres on a plane."""
    starts, steps = line[:-1], np.diff(line, axis=0)
    squares = np.maximum((steps**2).sum(axis=1), 1e-9)
    passed = np.concatenate([[0.0], np.cumsum(np.sqrt((steps**2).sum(axis=1)))[:-1]])
    best, along = np.full(len(places), math.inf), np.zeros(len(places))
    for start, step, square, before in zip(starts, steps, squares, passed, strict=True):
        share = np.clip(((places - start) @ step) / square, 0.0, 1.0)
        away = np.hypot(*(places - start - share[:, None] * step).T)
        nearer = away < best
        best[nearer] = away[nearer]
        along[nearer] = before + share[nearer] * math.sqrt(square)
    return best, along


class StationIndex:
    """What one process knows of the stations; `snapshot` is exchanged whole."""

    def __init__(self, pool: Callable[[], Pool], poll_s: float) -> None:
        self.snapshot = Snapshot()
        self._pool = pool
        self._poll_s = poll_s
        self._total = Total(0, 0)
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Read all stations where one has changed, whichever process did it. Raises what the database raises."""
        async with self._lock, reading(self._pool()) as conn:
            # before the rows: a change between the two is read twice, and never missed
            total = await store.total(conn)
            if total == self._total:
                return
            found = await store.all_there(conn)
            self.snapshot = await asyncio.to_thread(Snapshot.of, found)
            self._total = total

    async def follow(self) -> None:
        """Refresh for ever. While the database is away the old stations stay."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("stations_not_checked", error=type(error).__name__)
