"""Redemptions, their vouchers, and the figures made of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import get_args
from uuid import UUID

import asyncpg

from services.rewards.domain import Hours, Redemption, State, whole_days
from services.rewards.store import complaints, levels, standing
from shared.kit.auth.resealing import Sealed, uuid_after
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, row_to, unnest
from shared.kit.privacy.erasure import Leaver


@dataclass(frozen=True, slots=True)
class NewRedemption:
    """A redemption to be written; `deadline_s` seconds from now by the database's clock."""

    id: UUID
    rider_id: UUID
    offer_id: UUID
    merchant_id: UUID
    offer_name: str
    price: int
    state: State
    deadline_s: float
    code_hash: bytes | None
    code_sealed: bytes | None
    slot_id: UUID | None = None
    fulfilment: str | None = None


@dataclass(frozen=True, slots=True)
class AtCounter:
    """A redemption whose code was shown, and when its counter takes it."""

    redemption: Redemption
    hours: Hours
    citywide: bool


@dataclass(frozen=True, slots=True)
class StatementLine:
    """Vouchers of one offer at one price that a merchant took, and what they are worth in points."""

    offer_id: UUID
    offer_name: str
    price: int
    vouchers: int
    points: int


_COLUMNS = columns(Redemption, "r")
RETURNED = _COLUMNS
SQL_ADD_REDEMPTIONS = Query(
    Redemption,
    f"""
INSERT INTO redemptions AS r (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, requested_on,
                              requested_at, deadline_at, issued_at, code_hash, code_sealed, slot_id,
                              fulfilment)
SELECT n.id, 1, n.rider_id, n.offer_id, n.merchant_id, n.offer_name, n.price, n.state, $1::date, now(),
       CASE WHEN n.state = 'issued' AND s.id IS NOT NULL THEN s.ends_at
            ELSE now() + make_interval(secs => n.deadline_s) END,
       CASE WHEN n.state = 'issued' THEN now() END, n.code_hash, n.code_sealed, n.slot_id, n.fulfilment
FROM {unnest(NewRedemption, "n", first=2)} LEFT JOIN slots s ON s.id = n.slot_id
RETURNING {_COLUMNS}
""",
)
SQL_LOCK_REQUESTED = """
SELECT id FROM redemptions WHERE id = ANY($1::uuid[]) AND state = 'requested' ORDER BY id FOR UPDATE
"""
SQL_ISSUE = Query(
    Redemption,
    f"""
UPDATE redemptions r
SET state = 'issued', version = r.version + 1, issued_at = now(), code_hash = new.code_hash,
    code_sealed = new.code_sealed,
    deadline_at = coalesce((SELECT s.ends_at FROM slots s WHERE s.id = r.slot_id),
                           now() + make_interval(mins => o.voucher_minutes))
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS new (id, code_hash, code_sealed), offers o
WHERE r.id = new.id AND r.state = 'requested' AND o.id = r.offer_id
RETURNING {_COLUMNS}
""",
)
SQL_REFUSE = Query(
    Redemption,
    f"""
UPDATE redemptions r SET state = 'refused', version = r.version + 1, reason = new.reason, ended_at = now()
FROM unnest($1::uuid[], $2::text[]) AS new (id, reason)
WHERE r.id = new.id AND r.state = 'requested'
RETURNING {_COLUMNS}
""",
)
# Rows that another replica or a counter has in hand are left to the next turn
SQL_END_DUE = Query(
    Redemption,
    f"""
WITH due AS (
    SELECT id, offer_id FROM redemptions
    WHERE state IN ('requested', 'issued') AND deadline_at <= now() AND (kept_until IS NULL OR kept_until <= now())
    ORDER BY deadline_at LIMIT $1 FOR UPDATE SKIP LOCKED
), locked AS (
    SELECT id FROM offers WHERE id IN (SELECT offer_id FROM due) ORDER BY id FOR NO KEY UPDATE
)
UPDATE redemptions r
SET state = CASE r.state WHEN 'requested' THEN 'cancelled' ELSE 'expired' END,
    reason = CASE r.state WHEN 'requested' THEN 'points_not_answered' ELSE 'not_used_in_time' END,
    version = r.version + 1, ended_at = now()
FROM due JOIN locked ON locked.id = due.offer_id WHERE r.id = due.id
RETURNING {_COLUMNS}
""",
)
HOURS = """o.opens_minute, o.closes_minute, o.weekdays,
       (SELECT s.starts_at FROM slots s WHERE s.id = r.slot_id) AS starts_at"""
