"""Who reports with whom, and who verifies whom. A batch costs the same few statements whatever its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.screening.domain import Pair
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest

SAMPLE = 200
"""Cases of others that say what is usual with a verifier, or in some grids: the newest ones."""
PAIR_REPORTS_MAX = 100
"""Reports of one pair that come under suspicion together: the newest ones."""


@dataclass(slots=True, eq=False)
class Meeting:
    """A rider among the first reporters of a case."""

    case_id: UUID
    rider_id: UUID
    report_id: UUID
    met_at: datetime


@dataclass(slots=True, eq=False)
class Verdict:
    """What is known of a case: its first reporter, and who has verified it."""

    case_id: UUID
    grid_code: str
    opened_at: datetime
    rider_id: UUID | None = None
    report_id: UUID | None = None
    verified_by: str | None = None
    verified_at: datetime | None = None


@dataclass(slots=True, eq=False)
class Two:
    """Two riders who met: cases together, and of each."""

    one: UUID
    other: UUID
    shared: int
    of_one: int
    of_other: int


@dataclass(slots=True, eq=False)
class Partners:
    """Two riders whose common reports are wanted."""

    one: UUID
    other: UUID


@dataclass(slots=True, eq=False)
class Bound:
    """A rider and a verifier whose common cases are wanted."""

    rider_id: UUID
    verified_by: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A report by one of two who belong together."""

    report_id: UUID
    rider_id: UUID
    other_rider: UUID


@dataclass(frozen=True, slots=True)
class Verified:
    """A report of a rider whose case a verifier has verified."""

    report_id: UUID
    rider_id: UUID
    verified_by: str


