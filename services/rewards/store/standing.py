"""How a rider stands before they get a piece: what they still wait for, and whether points have just had to refuse."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.kit.postgres.db import Connection

# `available` only where points have refused lately: an older balance may have been overtaken by points that have come
SQL_STANDING = """
SELECT w.offer_id, w.rider_id, s.available,
       EXISTS (SELECT FROM redemptions r
               WHERE r.rider_id = w.rider_id AND r.offer_id = w.offer_id AND r.state = 'requested') AS waits
FROM unnest($1::uuid[], $2::uuid[]) AS w (offer_id, rider_id)
LEFT JOIN shortages s ON s.rider_id = w.rider_id AND s.refused_at > now() - make_interval(secs => $3)
"""
# Who was never refused gets no row: most movements of points are those of riders who want nothing
SQL_HEAR = """
INSERT INTO shortages AS s (rider_id, version, available, refused_at)
SELECT n.rider_id, n.version, n.available, CASE WHEN n.refused THEN now() ELSE '-infinity' END
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) AS n (rider_id, version, available, refused)
WHERE n.refused OR EXISTS (SELECT FROM shortages known WHERE known.rider_id = n.rider_id)
ORDER BY n.rider_id
ON CONFLICT (rider_id) DO UPDATE SET
    version = excluded.version, available = excluded.available, refused_at = greatest(s.refused_at, excluded.refused_at)
WHERE s.version < excluded.version
"""
SQL_FORGET_SHORTAGES = "DELETE FROM shortages WHERE rider_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Standing:
    """A rider before one offer. `available`: points they have, where points refused them lately; None: nobody knows."""

    offer_id: UUID
    rider_id: UUID
    available: int | None
    waits: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account's newest movement left; `refused`: one of those heard with it was refused for too few points."""

    rider_id: UUID
    version: int
    available: int
    refused: bool


async def standings(conn: Connection, wanted: Collection[tuple[UUID, UUID]], refusal_holds_s: float) -> list[Standing]:
    """Of each (offer, rider); the offers must be locked, so that nobody else gives the rider one meanwhile."""
    offers, riders = [offer for offer, _ in wanted], [rider for _, rider in wanted]
    return [Standing(**row) for row in await conn.fetch(SQL_STANDING, offers, riders, refusal_holds_s)]


async def hear(conn: Connection, balances: Sequence[Balance]) -> None:
    """Remember who was refused, and what those who were have had since; at most one balance a rider."""
    await conn.execute(
        SQL_HEAR,
        [one.rider_id for one in balances],
        [one.version for one in balances],
        [one.available for one in balances],
        [one.refused for one in balances],
    )


async def forget(conn: Connection, rider_ids: Sequence[UUID]) -> None:
    """Riders leave."""
    await conn.execute(SQL_FORGET_SHORTAGES, rider_ids)