SQL_BY_CODE = f"""
SELECT {_COLUMNS}, o.citywide, {HOURS}
FROM redemptions r JOIN offers o ON o.id = r.offer_id WHERE r.code_hash = ANY($1::bytea[]) FOR UPDATE OF r
"""
SQL_SEALED_CODES = """
SELECT id, code_sealed FROM redemptions
WHERE state = 'issued' AND code_sealed IS NOT NULL AND id > $1 ORDER BY id LIMIT $2
"""
SQL_RENEW_CODES = """
UPDATE redemptions r SET code_hash = n.code_hash, code_sealed = n.code_sealed
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[]) AS n (id, before, code_hash, code_sealed)
WHERE r.id = n.id AND r.code_sealed = n.before
"""
SQL_USE = Query(
    Redemption,
    f"""
UPDATE redemptions r SET state = 'used', version = r.version + 1, ended_at = now(), taken_by = $3
WHERE r.id = $1 AND r.merchant_id = $2 AND r.state = 'issued' AND r.deadline_at > now()
RETURNING {_COLUMNS}
""",
)
SQL_UNDO = Query(
    Redemption,
    f"""
UPDATE redemptions r
SET state = 'undone', version = r.version + 1, reason = $2, undone_at = now(), undone_by = $3
WHERE r.id = $1 AND r.state = 'used' AND r.ended_at > now() - make_interval(days => $4)
RETURNING {_COLUMNS}
""",
)
# Before its offer, as at the counter
SQL_LOCK = "SELECT FROM redemptions WHERE id = $1 FOR UPDATE"
# What a counter without network may have taken is not given up before that has been heard of
SQL_LOCK_OF_RIDER = """
SELECT state, kept_until > now() AS kept FROM redemptions WHERE id = $1 AND rider_id = $2 FOR UPDATE
"""
# One step after the other; who fetches it has the offer's whole time once it is ready. That is said: points wait for it
SQL_FULFIL = Query(
    Redemption,
    f"""
UPDATE redemptions r SET fulfilment = $2, version = r.version + ($2 = 'ready')::int,
    deadline_at = CASE WHEN $2 = 'ready' THEN now() + make_interval(mins => o.voucher_minutes) ELSE r.deadline_at END
FROM offers o
WHERE r.id = $1 AND o.id = r.offer_id AND r.state = 'issued' AND r.deadline_at > now()
  AND r.fulfilment = CASE $2 WHEN 'sent' THEN 'ordered' ELSE 'sent' END
RETURNING {_COLUMNS}
""",
)
SQL_CANCEL = Query(
    Redemption,
    f"""
UPDATE redemptions r SET state = 'cancelled', version = r.version + 1, reason = 'by_rider', ended_at = now()
WHERE r.id = $1 AND r.state IN ('requested', 'issued') AND (r.kept_until IS NULL OR r.kept_until <= now())
RETURNING {_COLUMNS}
""",
)
_redemption = row_to(Redemption)
SQL_REDEMPTION = f"SELECT {_COLUMNS}, r.code_sealed FROM redemptions r WHERE r.id = $1"
SQL_OF_RIDER = Query(
    Redemption,
    f"""
SELECT {_COLUMNS} FROM redemptions r WHERE r.rider_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3
""",
)
# The row of the merchant is the lock that makes attempts follow each other: parallel guesses don't slip past the limit
SQL_ATTEMPTS = """
INSERT INTO voucher_attempts AS a (merchant_id, window_from, wrong) VALUES ($1, now(), 0)
ON CONFLICT (merchant_id) DO UPDATE SET
    window_from = CASE WHEN a.window_from <= now() - make_interval(secs => $2) THEN now() ELSE a.window_from END,
    wrong = CASE WHEN a.window_from <= now() - make_interval(secs => $2) THEN 0 ELSE a.wrong END
RETURNING wrong
"""
SQL_WRONG_ATTEMPT = "UPDATE voucher_attempts SET wrong = wrong + $2 WHERE merchant_id = $1"
# [$2, $3) and [$4, $5) are parts of days, whose vouchers are counted; of the whole days between, numbers are kept
SQL_STATEMENT = Query(
    StatementLine,
    """
SELECT t.offer_id, o.name AS offer_name, t.price, sum(t.n)::bigint AS vouchers, (sum(t.n) * t.price)::bigint AS points
FROM (
    SELECT offer_id, price, vouchers AS n FROM takings
    WHERE merchant_id = $1 AND taken_on >= ($3::timestamptz AT TIME ZONE 'UTC')::date
      AND taken_on < ($4::timestamptz AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT offer_id, price, 1 FROM redemptions
    WHERE merchant_id = $1 AND state = 'used' AND ended_at >= $2 AND ended_at < $3
    UNION ALL
    SELECT offer_id, price, 1 FROM redemptions
    WHERE merchant_id = $1 AND state = 'used' AND ended_at >= $4 AND ended_at < $5
) AS t JOIN offers o ON o.id = t.offer_id
GROUP BY t.offer_id, o.name, t.price HAVING sum(t.n) > 0 ORDER BY o.name, t.offer_id, t.price
""",
)
SQL_CODES_ERASE = """
UPDATE redemptions SET code_sealed = NULL WHERE rider_id = ANY($1::uuid[]) AND code_sealed IS NOT NULL
"""
SQL_STOCK = """
SELECT coalesce(sum(stock), 0)::bigint AS stock_total, coalesce(sum(free), 0)::bigint AS free,
       coalesce(sum(held), 0)::bigint AS held, coalesce(sum(sold), 0)::bigint AS sold
FROM offers
"""


