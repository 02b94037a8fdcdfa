"""Counts over all reports, which are kept, and durations of the newest ones."""

from dataclasses import dataclass
from datetime import datetime

from services.tracking.domain import STATES, CaseState
from shared.kit.postgres import counters
from shared.kit.postgres.counters import Kept
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many


@dataclass(frozen=True, slots=True)
class Hop:
    """Durations between two stages, over the reports that reached both; none where no report did."""

    hop: str
    reports: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


# Each stage's own event time: what the stage wrote as it happened, not when it was heard here. Of the newest reports
# only, found by their ids, which rise with time: percentiles of a sample cost the same in every year. Of a case's steps
# the first and those of people, once a case: in a crowded one the newest reports may all be, and thousands came before.
SQL_HOPS = Query(
    Hop,
    """
WITH newest AS MATERIALIZED (
    SELECT r.report_id, r.at, l.case_id, l.at AS in_case
    FROM (SELECT report_id, at FROM reports ORDER BY report_id DESC LIMIT $2) r
    LEFT JOIN LATERAL (SELECT case_id, at FROM case_reports WHERE report_id = r.report_id LIMIT 1) l ON true
    WHERE ($1::timestamptz IS NULL OR r.at >= $1)
), closings AS MATERIALIZED (
    SELECT c.case_id, greatest(
        (SELECT max(at) FROM case_steps s WHERE s.case_id = c.case_id AND s.version <= 100 AND s.step = 'closed'),
        (SELECT max(at) FROM case_steps s
         WHERE s.case_id = c.case_id AND s.version > 100 AND s.step NOT IN ('attached', 'repeated')
             AND s.step = 'closed')) AS closed
    FROM (SELECT DISTINCT case_id FROM newest WHERE case_id IS NOT NULL) c
), stages AS (
    SELECT r.at AS accepted,
           (SELECT min(at) FROM routings o WHERE o.report_id = r.report_id AND o.outcome = 'routed') AS routed,
           r.in_case,
           (SELECT min(at) FROM movements m WHERE m.report_id = r.report_id AND m.movement = 'held') AS held,
           c.closed,
           (SELECT min(at) FROM movements m WHERE m.report_id = r.report_id AND m.movement = 'posted') AS posted
    FROM newest r LEFT JOIN closings c USING (case_id)
), hops (hop, place, seconds) AS (
    SELECT 'accepted_to_routed', 1, extract(epoch FROM routed - accepted) FROM stages
    UNION ALL SELECT 'routed_to_case', 2, extract(epoch FROM in_case - routed) FROM stages
    UNION ALL SELECT 'accepted_to_case', 6, extract(epoch FROM in_case - accepted) FROM stages
    UNION ALL SELECT 'case_to_held', 3, extract(epoch FROM held - in_case) FROM stages
    UNION ALL SELECT 'accepted_to_held', 4, extract(epoch FROM held - accepted) FROM stages
    UNION ALL SELECT 'closed_to_posted', 5, extract(epoch FROM posted - closed) FROM stages
)
SELECT hop, count(seconds) AS reports,
       (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p50_ms,
       (percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p95_ms,
       (percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p99_ms
FROM hops GROUP BY hop, place ORDER BY place
""",
)
SQL_LATEST_CASES = Query(CaseState, f"SELECT {columns(CaseState)} FROM cases ORDER BY case_id DESC LIMIT $1")
HOPS_REPORTS_MAX = 500
_OF_REPORTS = (
    "received", "routed", "unroutable", "in_case", "closed", "invalid", "points posted", "points voided",
    "points refused", "points reversed", "credited",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reports have come. Settled: no step of the suite is due any more (unroutable ones wait for a person)."""

    received: int
    routed: int
    unroutable: int
    in_case: int
    closed: int
    points_posted: int
    points: int
    settled: int


@dataclass(frozen=True, slots=True)
class Count:
    """A number of cases with what they have in common."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class CasesAtAGlance:
    """Numbers of cases by state, the most frequent kinds by code, the streets with the most cases by code.

    Where the map has no street above a grid, the district or a larger area stands for it; '' where there is none.
    """

    by_state: dict[str, int]
    by_kind: list[Count]
    by_street: list[Count]


async def progress(conn: Connection, company: str | None) -> Progress:
    """Counts of reports, of one company or of all."""
    return _progress(await counters.kept(conn, *_OF_REPORTS), company)


async def hops(conn: Connection, since: datetime | None) -> list[Hop]:
    """Durations from stage to stage, of the newest HOPS_REPORTS_MAX reports or those of them received since then."""
    return await many(conn, SQL_HOPS, since, HOPS_REPORTS_MAX)


async def cases_at_a_glance(conn: Connection, rows_max: int) -> CasesAtAGlance:
    """What the city's page shows of cases."""
    kept = await counters.kept(conn, "state", "kind")
    return CasesAtAGlance(
        {state: n for state, n in kept.by_label("state").items() if state in STATES},
        _most(kept.by_label("kind"), rows_max),
        [Count(label, n) for label, n in await counters.most(conn, "street", rows_max)],
    )


async def latest_cases(conn: Connection, rows_max: int) -> list[CaseState]:
    """The cases opened last: their ids rise with time."""
    return await many(conn, SQL_LATEST_CASES, rows_max)


async def tallies(conn: Connection) -> dict[str, int]:
    """Counts for the reconciliation: received, routed, in_case, cases, case_steps, closed, held, posted."""
    kept = await counters.kept(conn, "received", "routed", "in_case", "state", "steps", "points held", "points posted")
    return {
        "received": kept.total("received"),
        "routed": kept.total("routed"),
        "in_case": kept.total("in_case"),
        "cases": kept.total("state"),
        "case_steps": kept.of("steps"),
        "closed": kept.of("state", "closed"),
        "held": kept.total("points held"),
        "posted": kept.total("points posted"),
    }


def _progress(kept: Kept, company: str | None) -> Progress:
    def of(*whats: str) -> int:
        return kept.total(*whats, label=company)

    # A report is settled when its case has ended and so have its points; each number alone may be ahead of the other.
    ended = min(of("closed", "invalid"), of("points posted", "points voided", "points refused"))
    return Progress(
        received=of("received"),
        routed=of("routed"),
        unroutable=of("unroutable"),
        in_case=of("in_case"),
        closed=of("closed"),
        points_posted=of("points posted") - of("points reversed"),
        points=of("credited"),
        settled=of("unroutable") + ended,
    )


def _most(numbers: dict[str, int], rows_max: int) -> list[Count]:
    ordered = sorted(numbers.items(), key=lambda one: (-one[1], one[0]))
    return [Count(name, number) for name, number in ordered[:rows_max]]
