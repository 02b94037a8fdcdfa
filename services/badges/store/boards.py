"""Boards: sorted sets in Redis, each made from Postgres when somebody asks and it isn't there, and gone after a while.

Nothing is counted in Redis, so it may be flushed at any time, and a board is never wrong for longer than it is kept.
While Redis is away the same board is made for those who ask.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
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
# At one moment, or a board that ends between two commands would put everybody first.
# KEYS[1] board; ARGV: the last place wanted, from 0, and one's own member. Returns nothing where there is no board, or
# members with scores, and of one's own, where there is one, its score and how many are ahead
LUA_LOOK = """
local top = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1], 'WITHSCORES')
if #top == 0 then return {} end
local own = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not own then return {top} end
return {top, own, redis.call('ZCOUNT', KEYS[1], '(' .. own, '+inf')}
"""


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


Make = Callable[[], Awaitable[list[Score]]]
"""Reads a board from Postgres, with a connection that it takes and gives back itself."""


async def made(conn: Connection, board: Board) -> list[Score]:
    """A board from Postgres, the best first."""
    grids = None if board.grids is None else list(board.grids)
    if board.teams:
        return await many(conn, SQL_TEAMS, board.since, board.until, grids)
    return await many(conn, SQL_RIDERS, board.since, board.until, grids, board.company)


class Boards:
    """The boards as they are asked for.

    Args:
        redis: where they are kept.
        keep_s: for how long.
        makers: how many boards a process makes at a time, each with a connection to Postgres; others wait for theirs.
    """

    def __init__(self, redis: Redis, keep_s: int, makers: int) -> None:
        self._redis = redis
        self._keep_s = keep_s
        self._look = redis.register_script(LUA_LOOK)
        self._makers = asyncio.Semaphore(makers)
        self._making: dict[str, asyncio.Task[list[Score]]] = {}

    async def top(self, board: Board, limit: int, own: str | None, make: Make) -> tuple[list[Place], Place | None]:
        """The first places, and one member's own, None where they have none. `make` reads the board from Postgres: once
        for all of a process who ask meanwhile, and boards that are there are read beside it."""
        found = await self._read(board, limit, own)
        return ranked(await self._made(board, make), limit, own) if found is None else found

    async def aclose(self) -> None:
        """Ends what is being made, and closes the connections."""
        for task in list(self._making.values()):
            task.cancel()
        await self._redis.aclose()

    async def _made(self, board: Board, make: Make) -> list[Score]:
        task = self._making.get(board.name)
        if task is None:
            task = self._making[board.name] = asyncio.create_task(self._make(board, make))
            task.add_done_callback(lambda _: self._making.pop(board.name, None))
        return await asyncio.shield(task)  # who goes away ends it for nobody else

    async def _make(self, board: Board, make: Make) -> list[Score]:
        async with self._makers:
            scores = await make()
        try:
            await self._enter(board, scores)
        except Exception as error:
            if not _is_away(error):
                raise
        return scores

    async def _enter(self, board: Board, scores: Sequence[Score]) -> None:
        """Whole or not at all: others see the board only when all of it is there."""
        members: dict[str, float] = {one.key: one.points for one in scores} or {_NOTHING: 0}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(board.name)
            pipe.zadd(board.name, members)
            pipe.expire(board.name, self._keep_s)
            await pipe.execute()

    async def _read(self, board: Board, limit: int, own: str | None) -> tuple[list[Place], Place | None] | None:
        """None where the board, or Redis, isn't there."""
        try:
            found = cast("list[Any]", await self._look(keys=[board.name], args=[limit - 1, own or ""]))
        except Exception as error:
            if _is_away(error):
                return None
            raise
        if not found:
            return None
        flat = found[0]
        scores = [Score(flat[n].decode(), int(flat[n + 1])) for n in range(0, len(flat), 2)]
        places, _ = ranked([one for one in scores if one.key != _NOTHING], limit, None)
        if own is None or len(found) == 1:
            return places, None
        return places, Place(int(found[2]) + 1, own, int(found[1]))


def _is_away(error: Exception) -> bool:
    return isinstance(error, RedisError | OSError | TimeoutError) or is_closed_transport(error)


def ranked(scores: Sequence[Score], limit: int, own: str | None) -> tuple[list[Place], Place | None]:
    """Places of scores, the best first: equal points, equal place. Among equals the order says nothing."""
    places: list[Place] = []
    for at, one in enumerate(scores[:limit], 1):
        tied = bool(places) and places[-1].points == one.points
        places.append(Place(places[-1].place if tied else at, one.key, one.points))
    mine = next((one for one in scores if one.key == own), None) if own is not None else None
    if mine is None:
        return places, None
    ahead = bisect_left(scores, -mine.points, key=lambda one: -one.points)
    return places, Place(ahead + 1, mine.key, mine.points)


def rider_of(place: Place) -> UUID:
    """Whose place it is on a board of riders."""
    return UUID(place.key)
