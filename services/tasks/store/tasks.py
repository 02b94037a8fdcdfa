"""Tasks: the row is the lock of all that happens to its claims. Rows are locked in the order of their ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.tasks.domain import Kind, Moves, Task
from services.tasks.store.given import within_points
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as it is published."""

    id: UUID
    series_id: UUID | None
    team_id: UUID | None
    kind: Kind
    area_code: str
    title: str
    needs: str
    address: str
    lng: float | None
    lat: float | None
    skills: tuple[str, ...]
    capacity: int
    points: int
    points_given: int
    starts_at: datetime
    ends_at: datetime
    hand_back_until: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a reader asks for. `areas`: codes, None for everywhere; `skills`: those that somebody has, None for
    tasks whatever they need.
    """

    areas: tuple[str, ...] | None
    kind: str | None
    skills: tuple[str, ...] | None
    since: datetime | None
    until: datetime | None
    free: bool


_VALUES = ", ".join(f"${at}" for at in range(1, 19))
# Of a series and a time there is one task, whoever makes it
SQL_ADD = Query(
    Task,
    f"""
INSERT INTO tasks ({columns(NewTask)}) VALUES ({_VALUES})
ON CONFLICT (series_id, starts_at) DO NOTHING RETURNING {columns(Task)}
""",
)
SQL_TASK = Query(Task, f"SELECT {columns(Task)} FROM tasks WHERE id = $1")
SQL_TASKS = Query(Task, f"SELECT {columns(Task)} FROM tasks WHERE id = ANY($1::uuid[])")
SQL_LOCK = Query(Task, f"SELECT {columns(Task)} FROM tasks WHERE id = $1 FOR NO KEY UPDATE")
SQL_OPEN = Query(
    Task,
    f"""
SELECT {columns(Task)} FROM tasks
WHERE state = 'open' AND (starts_at, id) > ($1, $2) AND ends_at > now()
  AND ($3::text[] IS NULL OR area_code = ANY($3)) AND ($4::text IS NULL OR kind = $4)
  AND ($5::text[] IS NULL OR skills <@ $5) AND ($6::timestamptz IS NULL OR starts_at >= $6)
  AND ($7::timestamptz IS NULL OR ends_at <= $7)
  AND (NOT $8 OR NOT paused AND taken < capacity AND (waiting = 0 OR hand_back_until <= now()))
ORDER BY starts_at, id LIMIT $9
""",
)
SQL_MOVE = Query(
    Task,
    f"""
UPDATE tasks SET version = version + 1, claims = claims + $2, taken = taken + $3, waiting = waiting + $4,
    handed_back = handed_back + $5, no_shows = no_shows + $6, called_off = called_off + $7, approved = approved + $8,
    changed_at = now()
WHERE id = $1 RETURNING {columns(Task)}
""",
)
SQL_END = Query(
    Task,
    f"""
UPDATE tasks SET version = version + 1, state = $2, reason = $3, paused = false, changed_at = now()
WHERE id = $1 AND state = 'open' RETURNING {columns(Task)}
""",
)
SQL_PAUSE = Query(
    Task,
    f"""
UPDATE tasks SET version = version + 1, paused = $2, was_paused = was_paused OR $2, changed_at = now()
WHERE id = $1 AND state = 'open' AND paused <> $2 RETURNING {columns(Task)}
""",
)
SQL_LEFT = Query(
    Task,
    f"""
UPDATE tasks SET version = version + 1, left_topic = true
WHERE id = ANY(ARRAY(
    SELECT id FROM tasks WHERE state <> 'open' AND NOT left_topic AND ends_at < now() - make_interval(days => $1)
    ORDER BY ends_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED))
RETURNING {columns(Task)}
""",
)
# Places that nobody has while others wait
SQL_TO_FILL = """
SELECT id FROM tasks
WHERE state = 'open' AND waiting > 0 AND hand_back_until > now() AND taken < capacity AND NOT paused
ORDER BY id LIMIT $1
"""
SQL_LINE_OVER = """
SELECT t.id FROM tasks t
WHERE t.state = 'open' AND t.waiting > 0 AND t.hand_back_until <= now()
  AND EXISTS (SELECT FROM claims c WHERE c.task_id = t.id AND c.state = 'waiting')
