"""Dead letters: records that can't take effect, kept whole in the service's schema, published on the partner topic.

The row and the event on `<topic>.dlq` are written in one transaction through the outbox, so neither can be missing.
Replay happens in the service itself, from the row: no other reader of the topic sees the record again.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from shared.events.outside import cleaned
from shared.kit.letters import letter_bounds, partner_records
from shared.kit.letters.letter_bounds import Bounds, Keeping
from shared.kit.letters.partner_records import DETAIL_LENGTH_MAX, Author
from shared.kit.messaging import inbox
from shared.kit.messaging.headers import pack, unpack
from shared.kit.messaging.work import OutboxRow, Record
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, many, unnest
from shared.kit.privacy.letters_of_erased import INBOUND, content_hours, erased_of, redacted, riders_of_each

Status = Literal["dead", "parked", "rejected"]
Content = Literal["kept", "left_out", "erased", "expired"]
"""Whether key, value and headers are in the letter, or why not: too many of its topic, its rider is erased, nobody
could say whose it is and its topic has dropped it too."""
OPEN: tuple[Status, ...] = ("dead", "parked", "rejected")
LEFT_OUT_DETAIL_LENGTH_MAX = 200
PAGE_BYTES_MAX = 8_000_000
"""Of the letters that a replay holds at once."""


@dataclass(frozen=True, slots=True)
class Burial:
    """One record that becomes a dead letter, and why."""

    record: Record
    event_id: UUID | None
    status: Status
    code: str
    detail: str
    attempts: int
    content: Content = "kept"


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
    content: Content = "kept"


@dataclass(slots=True, eq=False)
class NewLetter:
    """A letter as it is entered; `riders` parted by commas."""

    topic: str
    partition: int
    record_offset: int
    key: bytes | None
    value: bytes | None
    headers: bytes
    event_id: UUID | None
    status: Status
    code: str
    detail: str
    attempts: int
    created_at: datetime
    record_ms: int
    riders: str
    content: Content
    content_hours: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Open letters that are replayed together: of one key (`key_hash`), or one alone. `shown`: the key's beginning."""

    topic: str
    key_hash: bytes | None
    shown: bytes | None
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    """An open letter that is locked, and how many bytes its value and headers have."""

    id: int
    content: Content
    bytes: int


SQL_DEAD_INSERT = f"""
INSERT INTO dead_letters (topic, partition, record_offset, key, value, headers, event_id, status, code, detail,
                          attempts, created_at, record_ms, riders, content, content_until)
SELECT topic, partition, record_offset, key, value, headers, event_id, status, code, detail, attempts, created_at,
       record_ms, string_to_array(riders, ','), content, created_at + make_interval(hours => content_hours::int)
FROM {unnest(NewLetter)}
ON CONFLICT (topic, partition, record_offset, record_ms) DO NOTHING
RETURNING topic, partition, record_offset, record_ms
"""
SQL_PARK = """
INSERT INTO parked_keys (topic, key, since) SELECT $1, k, $3 FROM unnest($2::bytea[]) k
ON CONFLICT (topic, key_hash) DO NOTHING
"""
SQL_PARKED = """
SELECT key FROM parked_keys WHERE topic = $1 AND key_hash IN (SELECT sha256(k) FROM unnest($2::bytea[]) k) FOR SHARE
"""
SQL_PARKED_LOCK = "SELECT FROM parked_keys WHERE topic = $1 AND key_hash = $2 FOR UPDATE"
# All keys of some letters, always in one order: who locks several waits for nobody who waits for them.
SQL_PARKED_LOCK_OF = """
SELECT FROM parked_keys
WHERE (topic, key_hash) IN (SELECT topic, sha256(key) FROM dead_letters WHERE id = ANY($1::bigint[]))
ORDER BY topic, key_hash FOR UPDATE
"""
SQL_UNPARK = """
DELETE FROM parked_keys p
WHERE (topic, key_hash) IN (SELECT topic, sha256(key) FROM dead_letters WHERE id = ANY($1::bigint[]))
  AND NOT EXISTS (SELECT FROM dead_letters d
                  WHERE d.topic = p.topic AND sha256(d.key) = p.key_hash AND d.status IN ('dead', 'parked'))
"""
# Neither value nor headers nor a whole key: a page of letters near the limit would be gigabytes.
SQL_OPEN_LIST = """
SELECT id, topic, partition, record_offset, substring(key, 1, 200) AS key, event_id, status, code, detail, attempts,
       created_at, record_ms, content
FROM dead_letters WHERE status IN ('dead', 'parked', 'rejected') AND ($1::text IS NULL OR topic = $1) AND id > $2
ORDER BY id LIMIT $3
"""
SQL_OPEN_ONE = """
SELECT id, topic, partition, record_offset, key, value, headers, event_id, status, code, detail, attempts, created_at,
       record_ms, content
FROM dead_letters WHERE status IN ('dead', 'parked', 'rejected') AND id = $1
"""
SQL_OPEN_TOPICS = """
SELECT DISTINCT topic FROM dead_letters
WHERE status IN ('dead', 'parked', 'rejected') AND ($1::text IS NULL OR topic = $1)
  AND ($2::bigint[] IS NULL OR id = ANY($2))
"""
# $3: topics on which a key means no order: there each letter is a group of its own.
SQL_OPEN_GROUPS = Query(
    Group,
    """
SELECT topic, CASE WHEN topic <> ALL($3::text[]) THEN sha256(key) END AS key_hash,
       (array_agg(substring(key, 1, 200) ORDER BY id))[1] AS shown, array_agg(id ORDER BY id) AS ids
FROM dead_letters
WHERE status IN ('dead', 'parked', 'rejected') AND ($1::text IS NULL OR topic = $1)
  AND ($2::bigint[] IS NULL OR id = ANY($2) OR topic <> ALL($3) AND EXISTS (
    SELECT FROM dead_letters x
    WHERE x.id = ANY($2) AND x.topic = dead_letters.topic AND sha256(x.key) = sha256(dead_letters.key)))
GROUP BY topic, 2, CASE WHEN key IS NULL OR topic = ANY($3) THEN id END ORDER BY min(id)
""",
)
# Neither key, value nor headers: a company puts all that it may under one key.
SQL_OPEN_LOCK = Query(
    Locked,
    """
SELECT id, content, coalesce(octet_length(value), 0) + octet_length(headers) AS bytes
FROM dead_letters WHERE topic = $1 AND status IN ('dead', 'parked', 'rejected')
  AND (sha256(key) = $2 OR id = ANY($3::bigint[])) ORDER BY id FOR UPDATE
""",
)
SQL_OPEN_LOCK_OF = """
SELECT id FROM dead_letters
WHERE id = ANY($1::bigint[]) AND status IN ('dead', 'parked', 'rejected') ORDER BY id FOR UPDATE
"""
SQL_WHOLE = """
SELECT id, topic, partition, record_offset, key, value, headers, event_id, status, code, detail, attempts, created_at,
       record_ms, content
FROM dead_letters WHERE id = ANY($1::bigint[]) ORDER BY id
"""
SQL_RESOLVE = """
UPDATE dead_letters SET status = $2, resolved_at = $3, resolved_by = $4, resolution = $5
WHERE id = ANY($1::bigint[]) AND status IN ('dead', 'parked', 'rejected')
"""


