"""The ledger's check, in shares that cost the same in every year: recent movements, and in rounds everything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from services.points.domain import Source
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, one, unnest

Part = Literal["accounts", "account", "holds"]


@dataclass(frozen=True, slots=True)
class Round:
    """The round under way: what it has found so far, and what the last whole one found and when it ended."""

    part: Part
    after_id: UUID
    began_at: datetime
    wrong: int
    finished_at: datetime | None
    wrong_last: int
    accounts: int = 0
    """How many there were when the round began, and how many of them are done; holds likewise."""
    accounts_done: int = 0
    holds: int = 0
    holds_done: int = 0
    after_version: int = 0
    """Inside one account (`part` account, `after_id` its rider): up to which version its sums are so far."""
    pending: int = 0
    available: int = 0
    reserved: int = 0

    @property
    def done(self) -> float:
        """Which part of the round is done, 0 to 1: its two halves read about as much."""
        return (_part(self.accounts_done, self.accounts) + _part(self.holds_done, self.holds)) / 2


_SUMS = """
coalesce(sum(amount) FILTER (WHERE to_account = 'pending'), 0)
    - coalesce(sum(amount) FILTER (WHERE from_account = 'pending'), 0) AS pending,
coalesce(sum(amount) FILTER (WHERE to_account = 'available'), 0)
    - coalesce(sum(amount) FILTER (WHERE from_account = 'available'), 0) AS available,
coalesce(sum(amount) FILTER (WHERE to_account = 'reserved'), 0)
    - coalesce(sum(amount) FILTER (WHERE from_account = 'reserved'), 0) AS reserved"""
SQL_ROUND = Query(Round, f"SELECT {columns(Round)} FROM ledger_rounds")
SQL_BEGIN = """
INSERT INTO ledger_rounds (part, after_id, began_at, wrong, wrong_last, accounts, accounts_done, holds, holds_done)
VALUES ('accounts', $1, $2, 0, 0, $3, 0, $4, 0)
ON CONFLICT DO NOTHING
"""
# Only from where the share began: of two processes that both think they lead, one counts.
SQL_ADVANCE = f"""
UPDATE ledger_rounds r SET ({columns(Round)}) = ROW ({columns(Round, "n")}) FROM {unnest(Round, first=4)}
WHERE r.part = $1 AND r.after_id = $2 AND r.after_version = $3
"""
# An account's version counts its movements, so as many accounts are taken as have $3 movements together, at least one.
SQL_ACCOUNTS_NEXT = """
SELECT rider_id, version FROM (
    SELECT rider_id, version, sum(version) OVER (ORDER BY rider_id) AS upto, row_number() OVER (ORDER BY rider_id) AS no
    FROM (SELECT rider_id, version FROM accounts WHERE rider_id > $1 ORDER BY rider_id LIMIT $2) AS accounts
) AS counted WHERE upto <= $3 OR no = 1 ORDER BY rider_id
"""
# Accounts whose stored balances aren't the sums of their entries; entries without an account or without a hold.
SQL_ACCOUNTS_WRONG = f"""
WITH sums AS MATERIALIZED (
    SELECT e.rider_id, max(e.version) AS version, count(*) FILTER (WHERE h.id IS NULL) AS homeless, {_SUMS}
    FROM entries e LEFT JOIN LATERAL (SELECT id FROM holds WHERE id = e.hold_id LIMIT 1) h ON true
    WHERE e.rider_id > $1 AND e.rider_id <= $2 GROUP BY e.rider_id
), kept AS (
    INSERT INTO ledger_checkpoints (rider_id, version, pending, available, reserved)
    SELECT rider_id, version, pending, available, reserved FROM sums ORDER BY rider_id
    ON CONFLICT (rider_id) DO UPDATE SET version = excluded.version, pending = excluded.pending,
        available = excluded.available, reserved = excluded.reserved
)
SELECT count(*) FROM (SELECT * FROM accounts WHERE rider_id > $1 AND rider_id <= $2) a
FULL JOIN sums s ON s.rider_id = a.rider_id
WHERE (coalesce(a.pending, 0), coalesce(a.available, 0), coalesce(a.reserved, 0))
          <> (coalesce(s.pending, 0), coalesce(s.available, 0), coalesce(s.reserved, 0))
   OR s.homeless > 0
"""
# The next entries of one account, at most $3 versions of it; `upto` null: its last ones, as of this very snapshot.
SQL_ACCOUNT_SLICE = f"""
SELECT a.upto, a.pending AS is_pending, a.available AS is_available, a.reserved AS is_reserved, s.version, s.homeless,
       s.pending::bigint AS pending, s.available::bigint AS available, s.reserved::bigint AS reserved
