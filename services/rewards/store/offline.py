"""Lists for counters without network, and what those took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.rewards.domain import Hours, OfflineList, Redemption, TakingOutcome
from services.rewards.store.redemptions import HOURS, RETURNED, hours_of
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, row_to, unnest


@dataclass(frozen=True, slots=True)
class Listed:
    """A voucher on a list, with its sealed code."""

    id: UUID
    offer_id: UUID
    offer_name: str
    deadline_at: datetime
    starts_at: datetime | None
    opens_minute: int
    closes_minute: int
    weekdays: int
    code_sealed: bytes


@dataclass(frozen=True, slots=True)
class Taking:
    """A line of what a counter took; `points`: what the voucher is worth."""

    list_id: UUID
    line: int
    merchant_id: UUID
    redemption_id: UUID | None
    offer_id: UUID | None
    points: int
    taken_at: datetime
    outcome: TakingOutcome
    borne_by: str | None
    first_merchant_id: UUID | None
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A voucher whose code a counter took, by the hash; locked."""

    code_hash: bytes
    citywide: bool
    hours: Hours
    redemption: Redemption


# The merchant's own, and those for the whole city of which it has a piece, each by an index; the first to end first
SQL_LISTED = """
SELECT r.id, r.offer_id, r.offer_name, r.deadline_at, r.code_sealed, r.slot_id, o.opens_minute, o.closes_minute,
       o.weekdays
FROM redemptions r JOIN offers o ON o.id = r.offer_id
WHERE r.state = 'issued' AND r.deadline_at > now() AND r.code_sealed IS NOT NULL
  AND (r.fulfilment IS NULL OR r.fulfilment = 'ready')"""
SQL_TO_LIST = Query(
    Listed,
    f"""
SELECT l.id, l.offer_id, l.offer_name, l.deadline_at, s.starts_at, l.opens_minute, l.closes_minute, l.weekdays,
       l.code_sealed
FROM (
    ({SQL_LISTED} AND r.merchant_id = $1 AND NOT o.citywide ORDER BY r.deadline_at, r.id LIMIT $2)
    UNION ALL
    (SELECT here.* FROM station_stock st CROSS JOIN LATERAL (
        {SQL_LISTED} AND r.offer_id = st.offer_id AND o.citywide ORDER BY r.deadline_at, r.id LIMIT $2
     ) AS here WHERE st.merchant_id = $1 AND st.there > 0)
) AS l LEFT JOIN slots s ON s.id = l.slot_id
ORDER BY l.deadline_at, l.id LIMIT $2
""",
)
# Those that ended since they were read are not on the list
SQL_KEEP = """
WITH here AS (
    SELECT id FROM redemptions
    WHERE id = ANY($1::uuid[]) AND state = 'issued' AND deadline_at > now() ORDER BY id FOR UPDATE
)
UPDATE redemptions r SET kept_until = greatest(r.kept_until, now() + make_interval(hours => $2))
FROM here WHERE r.id = here.id RETURNING r.id
"""
SQL_ADD_LIST = Query(
    OfflineList,
    f"""
INSERT INTO offline_lists (id, merchant_id, made_by, made_at, good_until, closes_at, redemption_ids)
VALUES ($1, $2, $3, now(), now() + make_interval(hours => $4), now() + make_interval(hours => $5), $6)
RETURNING {columns(OfflineList)}
""",
)
# Under the lock of the merchant's row: of two that are made at once the second counts the first
SQL_LOCK_MERCHANT = "SELECT id FROM merchants WHERE id = $1 FOR NO KEY UPDATE"
SQL_OPEN = """
SELECT count(*) FROM offline_lists WHERE merchant_id = $1 AND settled_at IS NULL AND closes_at > now()
"""
SQL_LOCK_LIST = Query(OfflineList, f"SELECT {columns(OfflineList)} FROM offline_lists WHERE id = $1 FOR UPDATE")
SQL_LOCK_OFFERS = """
SELECT id FROM offers WHERE id IN (SELECT offer_id FROM redemptions WHERE code_hash = ANY($1::bytea[]))
ORDER BY id FOR NO KEY UPDATE
"""
# All that an upload will change, in id order and before any offer: whoever has a voucher in hand wants its offer next.
# And what another list keeps meanwhile is seen by the statements that come after this one.
SQL_LOCK_VOUCHERS = """
SELECT id FROM redemptions
WHERE code_hash = ANY($1::bytea[]) OR (id = ANY($2::uuid[]) AND state = 'issued') ORDER BY id FOR UPDATE
"""
SQL_SHOWN = f"""
SELECT r.code_hash, o.citywide, {HOURS}, {RETURNED}
FROM redemptions r JOIN offers o ON o.id = r.offer_id WHERE r.code_hash = ANY($1::bytea[])
"""
# Of this merchant's other lists; when, by the counter's clock
SQL_EARLIER = """
SELECT redemption_id, taken_at FROM offline_takings
WHERE redemption_id = ANY($1::uuid[]) AND outcome = 'sold' AND merchant_id = $2
UNION ALL
SELECT redemption_id, taken_at FROM offline_takings
WHERE redemption_id = ANY($1::uuid[]) AND borne_by = 'programme' AND merchant_id = $2
"""
SQL_SELL = Query(
    Redemption,
    f"""
UPDATE redemptions r SET state = 'used', version = r.version + 1, ended_at = now(), taken_by = $2, merchant_id = $3
WHERE r.id = ANY($1::uuid[]) AND r.state = 'issued' RETURNING {RETURNED}
""",
)
SQL_ADD_TAKINGS = f"""
INSERT INTO offline_takings ({columns(Taking)}, heard_at) SELECT {columns(Taking)}, now() FROM {unnest(Taking)}
"""
SQL_SETTLE = "UPDATE offline_lists SET settled_at = now(), digest = $2 WHERE id = $1 AND settled_at IS NULL"
# What this list alone held back goes its way again, and keeps since when; what another open list has, stays until that
# one closes. They are locked since SQL_LOCK_VOUCHERS; open lists are read once, not for each voucher
SQL_LET_GO = """
UPDATE redemptions r SET kept_until = coalesce(elsewhere.closes_at, now())
FROM unnest($1::uuid[]) AS listed (id) LEFT JOIN (
    SELECT kept.id, max(l.closes_at) AS closes_at FROM offline_lists l, unnest(l.redemption_ids) AS kept (id)
    WHERE l.settled_at IS NULL AND l.closes_at > now() GROUP BY kept.id
) AS elsewhere USING (id)
WHERE r.id = listed.id AND r.state = 'issued'
"""
SQL_TAKINGS = Query(Taking, f"SELECT {columns(Taking)} FROM offline_takings WHERE list_id = $1 ORDER BY line")
SQL_DOUBLES = Query(
    Taking,
    f"""
SELECT {columns(Taking)} FROM offline_takings
WHERE outcome = 'double' AND (list_id, line) > ($1, $2) ORDER BY list_id, line LIMIT $3
""",
)
_redemption = row_to(Redemption)