async def bury(
    conn: Connection, burials: Sequence[Burial], *, consumer: str, now: datetime, bounds: Bounds, prefix: str = "",
    room: Callable[[Sequence[Burial]], Awaitable[None]] | None = None,
    heard: Callable[[Sequence[Burial]], Awaitable[None]] | None = None,
) -> list[OutboxRow]:  # fmt: skip
    """Store dead letters and return the events that announce them; a record that is stored already is skipped.

    `room` is asked with those that weren't stored already; what it raises undoes them with the transaction. `heard` is
    given all of them as erasure leaves them.

    Of a company's topic with more open letters than `bounds` allow, later ones lose their content, or are only counted.
    What has no content can't be replayed: its event's id is free, so that its sender may send it again. `prefix`: of
    the installation's topics; who reads a letter there knows no other name of its record's topic.
    """
    if not burials:
        return []
    riders = await riders_of_each(b.record for b in burials)
    burials = await _without_erased(conn, burials, riders)
    if heard is not None:
        await heard(burials)
    keepings = await letter_bounds.keepings(conn, [b.record for b in burials], bounds)
    over = [b for b, keeping in zip(burials, keepings, strict=True) if keeping is not Keeping.WHOLE]
    await inbox.give_up(conn, (b.event_id for b in over if b.event_id is not None))
    counted = [b for b, keeping in zip(burials, keepings, strict=True) if keeping is Keeping.COUNTED]
    await letter_bounds.count(conn, [(b.record, b.code) for b in counted], now)
    letters = [
        (_left_out(b) if keeping is Keeping.LEFT_OUT else b, named)
        for b, keeping, named in zip(burials, keepings, riders, strict=True)
        if keeping is not Keeping.COUNTED
    ]
    stored = await _store(conn, letters, now)
    if room is not None:
        await room([*stored, *counted])
    by = Author(consumer, prefix)
    return [partner_records.one(b, by, now) for b in stored] + partner_records.many(counted, by, now)


async def _store(conn: Connection, letters: Sequence[tuple[Burial, Sequence[str]]], now: datetime) -> list[Burial]:
    """Insert letters with the marks of their riders; those that were not there yet."""
    if not letters:
        return []
    rows = [
        NewLetter(
            topic=b.record.topic, partition=b.record.partition, record_offset=b.record.offset, key=b.record.key,
            value=b.record.value, headers=pack(b.record.headers), event_id=b.event_id, status=b.status, code=b.code,
            detail=cleaned(b.detail[:DETAIL_LENGTH_MAX]), attempts=b.attempts, created_at=now,
            record_ms=b.record.timestamp_ms, riders=",".join(named), content=b.content,
            content_hours=content_hours(b.record, named),
        )
        for b, named in letters
    ]  # fmt: skip
    inserted = await conn.fetch(SQL_DEAD_INSERT, *arrays(NewLetter, rows))
    fresh = {(row["topic"], row["partition"], row["record_offset"], row["record_ms"]) for row in inserted}
    return [burial for burial, _ in letters if _place(burial.record) in fresh]


