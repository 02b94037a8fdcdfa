"""Accounts, holds, entries and rules. A batch costs the same few statements whatever its size."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.points.domain import Account, Book, DayUse, Hold, Rule
from services.points.store import rounds
from shared.kit import counters
from shared.kit.db import Connection
from shared.kit.ids import new_id

# In id order, so that two processes with riders in common wait for each other instead of deadlocking
SQL_LOCK_ACCOUNTS = """
SELECT rider_id, version, pending, available, reserved, version
FROM accounts WHERE rider_id = ANY($1::uuid[]) ORDER BY rider_id FOR NO KEY UPDATE
"""
SQL_OPEN_ACCOUNTS = "INSERT INTO accounts (rider_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING"
SQL_HOLDS = """
SELECT id, source, rider_id, case_id, kind, amount, state, reason, company, state, ordinal
FROM holds WHERE id = ANY($1::uuid[])
"""
SQL_EARNINGS = """
SELECT e.rider_id, e.earned_on, e.kind, e.points, e.reports
FROM unnest($1::uuid[], $2::date[]) AS wanted (rider_id, earned_on)
JOIN earnings e ON e.rider_id = wanted.rider_id AND e.earned_on = wanted.earned_on
"""
SQL_RULES = """
SELECT version, effective_from, points_per_day_max, kind_reports_per_day_max, co_reporters_max, set_by, reason
FROM rules ORDER BY effective_from
"""
SQL_RULES_PAGE = """
SELECT version, effective_from, points_per_day_max, kind_reports_per_day_max, co_reporters_max, set_by, reason
FROM rules WHERE version > $1 ORDER BY version LIMIT $2
"""
SQL_RULES_LAST = "SELECT max(version) FROM rules"
# Each update names the state it was decided on: with the accounts locked a miss can only be a defect, and the caller
# rolls back on it. New rows come by COPY, which costs the server and the client half of what INSERT from arrays does.
SQL_END_HOLDS = """
UPDATE holds h SET state = new.state, reason = new.reason, ended_at = $1
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS new (id, state, reason, was)
WHERE h.id = new.id AND h.state = new.was
"""
SQL_MOVE_ACCOUNTS = """
UPDATE accounts a SET version = new.version, pending = new.pending, available = new.available, reserved = new.reserved
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
     AS new (rider_id, version, pending, available, reserved, was)
WHERE a.rider_id = new.rider_id AND a.version = new.was
"""
SQL_ADD_EARNINGS = """
INSERT INTO earnings AS e (rider_id, earned_on, kind, points, reports)
SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::bigint[], $5::int[])
ON CONFLICT (rider_id, earned_on, kind)
DO UPDATE SET points = e.points + excluded.points, reports = e.reports + excluded.reports
"""
_COUNTED = (
    "balance", "moved held", "moved posted", "moved voided", "moved reversed", "holds report", "holds redemption",
    "entries", "accounts",
)  # fmt: skip
HOLD_COLUMNS = (
    "id", "source", "rider_id", "case_id", "kind", "amount", "state", "reason", "company", "made_at", "ended_at",
    "ordinal",
)  # fmt: skip
ENTRY_COLUMNS = (
    "rider_id", "version", "line", "entry_id", "hold_id", "movement", "from_account", "to_account", "amount", "made_at",
)  # fmt: skip
SQL_ACCOUNT = """
SELECT rider_id, version, pending, available, reserved, version FROM accounts WHERE rider_id = $1
"""
SQL_ENTRIES = """
SELECT e.version, e.line, e.entry_id, e.movement, h.source, e.hold_id, h.case_id, h.kind, e.from_account, e.to_account,
       e.amount, e.made_at
