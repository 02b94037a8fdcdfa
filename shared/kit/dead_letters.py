"""Dead letters: records that can't take effect, kept whole in the service's schema and told on the topic's partner.

The row and the event on `<topic>.dlq` are written in one transaction through the outbox, so neither can be missing.
Replay happens in the service itself, from the row: no other reader of the topic sees the record again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from shared.kit.db import Connection
from shared.kit.headers import pack, unpack
from shared.kit.ids import new_id
from shared.kit.work import OutboxRow, Record

Status = Literal["dead", "parked", "rejected"]
OPEN: tuple[Status, ...] = ("dead", "parked", "rejected")
DETAIL_LENGTH_MAX = 2_000

SQL_DEAD_INSERT = """
INSERT INTO dead_letters (topic, partition, record_offset, key, value, headers, event_id, status, code, detail,
                          attempts, created_at)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::uuid[],
                     $8::text[], $9::text[], $10::text[], $11::int[], $12::timestamptz[])
ON CONFLICT (topic, partition, record_offset) DO NOTHING
RETURNING topic, partition, record_offset
"""
SQL_PARK = """
INSERT INTO parked_keys (topic, key, since) SELECT $1, k, $3 FROM unnest($2::bytea[]) k
ON CONFLICT (topic, key) DO NOTHING
"""
SQL_PARKED = "SELECT key FROM parked_keys WHERE topic = $1 AND key = ANY($2::bytea[]) FOR SHARE"
SQL_PARKED_LOCK = "SELECT key FROM parked_keys WHERE topic = $1 AND key = ANY($2::bytea[]) ORDER BY key FOR UPDATE"
SQL_UNPARK = """
DELETE FROM parked_keys p WHERE topic = $1 AND key = ANY($2::bytea[]) AND NOT EXISTS (
    SELECT FROM dead_letters d WHERE d.topic = p.topic AND d.key = p.key AND d.status IN ('dead', 'parked'))
"""
SQL_OPEN_LIST = """
SELECT id, topic, partition, record_offset, key, value, headers, event_id, status, code, detail, attempts, created_at
FROM dead_letters WHERE status IN ('dead', 'parked', 'rejected') AND ($1::text IS NULL OR topic = $1) AND id > $2
ORDER BY id LIMIT $3
"""
SQL_OPEN_GROUPS = """
SELECT topic, key, array_agg(id ORDER BY id) AS ids
FROM dead_letters
WHERE status IN ('dead', 'parked', 'rejected') AND ($1::text IS NULL OR topic = $1)
  AND ($2::bigint[] IS NULL OR id = ANY($2) OR EXISTS (
    SELECT FROM dead_letters x WHERE x.id = ANY($2) AND x.topic = dead_letters.topic AND x.key = dead_letters.key))
GROUP BY topic, key, CASE WHEN key IS NULL THEN id END ORDER BY min(id)
"""
SQL_OPEN_LOCK = """
SELECT id, topic, partition, record_offset, key, value, headers, event_id, status, code, detail, attempts, created_at
FROM dead_letters WHERE topic = $1 AND status IN ('dead', 'parked', 'rejected')
  AND (key = $2 OR id = ANY($3::bigint[])) ORDER BY id FOR UPDATE
"""
SQL_RESOLVE = """
UPDATE dead_letters SET status = $2, resolved_at = $3, resolved_by = $4, resolution = $5
WHERE id = ANY($1::bigint[]) AND status IN ('dead', 'parked', 'rejected')
"""
SQL_OPEN_COUNTS = """
SELECT topic, status, count(*) AS n FROM dead_letters WHERE status IN ('dead', 'parked', 'rejected')
GROUP BY topic, status
"""


@dataclass(frozen=True, slots=True)
class Burial:
    """One record that becomes a dead letter, and why."""

    record: Record
    event_id: UUID | None
    status: Status
    code: str
    detail: str
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An open dead letter as stored."""

    id: int
    record: Record
    event_id: UUID | None
    status: Status
    code: str
    detail: str
    attempts: int
    created_at: datetime