ORDER BY t.id LIMIT $1
"""
SQL_TO_END = """
SELECT id FROM tasks WHERE state = 'open' AND ends_at < now() - make_interval(hours => $1) ORDER BY ends_at LIMIT $2
"""
SQL_OPEN_AREAS = "SELECT DISTINCT area_code FROM tasks WHERE state = 'open'"
SQL_PAGE_LOCKED = Query(Task, f"SELECT {columns(Task)} FROM tasks WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE")
SQL_COUNT_STATES = """
SELECT count(*) FILTER (WHERE NOT left_topic) AS states, count(*) FILTER (WHERE left_topic) AS tombstones FROM tasks
"""


async def add(conn: Connection, new: NewTask) -> Task | None:
    """Publish one; None: the series has it already.

    Raises:
        OverGiven: more points than were given.
    """
    with within_points():
        return await one(conn, SQL_ADD, *(getattr(new, name) for name in NewTask.__dataclass_fields__))


async def task(conn: Connection, id_: UUID) -> Task | None:
    """One task."""
    return await one(conn, SQL_TASK, id_)


async def by_id(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Task]:
    """Tasks by id."""
    return {found.id: found for found in await many(conn, SQL_TASKS, list(ids))} if ids else {}


async def lock(conn: Connection, id_: UUID) -> Task | None:
    """One task, and nobody else moves its claims meanwhile."""
    return await one(conn, SQL_LOCK, id_)


async def open_ones(conn: Connection, wanted: Wanted, after: tuple[datetime, UUID], limit: int) -> list[Task]:
    """Tasks that are not over, by start, those behind one."""
    return await many(
        conn, SQL_OPEN, *after, wanted.areas, wanted.kind, wanted.skills, wanted.since, wanted.until, wanted.free, limit
    )


async def move(conn: Connection, id_: UUID, moves: Moves) -> Task:
    """Change a locked task's figures; as it is then.

    Raises:
        asyncpg.CheckViolationError: more places than there are, or a claim that is nowhere.
    """
    values = (getattr(moves, name) for name in Moves.__dataclass_fields__)
    found = await one(conn, SQL_MOVE, id_, *values)
    assert found is not None, "it is locked"
    return found


async def end(conn: Connection, id_: UUID, state: str, reason: str = "") -> Task | None:
    """Close an open task; None: it isn't open."""
    return await one(conn, SQL_END, id_, state, reason)


async def pause(conn: Connection, id_: UUID, *, paused: bool) -> Task | None:
    """Pause a task, or let it go on; None: it is so already, or not open."""
    return await one(conn, SQL_PAUSE, id_, paused)


async def leave(conn: Connection, days: int, limit: int) -> list[Task]:
    """Take tasks that ended so many days ago off the public topic; those taken."""
    return await many(conn, SQL_LEFT, days, limit)


async def to_fill(conn: Connection, limit: int) -> list[UUID]:
    """Tasks with a free place that somebody waits for."""
    return [row["id"] for row in await conn.fetch(SQL_TO_FILL, limit)]


async def line_over(conn: Connection, limit: int) -> list[UUID]:
    """Tasks with riders who wait in vain: no place can be handed back any more."""
    return [row["id"] for row in await conn.fetch(SQL_LINE_OVER, limit)]


async def to_end(conn: Connection, late_h: int, limit: int) -> list[UUID]:
    """Tasks that ended so many hours ago, the oldest first."""
    return [row["id"] for row in await conn.fetch(SQL_TO_END, late_h, limit)]


async def open_areas(conn: Connection) -> list[str]:
    """Areas that have tasks which are not over."""
    return [row["area_code"] for row in await conn.fetch(SQL_OPEN_AREAS)]


async def page_locked(conn: Connection, after: UUID, limit: int) -> list[Task]:
    """Tasks by id, locked, for their states."""
    return await many(conn, SQL_PAGE_LOCKED, after, limit)


async def count_states(conn: Connection) -> tuple[int, int]:
    """How many tasks are on the public topic, and how many have left it."""
    row = await conn.fetchrow(SQL_COUNT_STATES)
    assert row is not None, "an aggregate has a row"
    return row["states"], row["tombstones"]


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for a reconciliation, from numbers that are kept."""
    kept = await counters.kept(conn, "claims", "deeds", "claims_said", "places", "lines", "approvals_said")
    states: Sequence[str] = (
        "waiting", "claimed", "started", "finished", "approved", "rejected", "handed_back", "no_show", "called_off",
        "unserved",
    )  # fmt: skip
    return {
        "claims": kept.total("claims"),
        "claims_said": kept.of("claims_said"),
        "places": kept.of("places"),
        "lines": kept.of("lines"),
        "approvals_said": kept.of("approvals_said"),
        "deeds": kept.of("deeds"),
        **{state: kept.of("claims", state) for state in states},
    }