FROM (SELECT CASE WHEN version > $2::bigint + $3::bigint THEN $2 + $3 END AS upto, pending, available, reserved
      FROM accounts WHERE rider_id = $1) a
CROSS JOIN LATERAL (
    SELECT coalesce(max(e.version), 0) AS version, count(*) FILTER (WHERE h.id IS NULL) AS homeless, {_SUMS}
    FROM entries e LEFT JOIN LATERAL (SELECT id FROM holds WHERE id = e.hold_id LIMIT 1) h ON true
    WHERE e.rider_id = $1 AND e.version > $2 AND (a.upto IS NULL OR e.version <= a.upto)
) s
"""
SQL_CHECKPOINT = """
INSERT INTO ledger_checkpoints (rider_id, version, pending, available, reserved) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (rider_id) DO UPDATE SET version = excluded.version, pending = excluded.pending,
    available = excluded.available, reserved = excluded.reserved
"""
SQL_HOLDS_NEXT = "SELECT id FROM holds WHERE id > $1 ORDER BY id LIMIT $2"
# Holds whose state or amount their entries don't explain. What was voided before it was held has no entries.
SQL_HOLDS_WRONG = """
SELECT count(*) FROM holds h CROSS JOIN LATERAL (
    SELECT sum(amount) FILTER (WHERE movement = 'held') AS held,
           sum(amount) FILTER (WHERE movement = 'posted') AS posted,
           sum(amount) FILTER (WHERE movement = 'voided') AS voided,
           sum(amount) FILTER (WHERE movement = 'reversed') AS reversed,
           sum(amount) FILTER (WHERE movement IN ('expired', 'adjusted') AND movement = h.state) AS at_once,
           count(*) FILTER (WHERE rider_id <> h.rider_id) AS strangers
    FROM entries WHERE hold_id = h.id
) e
WHERE h.id > $1 AND h.id <= $2 AND (e.strangers > 0 OR CASE h.state
    WHEN 'held' THEN (e.held, coalesce(e.posted, e.voided, e.reversed)) IS DISTINCT FROM (h.amount, NULL)
    WHEN 'posted' THEN (e.held, e.posted, coalesce(e.voided, e.reversed)) IS DISTINCT FROM (h.amount, h.amount, NULL)
    WHEN 'reversed' THEN (e.held, e.posted, e.reversed, e.voided)
        IS DISTINCT FROM (h.amount, h.amount, h.amount, NULL)
    WHEN 'voided' THEN (e.held IS NOT NULL OR h.amount > 0) AND (e.held, e.voided, coalesce(e.posted, e.reversed))
        IS DISTINCT FROM (h.amount, h.amount, NULL)
    WHEN 'expired' THEN (e.at_once, coalesce(e.held, e.posted, e.voided, e.reversed)) IS DISTINCT FROM (h.amount, NULL)
    WHEN 'adjusted' THEN (e.at_once, coalesce(e.held, e.posted, e.voided, e.reversed)) IS DISTINCT FROM (h.amount, NULL)
    ELSE coalesce(e.held, e.posted, e.voided, e.reversed) IS NOT NULL
END)
"""
SQL_RECENT_RIDERS = "SELECT DISTINCT rider_id FROM entries WHERE made_at >= $1 AND made_at < $2"
# Since the last round read all of an account's entries, only the later ones have to be read.
SQL_RECENT_WRONG = f"""
SELECT count(*) FROM unnest($1::uuid[]) AS moved (rider_id)
JOIN accounts a USING (rider_id)
LEFT JOIN ledger_checkpoints c USING (rider_id)
CROSS JOIN LATERAL (
    SELECT {_SUMS} FROM entries WHERE rider_id = moved.rider_id AND version > coalesce(c.version, 0)
) s
WHERE (a.pending, a.available, a.reserved) <> (coalesce(c.pending, 0) + s.pending,
    coalesce(c.available, 0) + s.available, coalesce(c.reserved, 0) + s.reserved)
"""
FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)
SHARE_ACCOUNTS_MAX = 500
# Entries of one rider lie far apart: each is a page of its own, from disk where years of them don't fit into memory.
SHARE_ENTRIES = 50
# Of a hold what began it lies beside its neighbours', what ended it anywhere.
SHARE_HOLDS = 50
HOLDS = tuple(f"holds {source}" for source in get_args(Source))
"""The numbers of holds that are kept, by source."""
RECENT_SLICE = timedelta(seconds=15)
"""A province's busiest minute brings some 2,000 entries in it."""
RECENT_SHARE_RIDERS = 200


async def round_under_way(conn: Connection) -> Round | None:
    """None: no round has ever begun."""
    return await one(conn, SQL_ROUND)