FROM entries e JOIN holds h ON h.id = e.hold_id
WHERE e.rider_id = $1 AND (e.version, e.line) < ($2::bigint, $3::smallint)
ORDER BY e.version DESC, e.line DESC LIMIT $4
"""
SQL_ADD_RULE = """
INSERT INTO rules (version, effective_from, points_per_day_max, kind_reports_per_day_max, co_reporters_max, set_by,
                   reason, set_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE $1 = 1 + (SELECT max(version) FROM rules)
ON CONFLICT DO NOTHING RETURNING version
"""


class LedgerConflict(RuntimeError):
    """The database held another state than the one decided on. Nothing was written; the batch may be tried again."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry as people read it; `amount` > 0 in whole points."""

    version: int
    line: int
    entry_id: UUID
    movement: str
    source: str
    source_id: UUID
    case_id: UUID | None
    kind: str
    from_account: str
    to_account: str
    amount: int
    made_at: datetime


async def open_book(
    conn: Connection, riders: Collection[UUID], hold_ids: Collection[UUID], days: Collection[tuple[UUID, date]] = ()
) -> Book:
    """Lock the riders' accounts (made where missing) and read what the batch needs of their holds and days.

    The holds are read after the locks, so they are as the last committed movement of each rider left them.
    """
    accounts = await _lock(conn, riders)
    if len(accounts) < len(riders):
        await conn.execute(SQL_OPEN_ACCOUNTS, sorted(rider for rider in riders if rider not in accounts))
        accounts = await _lock(conn, riders)
    holds = {row[0]: Hold(*row) for row in await conn.fetch(SQL_HOLDS, list(hold_ids))}
    uses = {day: DayUse() for day in days}
    if uses:
        rows = await conn.fetch(SQL_EARNINGS, [rider for rider, _ in uses], [on for _, on in uses])
        for rider_id, on, kind, points, reports in rows:
            use = uses[rider_id, on]
            use.points += points
            use.reports[kind] = reports
    return Book(accounts, holds, uses)


async def write_book(conn: Connection, book: Book, now: datetime) -> list[UUID]:
    """Write a batch's movements; the entry ids, one per movement in order.

    Raises:
        LedgerConflict: a row was not in the state that was decided on.
    """
    made = [
        # a hold made and ended in one batch arrives in its last state
        (h.id, h.source, h.rider_id, h.case_id, h.kind, h.amount, h.state, h.reason, h.company, now,
         None if h.state == "held" else now, h.ordinal)
        for h in book.holds.values()
        if h.loaded_state is None
    ]  # fmt: skip
    entry_ids = [new_id() for _ in book.movements]
    lines = [
        (m.hold.rider_id, m.version, at, entry_id, m.hold.id, m.name, line.from_account, line.to_account, line.amount,
         now)
        for m, entry_id in zip(book.movements, entry_ids, strict=True)
        for at, line in enumerate(m.lines)
    ]  # fmt: skip
    if made:
        await conn.copy_records_to_table("holds", records=made, columns=HOLD_COLUMNS)
    if lines:
        await conn.copy_records_to_table("entries", records=lines, columns=ENTRY_COLUMNS)
    ended = [
        (h.id, h.state, h.reason, h.loaded_state)
        for h in book.holds.values()
        if h.loaded_state is not None and h.state != h.loaded_state
    ]
    await _write(conn, SQL_END_HOLDS, ended, now)
    moved = [
        (a.rider_id, a.version, a.pending, a.available, a.reserved, a.loaded_version)
        for a in book.accounts.values()
        if a.version != a.loaded_version
    ]
    await _write(conn, SQL_MOVE_ACCOUNTS, moved)
    promised = [
        (rider_id, on, kind, points, reports)
        for (rider_id, on), use in book.days.items()
        for kind, (points, reports) in use.added.items()
    ]
    await _write(conn, SQL_ADD_EARNINGS, promised)
    return entry_ids


async def _write(conn: Connection, sql: str, rows: Sequence[tuple[object, ...]], *before: object) -> None:
    """Run a statement that must touch each of the rows."""
    if not rows:
        return
    status = await conn.execute(sql, *before, *_columns(len(rows[0]), rows))
    written = int(status.rsplit(" ", 1)[1])
    if written != len(rows):
        raise LedgerConflict(f"wrote {written} rows instead of {len(rows)}")


async def rules(conn: Connection) -> list[Rule]:
    """All rules, ascending by the instant they begin."""
    return [Rule(*row) for row in await conn.fetch(SQL_RULES)]


async def rules_page(conn: Connection, after: int, limit: int) -> list[Rule]:
    """The next rules after a version, by version."""
    return [Rule(*row) for row in await conn.fetch(SQL_RULES_PAGE, after, limit)]


async def last_rule(conn: Connection) -> int:
    """The newest version."""
    version: int = await conn.fetchval(SQL_RULES_LAST)
    return version


async def add_rule(conn: Connection, rule: Rule, now: datetime) -> bool:
    """Append a rule as the next version; False if that version or instant is taken already."""
    added = await conn.fetchval(
        SQL_ADD_RULE,
        rule.version,
        rule.effective_from,
        rule.points_per_day_max,
        rule.kind_reports_per_day_max,
        rule.co_reporters_max,
        rule.set_by,
        rule.reason,
        now,
    )
    return added is not None


async def hold(conn: Connection, hold_id: UUID) -> Hold | None:
    """One hold, unlocked."""
    row = await conn.fetchrow(SQL_HOLDS, [hold_id])
    return None if row is None else Hold(*row)


async def account(conn: Connection, rider_id: UUID) -> Account | None:
    """One account, unlocked."""
    row = await conn.fetchrow(SQL_ACCOUNT, rider_id)
    return None if row is None else Account(*row)


async def entries(conn: Connection, rider_id: UUID, before: tuple[int, int], limit: int) -> list[EntryView]:
    """A rider's entries, newest first, those before (version, line)."""
    return [EntryView(*row) for row in await conn.fetch(SQL_ENTRIES, rider_id, *before, limit)]


async def tallies(conn: Connection) -> dict[str, int]:
    """Totals in points, and counts, as they are kept. `ledger_sum` adds every account up, the house's and the riders'.

    It is 0 in a sound ledger, and so is `imbalance`: accounts and holds that the rounds found not explained by entries.
    """
    kept = await counters.kept(conn, *_COUNTED)
    state = await rounds.round_under_way(conn)
    balances = {name: kept.of("balance", name) for name in ("pending", "available", "reserved")}
    held = kept.of("moved held", "issuance pending")
    voided = kept.of("moved voided", "pending issuance")
    refunded, written_off = (
        kept.of("moved reversed", "redeemed available"),
        kept.of("moved reversed", "written_off issuance"),
    )
    reversed_ = kept.total("moved reversed") - refunded
    redeemed = kept.of("moved posted", "reserved redeemed") - refunded
    outstanding = held - voided - reversed_
    return {
        "reports": kept.total("holds report"),
        "reports_refused": kept.of("holds report", "refused"),
        "holds_open": kept.total("holds report", "holds redemption", label="held"),
        "held": held,
        "posted": kept.of("moved posted", "pending available"),
        "voided": voided,
        "reversed": reversed_,
        "written_off": written_off,
        "redeemed": redeemed,
        "outstanding": outstanding,
        "entries": kept.of("entries"),
        **balances,
        "accounts": kept.of("accounts"),
        "ledger_sum": sum(balances.values()) + redeemed - outstanding - written_off,
        "imbalance": max(state.wrong, state.wrong_last) if state is not None else 0,
    }


async def _lock(conn: Connection, riders: Collection[UUID]) -> dict[UUID, Account]:
    rows = await conn.fetch(SQL_LOCK_ACCOUNTS, list(riders))
    return {row[0]: Account(*row) for row in rows}


def _columns(width: int, rows: Sequence[tuple[object, ...]]) -> Sequence[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
