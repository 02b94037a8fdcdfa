"""SQL of cases' verdicts and of their settlement. Few statements a batch, whatever its size."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.points.domain import Act, CaseVerdict
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case is after a step of it."""

    version: int
    grid_code: str


@dataclass(frozen=True, slots=True)
class ToSettle:
    """A hold that a verdict may end."""

    case_id: UUID
    hold_id: UUID
    rider_id: UUID
    ordinal: int
    budget_id: int | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A verdict on a crowded case, and how far it is carried out."""

    case_id: UUID
    case_version: int
    act: Act
    up_to: int
    settled_up_to: int
    grid_code: str
    changed_at: datetime
    traceparent: str | None


# Inserts or locks, in the order of the ids: what is heard of one case at a time is heard one after the other.
SQL_LOCK_CASES = """
INSERT INTO cases AS c (case_id, grid_code, grid_version) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
ON CONFLICT (case_id) DO UPDATE
SET grid_code = CASE WHEN c.grid_version < excluded.grid_version THEN excluded.grid_code ELSE c.grid_code END,
    grid_version = greatest(c.grid_version, excluded.grid_version)
RETURNING case_id, posted_up_to, voided_up_to
"""
SQL_DECIDE = """
UPDATE cases c SET posted_up_to = n.posted_up_to, voided_up_to = n.voided_up_to
FROM unnest($1::uuid[], $2::int[], $3::int[]) AS n (case_id, posted_up_to, voided_up_to) WHERE c.case_id = n.case_id
"""
# Shared: two may take points of one case back, and none while the case moves away
SQL_GRID_OF_CASE = "SELECT grid_code FROM cases WHERE case_id = $1 FOR SHARE"
SQL_SETTLING = "SELECT DISTINCT case_id FROM settlements WHERE case_id = ANY($1::uuid[])"
SQL_TO_SETTLE = Query(
    ToSettle,
    """
SELECT h.case_id, h.id AS hold_id, h.rider_id, h.ordinal, h.budget_id
FROM unnest($1::uuid[], $2::int[], $3::int[]) AS c (case_id, after, up_to)
CROSS JOIN LATERAL (
    SELECT case_id, id, rider_id, ordinal, budget_id FROM holds
    WHERE case_id = c.case_id AND ordinal > c.after AND ordinal <= c.up_to AND amount > 0 AND source = 'report'
    ORDER BY ordinal LIMIT $4
) h
""",
)
SQL_QUEUE = f"""
INSERT INTO settlements ({columns(Settlement)}, queued_at)
SELECT {columns(Settlement)}, $1 FROM {unnest(Settlement, first=2)}
ON CONFLICT DO NOTHING
"""
# One process a settlement, and a case's verdicts in their order.
SQL_NEXT = Query(
    Settlement,
    f"""
SELECT {columns(Settlement, "s")} FROM settlements s
WHERE NOT EXISTS (SELECT FROM settlements e WHERE e.case_id = s.case_id AND e.case_version < s.case_version)
ORDER BY s.queued_at LIMIT 1 FOR UPDATE OF s SKIP LOCKED
""",
)
SQL_OLDEST_AGE = "SELECT extract(epoch FROM now() - min(queued_at))::float8 FROM settlements"
SQL_VOIDED_UP_TO = "SELECT voided_up_to FROM cases WHERE case_id = $1"
SQL_GO_ON = "UPDATE settlements SET settled_up_to = $3 WHERE case_id = $1 AND case_version = $2"
SQL_SETTLED = "DELETE FROM settlements WHERE case_id = $1 AND case_version = $2"


async def lock(conn: Connection, places: Mapping[UUID, Place]) -> dict[UUID, CaseVerdict]:
    """What was decided of these cases, locked; a case is made where it is new, and is where its newest step has it."""
    ordered = sorted(places)
    grids, versions = [places[id_].grid_code for id_ in ordered], [places[id_].version for id_ in ordered]
    rows = await conn.fetch(SQL_LOCK_CASES, ordered, grids, versions)
    return {row["case_id"]: CaseVerdict(row["posted_up_to"], row["voided_up_to"]) for row in rows}


async def grid_of(conn: Connection, case_id: UUID) -> str | None:
    """Where a case is, which it stays until the transaction ends; None: nothing was heard of it."""
    found: str | None = await conn.fetchval(SQL_GRID_OF_CASE, case_id)
    return found


async def decide(conn: Connection, verdicts: Sequence[tuple[UUID, CaseVerdict]]) -> None:
    """Write what was decided of locked cases."""
    if verdicts:
        await conn.execute(
            SQL_DECIDE,
            [case_id for case_id, _ in verdicts],
            [verdict.posted_up_to for _, verdict in verdicts],
            [verdict.voided_up_to for _, verdict in verdicts],
        )


async def settling(conn: Connection, case_ids: Collection[UUID]) -> set[UUID]:
    """Those of the cases whose last verdict is still being carried out."""
    return {row["case_id"] for row in await conn.fetch(SQL_SETTLING, list(case_ids))}


async def to_settle(conn: Connection, ranges: Sequence[tuple[UUID, int, int]], most: int) -> list[ToSettle]:
    """At most so many holds of each case, of its reporters after one ordinal up to another, in order; not locked."""
    return await many(conn, SQL_TO_SETTLE, *map(list, zip(*ranges, strict=True)), most)


async def queue(conn: Connection, settlements: Sequence[Settlement], now: datetime) -> None:
    """Leave verdicts to be carried out some holds at a time."""
    if settlements:
        await conn.execute(SQL_QUEUE, now, *arrays(Settlement, settlements))


async def next_settlement(conn: Connection) -> Settlement | None:
    """The oldest that nobody works on, locked."""
    return await one(conn, SQL_NEXT)


async def oldest_age_s(conn: Connection) -> float:
    """Seconds for which the oldest settlement has waited or been under way, 0 where there is none."""
    return await age_s(conn, SQL_OLDEST_AGE)


async def voided_up_to(conn: Connection, case_id: UUID) -> int:
    """Up to which reporter a case's points were voided, whatever was decided before."""
    found: int | None = await conn.fetchval(SQL_VOIDED_UP_TO, case_id)
    return found or 0


async def go_on(conn: Connection, settlement: Settlement, settled_up_to: int) -> None:
    """Remember how far a settlement has come."""
    await conn.execute(SQL_GO_ON, settlement.case_id, settlement.case_version, settled_up_to)


async def settled(conn: Connection, settlement: Settlement) -> None:
    """Nothing of it is left."""
    await conn.execute(SQL_SETTLED, settlement.case_id, settlement.case_version)