async def add(conn: Connection, on: date, new: Sequence[NewRedemption]) -> dict[UUID, Redemption]:
    """Insert redemptions in one statement; by id."""
    made = await many(conn, SQL_ADD_REDEMPTIONS, on, *arrays(NewRedemption, new))
    return {redemption.id: redemption for redemption in made}


async def lock_requested(conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of them still wait for their points; locked."""
    return {row["id"] for row in await conn.fetch(SQL_LOCK_REQUESTED, list(ids))}


async def issue(conn: Connection, codes: Sequence[tuple[UUID, bytes, bytes]]) -> list[Redemption]:
    """Give requested redemptions their (id, code hash, sealed code)."""
    return await many(conn, SQL_ISSUE, *zip(*codes, strict=True))


async def refuse(conn: Connection, reasons: Sequence[tuple[UUID, str]]) -> list[Redemption]:
    """End requested redemptions as refused."""
    return await many(conn, SQL_REFUSE, *zip(*reasons, strict=True))


async def end_due(conn: Connection, rows_max: int) -> list[Redemption]:
    """End those whose deadline has passed: requested → cancelled, issued → expired."""
    return await many(conn, SQL_END_DUE, rows_max)


async def by_code(conn: Connection, code_hashes: Sequence[bytes]) -> AtCounter | None:
    """The redemption with a voucher of one of these hashes, locked."""
    row = await conn.fetchrow(SQL_BY_CODE, list(code_hashes))
    if row is None:
        return None
    return AtCounter(_redemption(row), hours_of(row), row["citywide"])


def hours_of(row: asyncpg.Record) -> Hours:
    """Of a row that has HOURS."""
    return Hours(row["opens_minute"], row["closes_minute"], row["weekdays"], row["starts_at"])


async def sealed_codes(conn: Connection, after: str, most: int) -> list[Sealed]:
    """Codes of vouchers that can still be used."""
    rows = await conn.fetch(SQL_SEALED_CODES, uuid_after(after), most)
    return [Sealed(str(row["id"]), "", str(row["id"]), row["code_sealed"]) for row in rows]


async def renew_codes(conn: Connection, codes: Sequence[tuple[UUID, bytes, bytes, bytes]]) -> None:
    """Exchange (id, sealed before, hash, sealed) of codes that have not changed meanwhile."""
    await conn.execute(SQL_RENEW_CODES, *map(list, zip(*codes, strict=True)))


async def use(conn: Connection, id_: UUID, merchant_id: UUID, by: str) -> Redemption | None:
    """Issued → used at this merchant; None where it isn't issued (any more) or its time is over."""
    return await one(conn, SQL_USE, id_, merchant_id, by)


async def lock(conn: Connection, id_: UUID) -> None:
    """A redemption, if there is one, locked to the end of the transaction."""
    await conn.execute(SQL_LOCK, id_)


async def lock_of_rider(conn: Connection, id_: UUID, rider_id: UUID) -> tuple[State, bool] | None:
    """A rider's redemption, locked: its state, and whether a list that isn't settled has it; None: it isn't theirs."""
    row = await conn.fetchrow(SQL_LOCK_OF_RIDER, id_, rider_id)
    return None if row is None else (row["state"], bool(row["kept"]))


async def fulfil(conn: Connection, id_: UUID, state: str) -> Redemption | None:
    """Ordered → sent → ready; None: that isn't the next step, or the voucher has ended."""
    return await one(conn, SQL_FULFIL, id_, state)


async def cancel(conn: Connection, id_: UUID) -> Redemption | None:
    """Requested or issued → cancelled; None where it has ended, or a list has it."""
    return await one(conn, SQL_CANCEL, id_)


async def undo(conn: Connection, id_: UUID, reason: str, by: str, days_max: int) -> Redemption | None:
    """Used → undone; None where it isn't used, or was used longer ago."""
    return await one(conn, SQL_UNDO, id_, reason, by, days_max)


async def redemption(conn: Connection, id_: UUID) -> tuple[Redemption, bytes | None] | None:
    """One redemption and its sealed code."""
    row = await conn.fetchrow(SQL_REDEMPTION, id_)
    return None if row is None else (_redemption(row), row["code_sealed"])


async def of_rider(conn: Connection, rider_id: UUID, before: UUID, limit: int) -> list[Redemption]:
    """A page of a rider's redemptions, newest first."""
    return await many(conn, SQL_OF_RIDER, rider_id, before, limit)


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Nobody is shown riders' codes any more. What was redeemed stays, under a bare id: merchants are paid by it."""
    rider_ids = [leaver.rider_id for leaver in leavers]
    await conn.execute(SQL_CODES_ERASE, rider_ids)
    await standing.forget(conn, rider_ids)
    await levels.forget(conn, rider_ids)
    await complaints.forget(conn, rider_ids)


async def wrong_attempts(conn: Connection, merchant_id: UUID, window_s: int) -> int:
    """Wrong codes of the merchant in the running window; locks the merchant's attempts to the transaction's end."""
    wrong: int = await conn.fetchval(SQL_ATTEMPTS, merchant_id, window_s)
    return wrong


async def count_wrong(conn: Connection, merchant_id: UUID, number: int) -> None:
    """So many wrong codes more."""
    await conn.execute(SQL_WRONG_ATTEMPT, merchant_id, number)


async def statement(conn: Connection, merchant_id: UUID, since: datetime, until: datetime) -> list[StatementLine]:
    """What the merchant took in [since, until), both with a time zone."""
    first, last = whole_days(since, until)
    return await many(conn, SQL_STATEMENT, merchant_id, since, first, last, until)


async def tallies(conn: Connection) -> dict[str, int]:
    """Pieces of all offers, redemptions by state, and points for prices, as they are kept."""
    stock = await conn.fetchrow(SQL_STOCK)
    assert stock is not None  # aggregates: always one row
    kept = await counters.kept(conn, "redemptions", "points")
    return {
        **dict(stock),
        **{state: kept.of("redemptions", state) for state in get_args(State)},
        "points_spent": kept.of("points", "used"),
        "points_held": kept.of("points", "requested") + kept.of("points", "issued"),
    }
