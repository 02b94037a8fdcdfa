"""Reports whose rider isn't known yet, or may not report yet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(slots=True, eq=False)
class Waiting:
    """A record of a company's topic that waits. `headers` packed; `mark`: of the rider's number, as erasure has it;
    `code`: what the rider lacks.
    """

    company: str
    external_id: str
    rider: str
    mark: str
    content_hash: bytes
    event_id: UUID
    topic: str
    partition: int
    record_offset: int
    record_ms: int
    key: bytes | None
    value: bytes | None
    headers: bytes
    until: datetime
    code: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a report that waits says, and for what it waits."""

    company: str
    external_id: str
    content_hash: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A report that waits, as its company sees it."""

    external_id: str
    code: str
    until: datetime


SQL_WAITING_ADD = f"""
INSERT INTO waiting_reports ({columns(Waiting)}) SELECT {columns(Waiting)} FROM {unnest(Waiting)}
ORDER BY company, external_id
ON CONFLICT (company, external_id) DO NOTHING RETURNING event_id
"""
SQL_WAITING_SAID = Query(
    Said,
    f"""
SELECT {columns(Said, "w")} FROM unnest($1::text[], $2::text[]) AS u (company, external_id)
JOIN waiting_reports w ON w.company = u.company AND w.external_id = u.external_id
""",
)
SQL_WAITING_LIST = Query(
    Shown,
    """
SELECT external_id, code, until FROM waiting_reports
WHERE company = $1 AND external_id > $2 AND value IS NOT NULL ORDER BY external_id LIMIT $3
""",
)
# Whose rider has come or changed, so that they lack nothing any more or something else than before; whose rider is
# erased, whose company may not act any more, and whose time is over; in the order in which they came. What another
# process has in hand is its own. What a rider lacks is named as `refusal_of` does (services/intake/domain.py).
SQL_WAITING_TAKE = Query(
    Waiting,
    f"""
DELETE FROM waiting_reports WHERE id = ANY(ARRAY(
    SELECT id FROM waiting_reports w
    WHERE until <= $1
       OR EXISTS (SELECT FROM known_riders r WHERE r.company = w.company AND r.number = w.rider
                  AND w.code <> CASE WHEN NOT r.active THEN 'rider_inactive'
                                     WHEN NOT r.consent THEN 'consent_missing' ELSE '' END)
       OR EXISTS (SELECT FROM erased_riders e WHERE e.number = w.mark)
       OR EXISTS (SELECT FROM known_companies c WHERE c.code = w.company AND NOT c.active)
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING {columns(Waiting)}
""",
)
SQL_WAITING_ERASE = """
UPDATE waiting_reports SET key = NULL, value = NULL, headers = $2, content_hash = ''
WHERE mark = ANY($1::text[]) AND value IS NOT NULL
"""


async def add(conn: Connection, rows: Sequence[Waiting]) -> set[UUID]:
    """Let records wait; the events of those whose number wasn't waiting already."""
    return {row["event_id"] for row in await conn.fetch(SQL_WAITING_ADD, *arrays(Waiting, rows))}


async def said(conn: Connection, numbers: Collection[tuple[str, str]]) -> dict[tuple[str, str], Said]:
    """What those of these (company, external_id) say that wait."""
    rows = await many(conn, SQL_WAITING_SAID, [company for company, _ in numbers], [number for _, number in numbers])
    return {(row.company, row.external_id): row for row in rows}


async def of_company(conn: Connection, company: str, after: str, limit: int) -> list[Shown]:
    """The next reports of a company that wait, by number."""
    return await many(conn, SQL_WAITING_LIST, company, after, limit)


async def take(conn: Connection, now: datetime, most: int) -> list[Waiting]:
    """Records that need wait no longer; they don't."""
    return sorted(await many(conn, SQL_WAITING_TAKE, now, most), key=lambda one: (one.record_ms, one.record_offset))


async def erase(conn: Connection, marks: Collection[str], no_headers: bytes) -> None:
    """Take away what records of these riders say. They are buried without it."""
    await conn.execute(SQL_WAITING_ERASE, list(marks), no_headers)


async def by_company(conn: Connection) -> dict[str, int]:
    """How many wait of each company that has some, as kept."""
    return (await counters.kept(conn, "waiting")).by_label("waiting")