async def begin(conn: Connection, at: datetime) -> Round:
    """Begin the first round, unless another process has; the one under way."""
    first = await _from_the_start(conn, at, None, 0)
    await conn.execute(SQL_BEGIN, FIRST, at, first.accounts, first.holds)
    return await round_under_way(conn) or first


async def check_share(conn: Connection, now: Round, at: datetime) -> Round:
    """Check the next share, inside a transaction; the round as it is afterwards, at its end already the next one."""
    check = {"accounts": _accounts, "account": _account, "holds": _holds}[now.part]
    after = await check(conn, now, at)
    await conn.execute(SQL_ADVANCE, now.part, now.after_id, now.after_version, *arrays(Round, [after]))
    return after


async def _accounts(conn: Connection, now: Round, at: datetime) -> Round:
    found = await conn.fetch(SQL_ACCOUNTS_NEXT, now.after_id, SHARE_ACCOUNTS_MAX, SHARE_ENTRIES)
    if found and found[0]["version"] > SHARE_ENTRIES:
        # entries that have no account lie between the accounts
        rider_id = found[0]["rider_id"]
        wrong = int(await conn.fetchval(SQL_ACCOUNTS_WRONG, now.after_id, UUID(int=rider_id.int - 1)))
        return await _account(conn, replace(now, part="account", after_id=rider_id, wrong=now.wrong + wrong), at)
    upto = found[-1]["rider_id"] if found else LAST
    wrong = now.wrong + int(await conn.fetchval(SQL_ACCOUNTS_WRONG, now.after_id, upto))
    if found:
        return replace(now, after_id=upto, wrong=wrong, accounts_done=now.accounts_done + len(found))
    return replace(now, part="holds", after_id=FIRST, wrong=wrong)


async def _account(conn: Connection, now: Round, _at: datetime) -> Round:
    """A part of one account: of somebody who reports much, even that is years of history."""
    found = await conn.fetchrow(SQL_ACCOUNT_SLICE, now.after_id, now.after_version, SHARE_ENTRIES)
    done = replace(
        now, part="accounts", accounts_done=now.accounts_done + 1, after_version=0, pending=0, available=0, reserved=0
    )
    if found is None:
        return replace(done, wrong=now.wrong + 1)
    sums = (now.pending + found["pending"], now.available + found["available"], now.reserved + found["reserved"])
    wrong = now.wrong + (found["homeless"] > 0)
    if found["upto"] is not None:
        pending, available, reserved = sums
        return replace(
            now, after_version=found["upto"], wrong=wrong, pending=pending, available=available, reserved=reserved
        )
    await conn.execute(SQL_CHECKPOINT, now.after_id, max(found["version"], now.after_version), *sums)
    wrong += sums != (found["is_pending"], found["is_available"], found["is_reserved"])
    return replace(done, wrong=wrong)


async def _holds(conn: Connection, now: Round, at: datetime) -> Round:
    found = await conn.fetch(SQL_HOLDS_NEXT, now.after_id, SHARE_HOLDS)
    if not found:
        return await _from_the_start(conn, at, at, now.wrong)
    upto = found[-1]["id"]
    wrong = now.wrong + int(await conn.fetchval(SQL_HOLDS_WRONG, now.after_id, upto))
    return replace(now, after_id=upto, wrong=wrong, holds_done=now.holds_done + len(found))


async def _from_the_start(conn: Connection, at: datetime, finished_at: datetime | None, wrong_last: int) -> Round:
    kept = await counters.kept(conn, "accounts", *HOLDS)
    holds = kept.total(*HOLDS)
    return Round("accounts", FIRST, at, 0, finished_at, wrong_last, accounts=kept.of("accounts"), holds=holds)


def _part(done: int, of: int) -> float:
    # what came since the round began lies at its end
    return min(1.0, done / of) if of > 0 else 1.0


async def recent_riders(conn: Connection, since: datetime, until: datetime) -> list[UUID]:
    """Whose accounts moved in that time, however many: read in slices of time, so that no statement takes long."""
    found: set[UUID] = set()
    while since < until:
        upto = min(since + RECENT_SLICE, until)
        found.update(row["rider_id"] for row in await conn.fetch(SQL_RECENT_RIDERS, since, upto))
        since = upto
    return sorted(found)


async def recent_wrong(conn: Connection, riders: Sequence[UUID]) -> int:
    """How many of these accounts have balances that their entries don't explain; in shares."""
    wrong = 0
    for start in range(0, len(riders), RECENT_SHARE_RIDERS):
        wrong += int(await conn.fetchval(SQL_RECENT_WRONG, riders[start : start + RECENT_SHARE_RIDERS]))
    return wrong
