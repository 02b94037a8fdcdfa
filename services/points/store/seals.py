"""Seals: chains of accounts, groups of their heads, roots. Everything in shares that cost the same in every year."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Copy, Query, arrays, columns, copy_rows, many, one, unnest


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal that is being made (`root` None), or is made."""

    number: int
    day: date
    began_at: datetime
    after_id: UUID
    accounts: int
    entries: int
    wrong: int
    previous: bytes
    root: bytes | None
    seal: bytes | None
    sealed_at: datetime | None


@dataclass(slots=True, eq=False)
class AccountState:
    """An account and its last head; version 0 and no hash where it has none."""

    rider_id: UUID
    version: int
    pending: int
    available: int
    reserved: int
    sealed_version: int
    hash: bytes | None
    sealed_pending: int
    sealed_available: int
    sealed_reserved: int


@dataclass(slots=True, eq=False)
class Head:
    """The chain of an account up to a version, and the balances there."""

    rider_id: UUID
    seal: int
    version: int
    hash: bytes
    pending: int
    available: int
    reserved: int


@dataclass(slots=True, eq=False)
class Group:
    """Accounts that follow each other, and the root over their heads."""

    seal: int
    first_id: UUID
    last_id: UUID
    accounts: int
    hash: bytes


@dataclass(slots=True, eq=False)
class SealedEntry:
    """A line as it is hashed."""

    rider_id: UUID
    version: int
    line: int
    entry_id: UUID
    hold_id: UUID
    movement: str
    from_account: str
    to_account: str
    amount: int
    made_at: datetime
    party: str | None


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as it is now; its entries up to the version are what it has to explain."""

    rider_id: UUID
    version: int
    pending: int
    available: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """An entry that no account explains: it has none, or hasn't come so far."""

    rider_id: UUID


SQL_LAST = Query(Seal, f"SELECT {columns(Seal)} FROM seals ORDER BY number DESC LIMIT 1 FOR UPDATE")
SQL_BEGIN_SEAL = (
    f"INSERT INTO seals ({columns(Seal)}) SELECT {columns(Seal)} FROM {unnest(Seal)} ON CONFLICT DO NOTHING"
)
SQL_GO_ON_SEAL = f"""
UPDATE seals s SET after_id = n.after_id, accounts = n.accounts, entries = n.entries, wrong = n.wrong, root = n.root,
                   seal = n.seal, sealed_at = n.sealed_at
FROM {unnest(Seal)} WHERE s.number = n.number
"""
# An account that was opened and never moved has no chain: it is sealed once it has moved.
SQL_ACCOUNTS_TO_SEAL = Query(
    AccountState,
    """
SELECT a.rider_id, a.version, a.pending, a.available, a.reserved, coalesce(h.version, 0) AS sealed_version, h.hash,
       coalesce(h.pending, 0) AS sealed_pending, coalesce(h.available, 0) AS sealed_available,
       coalesce(h.reserved, 0) AS sealed_reserved
FROM accounts a LEFT JOIN LATERAL (
    SELECT version, hash, pending, available, reserved FROM account_heads
    WHERE rider_id = a.rider_id ORDER BY seal DESC LIMIT 1
) h ON true
WHERE a.rider_id > $1 AND a.version > 0 ORDER BY a.rider_id LIMIT $2
""",
)
SQL_ENTRIES_TO_SEAL = Query(
    SealedEntry,
    f"""
SELECT {columns(SealedEntry, "e")} FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (rider_id, after, upto)
CROSS JOIN LATERAL (
    SELECT * FROM entries WHERE rider_id = w.rider_id AND version > w.after AND version <= w.upto
) e
ORDER BY e.rider_id, e.version, e.line
""",
)
# An account of very many entries is sealed in parts: the head of a seal that isn't made yet goes on.
SQL_KEEP_HEADS = f"""
INSERT INTO account_heads ({columns(Head)}, made_at) SELECT {columns(Head)}, clock_timestamp() FROM {unnest(Head)}
ON CONFLICT (rider_id, seal) DO UPDATE SET version = excluded.version, hash = excluded.hash,
    pending = excluded.pending, available = excluded.available, reserved = excluded.reserved, made_at = excluded.made_at
"""
SQL_ENTER_GROUPS = Copy(Group, "seal_groups")
SQL_GROUPS = Query(Group, f"SELECT {columns(Group)} FROM seal_groups WHERE seal = $1 ORDER BY first_id")
SQL_GROUP_AFTER = Query(
    Group, f"SELECT {columns(Group)} FROM seal_groups WHERE seal = $1 AND first_id > $2 ORDER BY first_id LIMIT 1"
)
SQL_GROUP_OF = Query(
    Group,
    f"""
SELECT {columns(Group)} FROM seal_groups WHERE seal = $1 AND first_id <= $2 AND last_id >= $2
ORDER BY first_id DESC LIMIT 1
""",
)
# The heads of a group as of a seal: of each account the last one.
SQL_HEADS_OF_GROUP = Query(
    Head,
    f"""
SELECT {columns(Head, "h")} FROM accounts a CROSS JOIN LATERAL (
    SELECT * FROM account_heads WHERE rider_id = a.rider_id AND seal <= $3 ORDER BY seal DESC LIMIT 1
) h
WHERE a.rider_id >= $1 AND a.rider_id <= $2 ORDER BY a.rider_id
""",
)
SQL_ALL_HEADS = Query(
    Head,
    f"""
SELECT {columns(Head)} FROM account_heads WHERE rider_id >= $1 AND rider_id <= $2 AND seal <= $3
ORDER BY rider_id, seal
""",
)
SQL_ENTRIES_AFTER = Query(
    SealedEntry,
    f"""
SELECT {columns(SealedEntry)} FROM entries
WHERE (rider_id, version, line) > ($1, $2::bigint, $3::smallint) AND rider_id <= $4
ORDER BY rider_id, version, line LIMIT $5
""",
)
SQL_BALANCES = Query(
    Balance,
    f"""
SELECT {columns(Balance)} FROM accounts WHERE rider_id > $1 AND rider_id <= $2 ORDER BY rider_id LIMIT $3::bigint
""",
)
SQL_ORPHANS = Query(
    Orphan,
    """
SELECT DISTINCT e.rider_id FROM entries e LEFT JOIN accounts a USING (rider_id)
WHERE e.rider_id > $1 AND e.rider_id <= $2 AND e.version > coalesce(a.version, 0)
""",
)
SQL_SEALS = Query(
    Seal, f"SELECT {columns(Seal)} FROM seals WHERE number > $1 AND root IS NOT NULL ORDER BY number LIMIT $2"
)
SQL_SEAL = Query(Seal, f"SELECT {columns(Seal)} FROM seals WHERE number = $1 AND root IS NOT NULL")
SQL_NEWEST_SEAL = Query(Seal, f"SELECT {columns(Seal)} FROM seals WHERE root IS NOT NULL ORDER BY number DESC LIMIT 1")


