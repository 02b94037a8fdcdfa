"""Accounts, holds and entries. A batch costs the same few statements whatever its size."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar
from uuid import UUID

from services.points.domain import Account, Book, DayUse, Hold, HoldState, Source
from services.points.store import rounds, suspicions
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Copy, Query, arrays, columns, copy_rows, many, one, unnest


# Rows to be written are never changed; they aren't declared frozen, which would make each cost three times as much.
@dataclass(slots=True, eq=False)
class NewHold:
    """A hold as it is entered."""

    id: UUID
    source: Source
    rider_id: UUID
    case_id: UUID | None
    kind: str
    amount: int
    state: HoldState
    reason: str | None
    company: str | None
    made_at: datetime
    ended_at: datetime | None
    ordinal: int | None
    rule: str | None
    happened_at: datetime | None
    budget_id: int | None
    waits: bool
    party: str | None


@dataclass(slots=True, eq=False)
class NewEntry:
    """A line of a movement as it is entered."""

    rider_id: UUID
    version: int
    line: int
    entry_id: UUID
    hold_id: UUID
    movement: HoldState
    from_account: str
    to_account: str
    amount: int
    made_at: datetime
    party: str | None


@dataclass(slots=True, eq=False)
class EndedHold:
    """What becomes of a hold that was in the state `was`."""

    id: UUID
    state: HoldState
    reason: str | None
    said: str | None
    party: str | None
    was: HoldState


@dataclass(slots=True, eq=False)
class Earning:
    """Points and reports of one kind in one grid on one day of a rider; in a batch those that are added."""

    rider_id: UUID
    earned_on: date
    kind: str
    grid_code: str
    points: int
    reports: int


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
    party: str | None
    waits: bool
    reason: str | None
    said: str | None
    rule: str | None


# In id order, so that two processes with riders in common wait for each other instead of deadlocking
SQL_LOCK_ACCOUNTS = Query(
    Account,
    """
SELECT rider_id, version, pending, available, reserved, version AS loaded_version
FROM accounts WHERE rider_id = ANY($1::uuid[]) ORDER BY rider_id FOR NO KEY UPDATE
""",
)
SQL_OPEN_ACCOUNTS = "INSERT INTO accounts (rider_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING"
SQL_HOLDS = Query(
    Hold,
    """
SELECT id, source, rider_id, case_id, kind, amount, state, reason, company, state AS loaded_state, ordinal, rule,
       happened_at, budget_id, waits, party, false AS takes, said
FROM holds WHERE id = ANY($1::uuid[])
""",
)
SQL_EARNINGS = Query(
    Earning,
    f"""
SELECT {columns(Earning, "e")}
FROM unnest($1::uuid[], $2::date[]) AS wanted (rider_id, earned_on)
JOIN earnings e ON e.rider_id = wanted.rider_id AND e.earned_on = wanted.earned_on
""",
)
# Each update names the state it was decided on: with the accounts locked a miss can only be a defect, and the caller
# rolls back on it. New rows come by COPY, which costs the server and the client half of what INSERT from arrays does.
SQL_END_HOLDS = f"""
UPDATE holds h SET state = new.state, reason = new.reason, said = new.said, party = new.party, ended_at = $1,
                   waits = false
FROM {unnest(EndedHold, "new", first=2)}
WHERE h.id = new.id AND h.state = new.was
"""
SQL_MOVE_ACCOUNTS = f"""
UPDATE accounts a SET version = new.version, pending = new.pending, available = new.available, reserved = new.reserved
FROM {unnest(Account, "new")}
WHERE a.rider_id = new.rider_id AND a.version = new.loaded_version
"""
SQL_ADD_EARNINGS = f"""
INSERT INTO earnings AS e ({columns(Earning)}) SELECT {columns(Earning)} FROM {unnest(Earning)}
ON CONFLICT (rider_id, earned_on, kind, grid_code)
DO UPDATE SET points = e.points + excluded.points, reports = e.reports + excluded.reports
"""
_COUNTED = (
    "balance", "moved held", "moved posted", "moved voided", "moved reversed", "moved expired", "moved adjusted",
    "holds report", "holds deed", "holds redemption", "entries", "accounts",
)  # fmt: skip
SQL_ENTER_HOLDS = Copy(NewHold, "holds")
SQL_ENTER_ENTRIES = Copy(NewEntry, "entries")
SQL_ACCOUNT = Query(
    Account,
    """
SELECT rider_id, version, pending, available, reserved, version AS loaded_version
FROM accounts WHERE rider_id = $1
""",
)
# Columns of an EntryView, of entries e and holds h.
ENTRY_VIEW = """
       e.version, e.line, e.entry_id, e.movement, h.source, e.hold_id AS source_id, h.case_id, h.kind, e.from_account,
       e.to_account, e.amount, e.made_at, e.party, h.waits AND e.movement = 'held' AS waits,
       CASE WHEN e.movement NOT IN ('held', 'posted') OR h.waits THEN h.reason END AS reason,
       CASE WHEN e.movement NOT IN ('held', 'posted') THEN h.said END AS said, h.rule"""
SQL_ENTRIES = Query(
    EntryView,
    f"""
