"""Boards: sorted sets in Redis, each made from Postgres when somebody asks and it isn't there, and gone after a while.

Nothing is counted in Redis, so it may be flushed at any time, and a board is never wrong for longer than it is kept.
While Redis is away the same board is made for the one who asks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.badges.domain import Place
from shared.kit.postgres.db import Connection, is_closed_transport
from shared.kit.postgres.rows import Query, many

PATIENCE_S = 0.5
"""For one answer of Redis; a whole board is entered in less."""
ROWS_MAX = 50_000
"""Riders of one board: all of a large city's."""
_NOTHING = "-"
"""Stands in a board that is empty, so that it need not be made again at once."""


@dataclass(frozen=True, slots=True)
class Score:
    """One member of a board: a rider's id or a company's code, and points."""

    key: str
    points: int


@dataclass(frozen=True, slots=True)
class Board:
    """Which board: days from and to, and those of some areas or of a company where it isn't everybody's."""

    name: str
    since: date
    until: date
    grids: tuple[str, ...] | None
    company: str | None
    teams: bool = False


SQL_RIDERS = Query(
    Score,
    f"""
SELECT d.rider_id::text AS key, sum(d.points)::bigint AS points FROM days d
WHERE d.credited_on BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR d.grid_code = ANY($3))
  AND ($4::text IS NULL OR d.company = $4) AND NOT EXISTS (SELECT FROM hidden h WHERE h.rider_id = d.rider_id)
GROUP BY d.rider_id HAVING sum(d.points) > 0 ORDER BY 2 DESC, 1 LIMIT {ROWS_MAX}
""",
)
SQL_TEAMS = Query(
    Score,
    f"""
SELECT d.company AS key, sum(d.points)::bigint AS points FROM days d
WHERE d.credited_on BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR d.grid_code = ANY($3)) AND d.company <> ''
GROUP BY d.company HAVING sum(d.points) > 0 ORDER BY 2 DESC, 1 LIMIT {ROWS_MAX}
""",
)


async def made(conn: Connection, board: Board) -> list[Score]:
    """A board from Postgres, the best first."""
    grids = None if board.grids is None else list(board.grids)
    if board.teams:
        return await many(conn, SQL_TEAMS, board.since, board.until, grids)
    return await many(conn, SQL_RIDERS, board.since, board.until, grids, board.company)


class Boards:
    """The boards as they are asked for. `keep_s`: how long one is kept."""

    def __init__(self, redis: Redis, keep_s: int) -> None:
        self._redis = redis
        self._keep_s = keep_s
        self._making = asyncio.Lock()

    async def top(
        self, board: Board, limit: int, own: str | None, make: Callable[[], Awaitable[list[Score]]]
    ) -> tuple[list[Place], Place | None]:
        """The first places, and one member's own, None where they have none. `make` reads the board from Postgres."""
        try:
            # one of a process makes it; the others find it
            async with self._making:
                if not await self._redis.exists(board.name):
                    await self._enter(board, await make())
            return await self._read(board, limit, own)
        except (RedisError, OSError, TimeoutError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not is_closed_transport(error):
                raise
            return ranked(await make(), limit, own)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()

    async def _enter(self, board: Board, scores: Sequence[Score]) -> None:
        """Whole or not at all: others see the board only when all of it is there."""
        members: dict[str, float] = {one.key: one.points for one in scores} or {_NOTHING: 0}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(board.name)
            pipe.zadd(board.name, members)
            pipe.expire(board.name, self._keep_s)
            await pipe.execute()

    async def _read(self, board: Board, limit: int, own: str | None) -> tuple[list[Place], Place | None]:
        rows = cast("list[tuple[bytes, float]]", await self._redis.zrevrange(board.name, 0, limit - 1, withscores=True))
        scores = [Score(key.decode(), int(points)) for key, points in rows if key.decode() != _NOTHING]
        places, _ = ranked(scores, limit, None)
        points = None if own is None else await self._redis.zscore(board.name, own)
        if own is None or points is None:
            return places, None
        ahead = await self._redis.zcount(board.name, f"({points:.0f}", "+inf")
        return places, Place(int(ahead) + 1, own, int(points))


def ranked(scores: Sequence[Score], limit: int, own: str | None) -> tuple[list[Place], Place | None]:
    """Places of scores, the best first: equal points, equal place. Among equals the order says nothing."""
    places: list[Place] = []
    for at, one in enumerate(scores, 1):
        tied = bool(places) and places[-1].points == one.points
        places.append(Place(places[-1].place if tied else at, one.key, one.points))
    mine = next((place for place in places if place.key == own), None)
    return places[:limit], mine


def rider_of(place: Place) -> UUID:
    """Whose place it is on a board of riders."""
    return UUID(place.key)