async def last(conn: Connection) -> Seal | None:
    """The newest, made or not, locked."""
    return await one(conn, SQL_LAST)


async def begin(conn: Connection, seal: Seal) -> None:
    """Begin one, unless another process has."""
    await conn.execute(SQL_BEGIN_SEAL, *arrays(Seal, [seal]))


async def go_on(conn: Connection, seal: Seal) -> None:
    """Write how far a seal has come."""
    await conn.execute(SQL_GO_ON_SEAL, *arrays(Seal, [seal]))


async def accounts_after(conn: Connection, after: UUID, most: int) -> list[AccountState]:
    """The next accounts with their last heads, by id."""
    return await many(conn, SQL_ACCOUNTS_TO_SEAL, after, most)


async def entries_of(conn: Connection, parts: Sequence[tuple[UUID, int, int]]) -> list[SealedEntry]:
    """Entries of accounts after one version up to another, in order."""
    return await many(conn, SQL_ENTRIES_TO_SEAL, *map(list, zip(*parts, strict=True))) if parts else []


async def keep_heads(conn: Connection, heads: Sequence[Head]) -> None:
    """Write heads of the seal that is being made."""
    if heads:
        await conn.execute(SQL_KEEP_HEADS, *arrays(Head, heads))


async def enter_group(conn: Connection, group: Group) -> None:
    """Write a group of the seal that is being made."""
    await copy_rows(conn, SQL_ENTER_GROUPS, [group])


async def groups(conn: Connection, number: int) -> list[Group]:
    """All groups of a seal, in order."""
    return await many(conn, SQL_GROUPS, number)


async def group_after(conn: Connection, number: int, after: UUID) -> Group | None:
    """The next group of a seal."""
    return await one(conn, SQL_GROUP_AFTER, number, after)


async def group_of(conn: Connection, number: int, rider_id: UUID) -> Group | None:
    """The group in which an account would be."""
    return await one(conn, SQL_GROUP_OF, number, rider_id)


async def heads_of(conn: Connection, group: Group) -> list[Head]:
    """The heads of a group as its seal has them, by account."""
    return await many(conn, SQL_HEADS_OF_GROUP, group.first_id, group.last_id, group.seal)


async def all_heads(conn: Connection, group: Group) -> list[Head]:
    """Every head of a group's accounts up to its seal, by account and seal."""
    return await many(conn, SQL_ALL_HEADS, group.first_id, group.last_id, group.seal)


async def entries_after(conn: Connection, place: tuple[UUID, int, int], last_id: UUID, most: int) -> list[SealedEntry]:
    """The next entries behind (rider, version, line), up to an account, in order."""
    return await many(conn, SQL_ENTRIES_AFTER, *place, last_id, most)


async def balances(conn: Connection, after: UUID, upto: UUID, most: int | None = None) -> list[Balance]:
    """The accounts between two, by id, also those that have never moved; `most`: so many at most."""
    return await many(conn, SQL_BALANCES, after, upto, most)


async def orphans(conn: Connection, after: UUID, upto: UUID) -> list[Orphan]:
    """Riders between two whose entries no account explains."""
    return await many(conn, SQL_ORPHANS, after, upto)


async def seals(conn: Connection, after: int, limit: int) -> list[Seal]:
    """Those that are made, after a number."""
    return await many(conn, SQL_SEALS, after, limit)


async def seal(conn: Connection, number: int) -> Seal | None:
    """One that is made."""
    return await one(conn, SQL_SEAL, number)


async def newest(conn: Connection) -> Seal | None:
    """The newest that is made."""
    return await one(conn, SQL_NEWEST_SEAL)