SELECT {ENTRY_VIEW}
FROM entries e JOIN holds h ON h.id = e.hold_id
WHERE e.rider_id = $1 AND (e.version, e.line) < ($2::bigint, $3::smallint)
ORDER BY e.version DESC, e.line DESC LIMIT $4
""",
)


Row = TypeVar("Row")


class LedgerConflict(RuntimeError):
    """The database held another state than the one decided on. Nothing was written; the batch may be tried again."""


async def open_book(
    conn: Connection, riders: Collection[UUID], hold_ids: Collection[UUID], days: Collection[tuple[UUID, date]] = ()
) -> Book:
    """Lock the riders' accounts (made where missing) and read what the batch needs of their holds and days.

    The holds are read after the locks, so they are as the last committed movement of each rider left them; so is which
    of them are under suspicion.
    """
    accounts = await _lock(conn, riders)
    if len(accounts) < len(riders):
        await conn.execute(SQL_OPEN_ACCOUNTS, sorted(rider for rider in riders if rider not in accounts))
        accounts = await _lock(conn, riders)
    holds = {found.id: found for found in await many(conn, SQL_HOLDS, list(hold_ids))}
    uses = {day: DayUse() for day in days}
    if uses:
        for was in await many(conn, SQL_EARNINGS, [rider for rider, _ in uses], [on for _, on in uses]):
            uses[was.rider_id, was.earned_on].made[was.kind, was.grid_code] = (was.points, was.reports)
    book = Book(accounts, holds, uses)
    book.waiting, book.farmed = await suspicions.suspects(conn, hold_ids)
    return book


async def write_book(conn: Connection, book: Book, now: datetime) -> list[UUID]:
    """Write a batch's movements; the entry ids, one per movement in order.

    Raises:
        LedgerConflict: a row was not in the state that was decided on.
    """
    made = [
        # a hold made and ended in one batch arrives in its last state
        NewHold(
            id=h.id, source=h.source, rider_id=h.rider_id, case_id=h.case_id, kind=h.kind, amount=h.amount,
            state=h.state, reason=h.reason, company=h.company, made_at=now,
            ended_at=None if h.state == "held" else now, ordinal=h.ordinal, rule=h.rule, happened_at=h.happened_at,
            budget_id=h.budget_id, waits=h.waits and h.state == "held", party=h.party,
        )
        for h in book.holds.values()
        if h.loaded_state is None
    ]  # fmt: skip
    entry_ids = [new_id() for _ in book.movements]
    lines = [
        NewEntry(
            rider_id=m.hold.rider_id, version=m.version, line=at, entry_id=entry_id, hold_id=m.hold.id, movement=m.name,
            from_account=line.from_account, to_account=line.to_account, amount=line.amount, made_at=now,
            party=line.party,
        )
        for m, entry_id in zip(book.movements, entry_ids, strict=True)
        for at, line in enumerate(m.lines)
    ]  # fmt: skip
    await copy_rows(conn, SQL_ENTER_HOLDS, made)
    await copy_rows(conn, SQL_ENTER_ENTRIES, lines)
    ended = [
        EndedHold(id=h.id, state=h.state, reason=h.reason, said=h.said, party=h.party, was=h.loaded_state)
        for h in book.holds.values()
        if h.loaded_state is not None and h.state != h.loaded_state
    ]
    await _write(conn, SQL_END_HOLDS, EndedHold, ended, now)
    moved = [account for account in book.accounts.values() if account.version != account.loaded_version]
    await _write(conn, SQL_MOVE_ACCOUNTS, Account, moved)
    promised = [
        Earning(rider_id=rider_id, earned_on=on, kind=kind, grid_code=grid, points=points, reports=reports)
        for (rider_id, on), use in book.days.items()
        for (kind, grid), (points, reports) in use.added.items()
    ]
    await _write(conn, SQL_ADD_EARNINGS, Earning, promised)
    return entry_ids


async def _write(conn: Connection, sql: str, kind: type[Row], rows: Sequence[Row], *before: object) -> None:
    """Run a statement that must touch each of the rows."""
    if not rows:
        return
    status = await conn.execute(sql, *before, *arrays(kind, rows))
    written = int(status.rsplit(" ", 1)[1])
    if written != len(rows):
        raise LedgerConflict(f"wrote {written} rows instead of {len(rows)}")


async def hold(conn: Connection, hold_id: UUID) -> Hold | None:
    """One hold, unlocked."""
    return await one(conn, SQL_HOLDS, [hold_id])


async def account(conn: Connection, rider_id: UUID) -> Account | None:
    """One account, unlocked."""
    return await one(conn, SQL_ACCOUNT, rider_id)


async def entries(conn: Connection, rider_id: UUID, before: tuple[int, int], limit: int) -> list[EntryView]:
    """A rider's entries, newest first, those before (version, line)."""
    return await many(conn, SQL_ENTRIES, rider_id, *before, limit)


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
    breakage = kept.of("moved expired", "available breakage")
    adjusted = kept.of("moved adjusted", "adjustment available") - kept.of("moved adjusted", "available adjustment")
    return {
        "reports": kept.total("holds report"),
        "reports_refused": kept.of("holds report", "refused"),
        "deeds": kept.total("holds deed"),
        "deeds_refused": kept.of("holds deed", "refused"),
        "holds_open": kept.total("holds report", "holds deed", "holds redemption", label="held"),
        "held": held,
        "posted": kept.of("moved posted", "pending available"),
        "voided": voided,
        "reversed": reversed_,
        "written_off": written_off,
        "redeemed": redeemed,
        "breakage": breakage,
        "adjusted": adjusted,
        "outstanding": outstanding,
        "entries": kept.of("entries"),
        **balances,
        "accounts": kept.of("accounts"),
        "ledger_sum": sum(balances.values()) + redeemed + breakage - adjusted - outstanding - written_off,
        "imbalance": max(state.wrong, state.wrong_last) if state is not None else 0,
    }


async def _lock(conn: Connection, riders: Collection[UUID]) -> dict[UUID, Account]:
    return {account.rider_id: account for account in await many(conn, SQL_LOCK_ACCOUNTS, list(riders))}