SQL_MEET = f"""
INSERT INTO meetings ({columns(Meeting)}) SELECT {columns(Meeting, "n")} FROM {unnest(Meeting)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id) ORDER BY n.case_id, n.rider_id
ON CONFLICT DO NOTHING
"""
# Steps come in any order, and a case may be verified more than once: the latest counts.
SQL_KEEP_VERDICTS = f"""
INSERT INTO verdicts AS v ({columns(Verdict)}) SELECT {columns(Verdict, "n")} FROM {unnest(Verdict)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id) ORDER BY n.case_id
ON CONFLICT (case_id) DO UPDATE SET
    rider_id = coalesce(v.rider_id, excluded.rider_id), report_id = coalesce(v.report_id, excluded.report_id),
    verified_by = CASE WHEN excluded.verified_at > coalesce(v.verified_at, '-infinity')
                  THEN excluded.verified_by ELSE v.verified_by END,
    verified_at = greatest(v.verified_at, excluded.verified_at)
"""
SQL_PAIRS = Query(
    Pair,
    f"""
WITH touched AS (
    SELECT DISTINCT rider_id, verified_by FROM verdicts
    WHERE case_id = ANY($1::uuid[]) AND rider_id IS NOT NULL AND verified_by IS NOT NULL
), busy AS MATERIALIZED (
    SELECT t.rider_id, t.verified_by, m.cases, m.by_them, m.quick FROM touched t
    CROSS JOIN LATERAL (
        SELECT count(*) AS cases, count(*) FILTER (WHERE v.verified_by = t.verified_by) AS by_them,
               count(*) FILTER (WHERE v.verified_by = t.verified_by AND v.verified_at < v.opened_at + $3::interval)
                   AS quick
        FROM verdicts v WHERE v.rider_id = t.rider_id AND v.verified_at > $2
    ) m WHERE m.by_them >= $4
)
SELECT b.rider_id, b.verified_by, b.cases, b.by_them, b.quick, near.near, near.near_by_them, theirs.others,
       theirs.others_quick
FROM busy b
CROSS JOIN LATERAL (
    SELECT count(*) AS near, count(*) FILTER (WHERE x.verified_by = b.verified_by) AS near_by_them FROM (
        SELECT v.verified_by FROM (
            SELECT DISTINCT grid_code FROM verdicts
            WHERE rider_id = b.rider_id AND verified_by = b.verified_by AND verified_at > $2
        ) g CROSS JOIN LATERAL (
            SELECT verified_by, verified_at FROM verdicts
            WHERE grid_code = g.grid_code AND rider_id <> b.rider_id AND verified_by IS NOT NULL AND verified_at > $2
            ORDER BY verified_at DESC LIMIT {SAMPLE}
        ) v ORDER BY v.verified_at DESC LIMIT {SAMPLE}
    ) x
) near
CROSS JOIN LATERAL (
    SELECT count(*) AS others, count(*) FILTER (WHERE x.verified_at < x.opened_at + $3::interval) AS others_quick FROM (
        SELECT v.opened_at, v.verified_at FROM verdicts v
        WHERE v.verified_by = b.verified_by AND v.rider_id <> b.rider_id AND v.verified_at > $2
        ORDER BY v.verified_at DESC LIMIT {SAMPLE}
    ) x
) theirs
""",
)
SQL_VERIFIED = Query(
    Verified,
    f"""
SELECT v.report_id, v.rider_id, v.verified_by FROM {unnest(Bound, first=2)}
CROSS JOIN LATERAL (
    SELECT report_id, rider_id, verified_by FROM verdicts
    WHERE rider_id = n.rider_id AND verified_by = n.verified_by AND verified_at > $1 AND report_id IS NOT NULL
    ORDER BY verified_at DESC LIMIT {PAIR_REPORTS_MAX}
) v
""",
)
SQL_TOGETHER = Query(
    Two,
    """
WITH pairs AS (
    SELECT DISTINCT x.rider_id AS one, y.rider_id AS other
    FROM meetings x JOIN meetings y ON y.case_id = x.case_id AND x.rider_id < y.rider_id
    WHERE x.case_id = ANY($1::uuid[])
), near AS MATERIALIZED (
    SELECT p.one, p.other, t.shared FROM pairs p CROSS JOIN LATERAL (
        SELECT count(*) AS shared FROM meetings x
        JOIN meetings y ON y.case_id = x.case_id AND y.rider_id = p.other
        WHERE x.rider_id = p.one AND x.met_at > $2
    ) t WHERE t.shared >= $3
)
SELECT n.one, n.other, n.shared,
       (SELECT count(*) FROM meetings WHERE rider_id = n.one AND met_at > $2) AS of_one,
       (SELECT count(*) FROM meetings WHERE rider_id = n.other AND met_at > $2) AS of_other
FROM near n
""",
)
SQL_LINKED = Query(
    Linked,
    f"""
SELECT m.report_id, m.rider_id, m.other_rider FROM {unnest(Partners, first=2)}
CROSS JOIN LATERAL (
    SELECT x.report_id AS a, y.report_id AS b FROM meetings x
    JOIN meetings y ON y.case_id = x.case_id AND y.rider_id = n.other
    WHERE x.rider_id = n.one AND x.met_at > $1 ORDER BY x.met_at DESC LIMIT {PAIR_REPORTS_MAX}
) c CROSS JOIN LATERAL (VALUES (c.a, n.one, n.other), (c.b, n.other, n.one)) AS m (report_id, rider_id, other_rider)
""",
)


async def meet(conn: Connection, rows: Sequence[Meeting]) -> None:
    """Keep who was among the first reporters of cases; again changes nothing."""
    await conn.execute(SQL_MEET, *arrays(Meeting, rows))


async def keep_verdicts(conn: Connection, rows: Sequence[Verdict]) -> None:
    """Take over what is new of cases, one row each."""
    await conn.execute(SQL_KEEP_VERDICTS, *arrays(Verdict, rows))


async def pairs(
    conn: Connection, case_ids: Sequence[UUID], since: datetime, quick: timedelta, least: int
) -> list[Pair]:
    """Riders and verifiers of these cases, where one has verified at least so many of the other's."""
    return await many(conn, SQL_PAIRS, case_ids, since, quick, least)


async def verified(conn: Connection, wanted: Sequence[Bound], since: datetime) -> list[Verified]:
    """The pairs' reports since an instant."""
    return await many(conn, SQL_VERIFIED, since, *arrays(Bound, wanted))


async def together(conn: Connection, case_ids: Sequence[UUID], since: datetime, least: int) -> list[Two]:
    """Riders who met in these cases, and at least so often since an instant."""
    return await many(conn, SQL_TOGETHER, case_ids, since, least)


async def linked(conn: Connection, wanted: Sequence[Partners], since: datetime) -> list[Linked]:
    """The reports that two riders made together since an instant, of both."""
    return await many(conn, SQL_LINKED, since, *arrays(Partners, wanted))