async def to_list(conn: Connection, merchant_id: UUID, most: int) -> list[Listed]:
    """Vouchers that a merchant may take now, those first that end first."""
    return await many(conn, SQL_TO_LIST, merchant_id, most)


async def lock_merchant(conn: Connection, merchant_id: UUID) -> int | None:
    """So many lists of a merchant are open; nobody makes another one meanwhile. None: there is no such merchant."""
    if await conn.fetchval(SQL_LOCK_MERCHANT, merchant_id) is None:
        return None
    number: int = await conn.fetchval(SQL_OPEN, merchant_id)
    return number


async def keep(conn: Connection, ids: Sequence[UUID], hours: int) -> set[UUID]:
    """Hold vouchers back from expiry and cancellation; those that still can be used."""
    return {row["id"] for row in await conn.fetch(SQL_KEEP, ids, hours)}


async def add(
    conn: Connection, id_: UUID, merchant_id: UUID, by: str, hours: tuple[int, int], ids: Sequence[UUID]
) -> OfflineList:
    """A new list; `hours`: how long it is good, and how long what was taken may be uploaded, from now on."""
    made = await one(conn, SQL_ADD_LIST, id_, merchant_id, by, *hours, ids)
    assert made is not None  # RETURNING of an INSERT
    return made


async def lock(conn: Connection, id_: UUID) -> OfflineList | None:
    """A list, locked: whoever uploads it again waits."""
    return await one(conn, SQL_LOCK_LIST, id_)


async def shown(conn: Connection, paper: OfflineList, code_hashes: Sequence[bytes]) -> dict[bytes, Shown]:
    """Vouchers by their codes' hashes. Locked are they and all that the list holds back, then the offers of what was
    shown, as at the counter."""
    await conn.execute(SQL_LOCK_VOUCHERS, code_hashes, list(paper.redemption_ids))
    await conn.execute(SQL_LOCK_OFFERS, code_hashes)
    rows = await conn.fetch(SQL_SHOWN, code_hashes)
    return {row["code_hash"]: Shown(row["code_hash"], row["citywide"], hours_of(row), _redemption(row)) for row in rows}


async def earlier(conn: Connection, merchant_id: UUID, ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Which of these redemptions a merchant has sold from a list, and when by its counter's clock."""
    return {row["redemption_id"]: row["taken_at"] for row in await conn.fetch(SQL_EARLIER, ids, merchant_id)}


async def sell(conn: Connection, ids: Sequence[UUID], by: str, merchant_id: UUID) -> list[Redemption]:
    """Issued → used at this merchant; it was in time when it was taken."""
    return await many(conn, SQL_SELL, ids, by, merchant_id)


async def add_takings(conn: Connection, takings: Sequence[Taking]) -> None:
    """What came of each line."""
    await conn.execute(SQL_ADD_TAKINGS, *arrays(Taking, takings))


async def settle(conn: Connection, paper: OfflineList, digest: bytes) -> None:
    """The list is settled: what it held back goes on. Its vouchers must be locked (`shown`)."""
    await conn.execute(SQL_SETTLE, paper.id, digest)
    await conn.execute(SQL_LET_GO, list(paper.redemption_ids))


async def takings(conn: Connection, list_id: UUID) -> list[Taking]:
    """What came of a list."""
    return await many(conn, SQL_TAKINGS, list_id)


async def doubles(conn: Connection, after: tuple[UUID, int], limit: int) -> list[Taking]:
    """A page of vouchers that were used twice, by list and line."""
    return await many(conn, SQL_DOUBLES, *after, limit)
