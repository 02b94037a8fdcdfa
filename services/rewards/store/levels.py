"""Riders' levels, as badges publish them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import arrays, columns, unnest


@dataclass(frozen=True, slots=True)
class RiderLevel:
    """A rider's rank: 0 is everybody's."""

    rider_id: UUID
    rank: int
    version: int


# The newest wins, in whatever order they come; nobody erased comes back
SQL_HEAR = f"""
INSERT INTO rider_levels AS l ({columns(RiderLevel)})
SELECT DISTINCT ON (n.rider_id) {columns(RiderLevel, "n")} FROM {unnest(RiderLevel)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id)
ORDER BY n.rider_id, n.version DESC
ON CONFLICT (rider_id) DO UPDATE SET rank = excluded.rank, version = excluded.version
WHERE l.version < excluded.version
"""
SQL_RANKS = "SELECT rider_id, rank FROM rider_levels WHERE rider_id = ANY($1::uuid[])"
SQL_FORGET_LEVELS = "DELETE FROM rider_levels WHERE rider_id = ANY($1::uuid[])"


async def hear(conn: Connection, levels: Sequence[RiderLevel]) -> None:
    """Keep the newest rank of each rider."""
    await conn.execute(SQL_HEAR, *arrays(RiderLevel, levels))


async def ranks(conn: Connection, riders: Collection[UUID]) -> dict[UUID, int]:
    """Ranks by rider; without those of whom nothing was heard."""
    if not riders:
        return {}
    return {row["rider_id"]: row["rank"] for row in await conn.fetch(SQL_RANKS, list(riders))}


async def forget(conn: Connection, rider_ids: Sequence[UUID]) -> None:
    """Riders leave."""
    await conn.execute(SQL_FORGET_LEVELS, rider_ids)
