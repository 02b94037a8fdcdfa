"""What an account or a merchant had at an instant, and what moved between two."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.points.store.ledger import ENTRY_VIEW, EntryView
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, many, one


@dataclass(frozen=True, slots=True)
class Balances:
    """Of one account at one instant, in whole points."""

    pending: int
    available: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a party got for vouchers between two instants, in whole points, and what of it was given back."""

    points: int
    vouchers: int
    undone_points: int
    undone_vouchers: int


# From the last sealed balances before the instant. An entry is made when its transaction begins and seen when that is
# committed: all that a head has is made before it, and what it hasn't has a higher version.
SQL_BALANCES_AT = Query(
    Balances,
    """
SELECT coalesce(h.pending, 0) + s.pending AS pending, coalesce(h.available, 0) + s.available AS available,
       coalesce(h.reserved, 0) + s.reserved AS reserved
FROM (SELECT $1::uuid AS rider_id) r
LEFT JOIN LATERAL (
    SELECT version, pending, available, reserved FROM account_heads
    WHERE rider_id = r.rider_id AND made_at <= $2 ORDER BY seal DESC LIMIT 1
) h ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN to_account = 'pending' THEN amount WHEN from_account = 'pending' THEN -amount END), 0)
               ::bigint AS pending,
           coalesce(sum(CASE WHEN to_account = 'available' THEN amount
                             WHEN from_account = 'available' THEN -amount END), 0)::bigint AS available,
           coalesce(sum(CASE WHEN to_account = 'reserved' THEN amount
                             WHEN from_account = 'reserved' THEN -amount END), 0)::bigint AS reserved
    FROM entries WHERE rider_id = r.rider_id AND version > coalesce(h.version, 0) AND made_at <= $2
) s
""",
)
SQL_STATEMENT_LINES = Query(
    EntryView,
    f"""
SELECT {ENTRY_VIEW}
FROM entries e JOIN holds h ON h.id = e.hold_id
WHERE e.rider_id = $1 AND e.made_at > $2 AND e.made_at <= $3 AND (e.version, e.line) > ($4::bigint, $5::smallint)
    AND e.version > coalesce(
        (SELECT version FROM account_heads WHERE rider_id = $1 AND made_at <= $2 ORDER BY seal DESC LIMIT 1), 0)
ORDER BY e.version, e.line LIMIT $6
""",
)
SQL_REDEEMED = Query(
    Redeemed,
    """
SELECT coalesce(sum(amount) FILTER (WHERE movement = 'posted'), 0)::bigint AS points,
       count(*) FILTER (WHERE movement = 'posted') AS vouchers,
       coalesce(sum(amount) FILTER (WHERE movement = 'reversed'), 0)::bigint AS undone_points,
       count(*) FILTER (WHERE movement = 'reversed') AS undone_vouchers
FROM entries
WHERE party = $1 AND made_at >= $2 AND made_at < $3 AND 'redeemed' IN (from_account, to_account)
""",
)


async def balances_at(conn: Connection, rider_id: UUID, at: datetime) -> Balances:
    """After all entries that were made up to the instant, it included; zeros before the first."""
    found = await one(conn, SQL_BALANCES_AT, rider_id, at)
    assert found is not None, "sums have a row"
    return found


async def lines(
    conn: Connection, rider_id: UUID, since: datetime, until: datetime, after: tuple[int, int], limit: int
) -> list[EntryView]:
    """Entries made after `since` and up to `until`, oldest first, those after (version, line)."""
    return await many(conn, SQL_STATEMENT_LINES, rider_id, since, until, *after, limit)


async def redeemed(conn: Connection, party: str, since: datetime, until: datetime) -> Redeemed:
    """What was redeemed at a party in [since, until)."""
    found = await one(conn, SQL_REDEEMED, party, since, until)
    assert found is not None, "sums have a row"
    return found
