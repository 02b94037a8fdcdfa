"""What the dead letters of one company's topic may take: whole up to a bound, then without content, then only counted.

A company that sends nothing but poison would else fill its consumers' schemas and the topic's dead-letter partner. What
is left out here stays in the company's own topic for as long as that keeps it. The suite's own topics have no bound.

The bounds are soft on purpose: numbers are kept in shards (ADR 0040), so nobody waits for another's burial, and each
process may go over them by what it buries in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

import asyncpg

from shared.kit import metrics
from shared.kit.messaging.headers import pack
from shared.kit.messaging.work import Record
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import arrays, columns, unnest
from shared.kit.privacy.letters_of_erased import INBOUND

KEY_BYTES_MAX = 256
"""Of a key that stays where the content is left out: it names the record to its sender. A longer one goes too."""
STATUSES = ("dead", "parked", "rejected")


@dataclass(slots=True, eq=False)
class NewRange:
    """Records of a partition that are only counted."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    code: str


SQL_TAKEN = """
SELECT what, split_part(label, ' ', 1) AS topic, sum(n)::bigint AS n FROM counters
WHERE what IN ('letters', 'letter_bytes') AND label = ANY($1::text[]) GROUP BY 1, 2
"""
SQL_RANGES_ADD = f"""
INSERT INTO dead_letter_ranges AS r ({columns(NewRange)}, first_at, last_at)
SELECT {columns(NewRange)}, $1, $1 FROM {unnest(NewRange, first=2)}
ORDER BY topic, partition
ON CONFLICT (topic, partition) DO UPDATE SET
    first_offset = least(r.first_offset, excluded.first_offset),
    last_offset = greatest(r.last_offset, excluded.last_offset),
    records = r.records + excluded.records, code = excluded.code, last_at = greatest(r.last_at, excluded.last_at)
"""
SQL_RANGES = """
SELECT topic, partition, first_offset, last_offset, records, code, first_at, last_at FROM dead_letter_ranges
WHERE (topic, partition) > ($1, $2) ORDER BY topic, partition LIMIT $3
"""
SQL_OPEN_COUNTS = """
SELECT split_part(label, ' ', 1) AS topic, split_part(label, ' ', 2) AS status, sum(n)::bigint AS n
FROM counters WHERE what = 'letters' GROUP BY label HAVING sum(n) <> 0
"""
SQL_LEFT_OUT = """
SELECT label AS topic, 'left_out' AS how, sum(n)::bigint AS n FROM counters WHERE what = 'letters_left_out'
GROUP BY label HAVING sum(n) <> 0
UNION ALL SELECT topic, 'counted', sum(records)::bigint FROM dead_letter_ranges GROUP BY topic
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of the open letters of one company's topic: bytes of content, and rows."""

    bytes_max: int
    rows_max: int


class Keeping(Enum):
    """What becomes of a record that is buried."""

    WHOLE = auto()
    LEFT_OUT = auto()
    """A letter without content."""
    COUNTED = auto()
    """No letter; its place lies in its partition's range."""


@dataclass(slots=True)
class _Taken:
    rows: int = 0
    bytes: int = 0


async def keepings(conn: Connection, records: Sequence[Record], bounds: Bounds) -> list[Keeping]:
    """For each record, in order: is there room for it in its topic's bounds? One look-up, none without companies'."""
    topics = {record.topic for record in records if record.topic.startswith(INBOUND)}
    if not topics:
        return [Keeping.WHOLE] * len(records)
    taken = await _taken(conn, topics)
    found = []
    for record in records:
        mine = taken.get(record.topic)
        if mine is None:
            found.append(Keeping.WHOLE)
        elif mine.rows >= bounds.rows_max:
            found.append(Keeping.COUNTED)
        else:
            whole = mine.bytes + _size(record) <= bounds.bytes_max
            mine.rows += 1
            mine.bytes += _size(record if whole else bare(record))
            found.append(Keeping.WHOLE if whole else Keeping.LEFT_OUT)
    return found


async def _taken(conn: Connection, topics: set[str]) -> dict[str, _Taken]:
    taken = {topic: _Taken() for topic in topics}
    labels = [*topics, *(f"{topic} {status}" for topic in topics for status in STATUSES)]
    for row in await conn.fetch(SQL_TAKEN, labels):
        if row["what"] == "letters":
            taken[row["topic"]].rows = row["n"]
        else:
            taken[row["topic"]].bytes = row["n"]
    return taken


def _size(record: Record) -> int:
    """As the schema's trigger counts it."""
    return len(record.value or b"") + len(record.key or b"") + len(pack(record.headers))


def bare(record: Record) -> Record:
    """The record's place, and its key where that is short."""
    key = record.key if len(record.key or b"") <= KEY_BYTES_MAX else None
    return replace(record, key=key, value=None, headers=())


async def count(conn: Connection, records: Sequence[tuple[Record, str]], now: datetime) -> None:
    """Add records, each with the code of its refusal, to their partitions' ranges.

    A record that is read again, after a crash between the commits of database and broker, counts again.
    """
    ranges: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for record, code in records:
        ranges.setdefault((record.topic, record.partition), []).append((record.offset, code))
    rows = [
        NewRange(
            topic=topic, partition=partition, first_offset=min(offset for offset, _ in places),
            last_offset=max(offset for offset, _ in places), records=len(places), code=places[-1][1],
        )
        for (topic, partition), places in ranges.items()
    ]  # fmt: skip
    if rows:
        await conn.execute(SQL_RANGES_ADD, now, *arrays(NewRange, rows))


async def ranges(
    conn: Connection, after_topic: str = "", after_partition: int = 0, limit: int = 200
) -> list[asyncpg.Record]:
    """Where records stand that have no letter of their own: a row a partition, by topic."""
    found: list[asyncpg.Record] = await conn.fetch(SQL_RANGES, after_topic, after_partition, limit)
    return found


async def open_counts(conn: Connection) -> dict[tuple[str, str], int]:
    """Number of open dead letters by topic and status, as kept: one topic's flood hides no other's letters."""
    return {(row["topic"], row["status"]): row["n"] for row in await conn.fetch(SQL_OPEN_COUNTS)}


async def measure(conn: Connection) -> None:
    """Set the gauges of open letters."""
    counts, without = await open_counts(conn), await conn.fetch(SQL_LEFT_OUT)
    metrics.DEAD_LETTERS_OPEN.clear()
    for (topic, status), n in counts.items():
        metrics.DEAD_LETTERS_OPEN.labels(topic=topic, status=status).set(n)
    metrics.DEAD_LETTERS_OVER_BOUND.clear()
    for row in without:
        metrics.DEAD_LETTERS_OVER_BOUND.labels(topic=row["topic"], how=row["how"]).set(row["n"])
