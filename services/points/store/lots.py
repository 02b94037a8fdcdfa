"""Lots: what was earned on one day, until when it is valid, and what is left of it. A batch is a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.points.lots import ExpiryRule, Lot
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class LotKey:
    """Which lot."""

    rider_id: UUID
    earned_on: date


@dataclass(slots=True, eq=False)
class Look:
    """How much of a lot is gone, and when it is to be looked at again; None: nothing more is to be done."""

    rider_id: UUID
    earned_on: date
    expired: int
    look_on: date | None
    looked_on: date


SQL_DUE = Query(
    LotKey,
    """
SELECT rider_id, earned_on FROM lots WHERE look_on <= $1 ORDER BY look_on, rider_id LIMIT $2
""",
)
# `later`: what the rider has earned after the lot and not lost again, which is spent after it.
SQL_LOTS = Query(
    Lot,
    """
SELECT l.rider_id, l.earned_on, l.points, l.expires_on, l.expired, l.look_on,
       coalesce((
           SELECT sum(points - expired) FROM lots n WHERE n.rider_id = l.rider_id AND n.earned_on > l.earned_on
       ), 0)::bigint AS later
FROM unnest($1::uuid[], $2::date[]) AS w (rider_id, earned_on)
JOIN lots l ON l.rider_id = w.rider_id AND l.earned_on = w.earned_on
WHERE l.look_on <= $3 ORDER BY l.rider_id, l.earned_on
""",
)
SQL_LOOK_AGAIN = f"""
UPDATE lots l SET look_on = n.look_on, expired = n.expired FROM {unnest(Look)}
WHERE l.rider_id = n.rider_id AND l.earned_on = n.earned_on AND l.look_on <= n.looked_on
"""
# Newest first: as long as there is something left the sum of those after it is smaller than what is available.
SQL_LOTS_OF = Query(
    Lot,
    """
SELECT rider_id, earned_on, points, expires_on, expired, look_on,
       (sum(points - expired) OVER (ORDER BY earned_on DESC) - points + expired)::bigint AS later
FROM lots WHERE rider_id = $1 ORDER BY earned_on
""",
)
SQL_EXPIRY_RULES = Query(
    ExpiryRule, f"SELECT {columns(ExpiryRule)} FROM expiry_rules WHERE version > $1 ORDER BY version LIMIT $2"
)
SQL_EXPIRY_RULE_LAST = "SELECT max(version) FROM expiry_rules"
SQL_ADD_EXPIRY_RULE = f"""
INSERT INTO expiry_rules ({columns(ExpiryRule)}, set_at)
SELECT {columns(ExpiryRule)}, $1 FROM {unnest(ExpiryRule, first=2)}
WHERE n.version = 1 + (SELECT max(version) FROM expiry_rules)
    AND n.effective_from > (SELECT max(effective_from) FROM expiry_rules)
ON CONFLICT DO NOTHING RETURNING version
"""


async def due(conn: Connection, today: date, most: int) -> list[LotKey]:
    """Lots that are to be looked at by a day; not locked."""
    return await many(conn, SQL_DUE, today, most)


async def lots(conn: Connection, keys: Sequence[LotKey], today: date) -> list[Lot]:
    """Those of the lots that are still to be looked at, each rider's oldest first. Their accounts are locked."""
    return await many(conn, SQL_LOTS, [key.rider_id for key in keys], [key.earned_on for key in keys], today)


async def look_again(conn: Connection, looks: Sequence[Look]) -> None:
    """Say when lots are looked at next."""
    if looks:
        await conn.execute(SQL_LOOK_AGAIN, *arrays(Look, looks))


async def lots_of(conn: Connection, rider_id: UUID) -> list[Lot]:
    """All lots of a rider, oldest first: one a day on which they earned."""
    return await many(conn, SQL_LOTS_OF, rider_id)


async def expiry_rules(conn: Connection, after: int, limit: int) -> list[ExpiryRule]:
    """The next rules after a version, by version."""
    return await many(conn, SQL_EXPIRY_RULES, after, limit)


async def last_expiry_rule(conn: Connection) -> int:
    """The newest version."""
    version: int = await conn.fetchval(SQL_EXPIRY_RULE_LAST)
    return version


async def add_expiry_rule(conn: Connection, rule: ExpiryRule, now: datetime) -> bool:
    """Append a rule as the next version; False if that version is taken, or a rule begins on its day or later."""
    return await conn.fetchval(SQL_ADD_EXPIRY_RULE, now, *arrays(ExpiryRule, [rule])) is not None
