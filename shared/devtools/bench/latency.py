"""How long events take at a steady load: from before intake's commit to each hop's, by the database's commit times."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.devtools.bench.load import Sent, commit_paced, reports
from shared.devtools.bench.sides import Side

WAY = ("routing", "cases", "points", "notifications")
SQL_COMMITS = """
SELECT {column} AS id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at_s
FROM {table} WHERE {column} = ANY($1::uuid[])
"""
# Of each hop: where its rows are, and the column that says whose they are
ROWS: Mapping[str, tuple[str, str]] = {
    "routing": ("routing.routes", "report_id"),
    "cases": ("cases.case_reports", "report_id"),
    "points": ("points.holds", "id"),
    "notifications": ("notifications.messages", "rider_id"),
}


@dataclass(frozen=True)
class Paced:
    """Latencies in ms at a share of the measured capacity, what came in the settling time left out.

    `per_second`: as many as were offered; `per_hop_p99_ms`: from the commit before to the hop's own.
    """

    share: float
    per_second: float
    reports: int
    p50_ms: float
    p99_ms: float
    per_hop_p99_ms: Mapping[str, float]


async def paced(side: Side, share: float, per_second: float, rider_ids: Sequence[UUID], settle_s: float) -> Paced:
    """Offer a report of each rider at a steady rate; riders must be new, each has one message afterwards."""
    rows = reports(rider_ids, seed=side.total + 1)
    sent = await commit_paced(side.intake, rows, per_second, rider_ids)
    await side.until_notified(side.total + len(rows))
    settled = [one for one in sent if one.at_s >= sent[0].at_s + settle_s]
    return of_commits(share, per_second, settled, await commits(side, settled))


async def commits(side: Side, sent: Sequence[Sent], hops: Sequence[str] = WAY) -> dict[str, dict[UUID, float]]:
    """When these hops committed a report, in seconds since 1970, by report; of notifications by rider."""
    found = {}
    for hop in hops:
        ids = [one.rider_id if hop == "notifications" else one.report_id for one in sent]
        table, column = ROWS[hop]
        rows = await side.admin.fetch(SQL_COMMITS.format(table=table, column=column), ids)
        found[hop] = {row["id"]: row["at_s"] for row in rows}
    return found


def of_commits(
    share: float, per_second: float, sent: Sequence[Sent], at_s: Mapping[str, Mapping[UUID, float]]
) -> Paced:
    """The figures of a run.

    Raises:
        KeyError: a report has not come through a hop.
        ValueError: fewer than two reports.
    """
    if len(sent) < 2:
        raise ValueError("too few reports for a quantile: offer more, or for longer")
    whole = [at_s[WAY[-1]][one.rider_id] - one.at_s for one in sent]
    per_hop: dict[str, float] = {}
    before = [one.at_s for one in sent]
    for hop in WAY:
        now = [at_s[hop][one.rider_id if hop == "notifications" else one.report_id] for one in sent]
        per_hop[hop] = quantile_ms([b - a for a, b in zip(before, now, strict=True)], 99)
        before = now
    return Paced(share, per_second, len(sent), quantile_ms(whole, 50), quantile_ms(whole, 99), per_hop)


def quantile_ms(seconds: Sequence[float], percent: int) -> float:
    """A percentile of durations in seconds, in ms to one decimal; raises StatisticsError of fewer than two."""
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1000, 1)