def _left_out(burial: Burial) -> Burial:
    """The letter of a record for whose content there is no room."""
    if burial.content != "kept":
        return burial
    record, detail = letter_bounds.bare(burial.record), burial.detail[:LEFT_OUT_DETAIL_LENGTH_MAX]
    return replace(burial, record=record, detail=detail, content="left_out")


async def _without_erased(
    conn: Connection, burials: Sequence[Burial], riders: Sequence[Sequence[str]]
) -> Sequence[Burial]:
    """The same as an erasure leaves them: a late letter holds nobody's words, nor does what is published of it."""
    erased = await erased_of(conn, (one for named in riders for one in named))
    if not erased:
        return burials
    pairs = ((b, erased.intersection(named)) for b, named in zip(burials, riders, strict=True))
    return [_without(b, gone) if gone else b for b, gone in pairs]


def _without(burial: Burial, gone: Iterable[str]) -> Burial:
    """A company's record loses its content, the suite's own what it tells of the riders: it can still be replayed."""
    record = burial.record
    if record.topic.startswith(INBOUND):
        bare = replace(record, key=None, value=None, headers=())
        return replace(burial, record=bare, detail="the rider is erased", content="erased")
    record = replace(record, value=redacted(record.topic, record.value or b"", gone))
    return replace(burial, record=record, detail=burial.detail.split(":", 1)[0])


def _place(record: Record) -> tuple[str, int, int, int]:
    """What is one record's alone: a broker that was built again counts from 0, at another time."""
    return record.topic, record.partition, record.offset, record.timestamp_ms


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
    """Open dead letters in the order of their burial, without value and headers, a key's first 200 bytes."""
    rows = await conn.fetch(SQL_OPEN_LIST, topic, after_id, limit)
    return [_letter(row, None, ()) for row in rows]


async def open_letter(conn: Connection, id_: int) -> DeadLetter | None:
    """One open dead letter, whole."""
    row = await conn.fetchrow(SQL_OPEN_ONE, id_)
    return None if row is None else _whole(row)


async def open_topics(conn: Connection, topic: str | None, ids: Sequence[int] | None) -> list[str]:
    """Topics of these open letters, of those of one topic, or of all."""
    return [row["topic"] for row in await conn.fetch(SQL_OPEN_TOPICS, topic, ids)]


async def open_groups(
    conn: Connection, topic: str | None, ids: Sequence[int] | None, unordered: Sequence[str] = ()
) -> list[Group]:
    """Open dead letters for replay: a key is replayed whole and in order, on `unordered` topics each letter alone."""
    return await many(conn, SQL_OPEN_GROUPS, topic, ids, list(unordered))


async def lock_group(conn: Connection, group: Group) -> list[Locked]:
    """Lock a key against new arrivals, then its open letters, in order. Arrivals since the listing are included."""
    if group.key_hash is not None:
        await conn.fetch(SQL_PARKED_LOCK, group.topic, group.key_hash)
    return await many(conn, SQL_OPEN_LOCK, group.topic, group.key_hash, list(group.ids))


async def lock_letters(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Lock these letters' keys against new arrivals, then those of them that are open; their ids, in order."""
    await conn.fetch(SQL_PARKED_LOCK_OF, list(ids))
    return [row["id"] for row in await conn.fetch(SQL_OPEN_LOCK_OF, list(ids))]


async def whole(conn: Connection, ids: Sequence[int]) -> list[DeadLetter]:
    """Letters with all that they have, in order. As many bytes as they have: ask for `pages`."""
    return [_whole(row) for row in await conn.fetch(SQL_WHOLE, list(ids))]


def pages(letters: Iterable[Locked], bytes_max: int = PAGE_BYTES_MAX) -> Iterator[list[int]]:
    """Ids of letters that are held together, in order: at most `bytes_max` of values and headers, or one letter."""
    page: list[int] = []
    held = 0
    for letter in letters:
        if page and held + letter.bytes > bytes_max:
            yield page
            page, held = [], 0
        page.append(letter.id)
        held += letter.bytes
    if page:
        yield page


async def resolve(
    conn: Connection, ids: Sequence[int], status: Literal["replayed", "discarded"], *, by: str, reason: str,
    now: datetime,
) -> None:  # fmt: skip
    """Close letters and unpark their keys where nothing is left to wait for."""
    await conn.execute(SQL_RESOLVE, list(ids), status, now, by, reason)
    await conn.execute(SQL_UNPARK, list(ids))


def _whole(row: asyncpg.Record) -> DeadLetter:
    return _letter(row, row["value"], unpack(row["headers"]))


def _letter(row: asyncpg.Record, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        record=Record(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["record_offset"],
            key=row["key"],
            value=value,
            headers=headers,
            timestamp_ms=row["record_ms"],
        ),
        event_id=row["event_id"],
        status=row["status"],
        code=row["code"],
        detail=row["detail"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        content=row["content"],
    )