async def bury(conn: Connection, burials: Sequence[Burial], *, consumer: str, now: datetime) -> list[OutboxRow]:
    """Store dead letters and return the events that tell of them; a record that is stored already is skipped.

    Keys of dead and parked records are parked, so that their successors wait.
    """
    if not burials:
        return []
    rows = [
        (
            b.record.topic, b.record.partition, b.record.offset, b.record.key, b.record.value, pack(b.record.headers),
            b.event_id, b.status, b.code, b.detail[:DETAIL_LENGTH_MAX].replace("\x00", ""), b.attempts, now,
        )
        for b in burials
    ]  # fmt: skip
    inserted = await conn.fetch(SQL_DEAD_INSERT, *zip(*rows, strict=True))
    fresh = {(row["topic"], row["partition"], row["record_offset"]) for row in inserted}
    return [
        _outbox_row(burial, consumer, now)
        for burial in burials
        if (burial.record.topic, burial.record.partition, burial.record.offset) in fresh
    ]


async def park(conn: Connection, topic: str, keys: Iterable[bytes], now: datetime) -> None:
    """Let the keys' successors wait until the dead letters are replayed or discarded."""
    if wanted := sorted(set(keys)):
        await conn.execute(SQL_PARK, topic, wanted, now)


async def parked(conn: Connection, topic: str, keys: Iterable[bytes]) -> set[bytes]:
    """Those of the keys that are parked, share-locked to the end of the transaction."""
    return {row["key"] for row in await conn.fetch(SQL_PARKED, topic, list(keys))}


async def open_letters(
    conn: Connection, topic: str | None = None, after_id: int = 0, limit: int = 200
) -> list[DeadLetter]:
    """Open dead letters in the order of their burial."""
    return [_letter(row) for row in await conn.fetch(SQL_OPEN_LIST, topic, after_id, limit)]


async def open_groups(
    conn: Connection, topic: str | None, ids: Sequence[int] | None
) -> list[tuple[str, bytes | None, list[int]]]:
    """Open dead letters by topic and key, for replay: a key is replayed whole and in order."""
    return [(row["topic"], row["key"], row["ids"]) for row in await conn.fetch(SQL_OPEN_GROUPS, topic, ids)]


async def lock_group(conn: Connection, topic: str, key: bytes | None, ids: Sequence[int]) -> list[DeadLetter]:
    """Lock a key against new arrivals, then its open letters, in order. Arrivals since the listing are included."""
    if key is not None:
        await conn.fetch(SQL_PARKED_LOCK, topic, [key])
    return [_letter(row) for row in await conn.fetch(SQL_OPEN_LOCK, topic, key, list(ids))]


async def resolve(
    conn: Connection, letters: Sequence[DeadLetter], status: Literal["replayed", "discarded"], *, by: str, reason: str,
    now: datetime,
) -> None:  # fmt: skip
    """Close letters and unpark their keys where nothing is left to wait for."""
    await conn.execute(SQL_RESOLVE, [letter.id for letter in letters], status, now, by, reason)
    for topic in {letter.record.topic for letter in letters}:
        keys = {x.record.key for x in letters if x.record.topic == topic and x.record.key is not None}
        await conn.execute(SQL_UNPARK, topic, sorted(keys))


async def open_counts(conn: Connection) -> dict[tuple[str, str], int]:
    """Number of open dead letters by topic and status."""
    return {(row["topic"], row["status"]): row["n"] for row in await conn.fetch(SQL_OPEN_COUNTS)}


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        record=Record(
            row["topic"], row["partition"], row["record_offset"], row["key"], row["value"], unpack(row["headers"])
        ),
        event_id=row["event_id"],
        status=row["status"],
        code=row["code"],
        detail=row["detail"],
        attempts=row["attempts"],
        created_at=row["created_at"],
    )


def _outbox_row(burial: Burial, consumer: str, now: datetime) -> OutboxRow:
    """The event on the partner topic: the record as it was, and why it is there, in headers."""
    record = burial.record
    told = {
        "dlq-topic": record.topic,
        "dlq-partition": str(record.partition),
        "dlq-offset": str(record.offset),
        "dlq-consumer": consumer,
        "dlq-status": burial.status,
        "dlq-code": burial.code,
        "dlq-detail": burial.detail[:DETAIL_LENGTH_MAX],
        "dlq-attempts": str(burial.attempts),
        "dlq-at": now.isoformat(),
    }
    headers = [*record.headers, *((name, text.encode()) for name, text in told.items())]
    return OutboxRow(
        event_id=new_id(),
        topic=f"{record.topic}.dlq",
        key=(record.key or b"").decode("utf-8", "replace").replace("\x00", ""),
        version=0,
        occurred_at=now,
        traceparent=None,
        payload=record.value or b"",
        headers=pack(headers),
    )
