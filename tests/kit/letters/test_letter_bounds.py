"""A company that sends nothing but poison: its letters stay within bounds, nobody else's are touched. Real Postgres."""

import secrets
from collections.abc import Iterator, Sequence

import pytest

from shared.kit import clock, metrics
from shared.kit.ids import new_id
from shared.kit.letters import dead_letters, letter_bounds
from shared.kit.letters.dead_letters import Burial, Status
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.headers import unpack
from shared.kit.messaging.work import OutboxRow, Record
from shared.kit.postgres.db import Pool

BATCH, VALUE_BYTES = 500, 4_000
BOUNDS = Bounds(bytes_max=2_000_000, rows_max=2_000)
OWN = "intake.report-received.v1"
SQL_DIFFERENT = """
SELECT * FROM (SELECT what, label, sum(n)::bigint AS n FROM counters GROUP BY 1, 2 HAVING sum(n) <> 0) k
FULL JOIN (SELECT what, label, n::bigint FROM counted_letters) h USING (what, label) WHERE k.n IS DISTINCT FROM h.n
"""
SQL_SIZE = "SELECT pg_total_relation_size('dead_letters') + pg_total_relation_size('dead_letter_ranges')"


@pytest.fixture
def flooding() -> str:
    """The topic of a company of the test's own."""
    return f"inbound.c{secrets.token_hex(4)}.reports.v1"


def record(topic: str, offset: int, value: bytes = b"{", partition: int = 0) -> Record:
    return Record(topic, partition, offset, b"k%d" % offset, value, (("ce_id", b"%d" % offset),), 1)


def poison(topic: str, count: int) -> Iterator[Record]:
    """Nothing of it packs."""
    for offset in range(count):
        yield record(topic, offset, secrets.token_bytes(VALUE_BYTES), offset % 3)


async def bury(
    pool: Pool,
    records: Sequence[Record],
    bounds: Bounds = BOUNDS,
    status: Status = "dead",
    code: str = "malformed_json",
) -> list[OutboxRow]:
    burials = [Burial(one, None, status, code, "EOF while parsing " + "x" * 1_000, 1) for one in records]
    async with pool.acquire() as conn, conn.transaction():
        return await dead_letters.bury(conn, burials, consumer="intake", now=clock.now(), bounds=bounds)


async def flood(pool: Pool, topic: str, count: int) -> list[OutboxRow]:
    records, rows = list(poison(topic, count)), []
    for at in range(0, count, BATCH):
        rows += await bury(pool, records[at : at + BATCH])
    return rows


async def test_a_flood_of_poison_fills_nothing_and_every_record_of_it_can_be_found(pool: Pool, flooding: str) -> None:
    count = 20_000
    other, own = flooding.replace(".reports", ".riders"), OWN
    published = await flood(pool, flooding, count)
    size = await pool.fetchval(SQL_SIZE)
    letters = await pool.fetch("SELECT content, count(*) AS n FROM dead_letters WHERE topic = $1 GROUP BY 1", flooding)
    found = {row["content"]: row["n"] for row in letters}
    counted = await pool.fetchval("SELECT sum(records)::bigint FROM dead_letter_ranges WHERE topic = $1", flooding)
    assert sum(found.values()) == BOUNDS.rows_max
    assert 450 < found["kept"] <= BOUNDS.bytes_max / VALUE_BYTES
    assert sum(found.values()) + counted == count
    bytes_kept = await pool.fetchval("SELECT sum(n) FROM counters WHERE what = 'letter_bytes' AND label = $1", flooding)
    assert bytes_kept < BOUNDS.bytes_max + BOUNDS.rows_max * (letter_bounds.KEY_BYTES_MAX + 2)
    # what is published is bounded too: 80 MB came in
    assert (
        sum(len(row.payload) + len(row.headers or b"") for row in published) < 2 * BOUNDS.bytes_max + 1_000 * count / 10
    )
    await flood(pool, flooding.replace("inbound.c", "inbound.d"), 0)
    for number in range(10):
        await bury(pool, [record(flooding, count + number * BATCH + at) for at in range(BATCH)])
    assert await pool.fetchval(SQL_SIZE) < size + 100_000
    # other topics, of this company too, and the suite's own keep everything
    [theirs] = await bury(pool, [record(other, 1, b"x" * VALUE_BYTES)])
    assert theirs.payload == b"x" * VALUE_BYTES
    tight = Bounds(0, 1)
    await bury(pool, [record(own, at + new_id().int % 2**60, b"y" * VALUE_BYTES) for at in range(5)], tight)
    assert {r["content"] for r in await pool.fetch("SELECT content FROM dead_letters WHERE topic = $1", own)} == {
        "kept"
    }
    assert await pool.fetch(SQL_DIFFERENT) == []


async def test_what_has_no_content_says_where_it_stands(pool: Pool, flooding: str) -> None:
    bounds = Bounds(10, 2)
    first, last = await bury(pool, [record(flooding, 1, b"x" * 100), record(flooding, 2, b"x" * 100)], bounds)
    async with pool.acquire() as conn:
        letters = await dead_letters.open_letters(conn, flooding)
        whole = await dead_letters.open_letter(conn, letters[0].id)
    assert whole is not None
    assert (whole.content, whole.record.value, whole.record.headers, whole.record.key) == ("left_out", None, (), b"k1")
    assert (whole.record.offset, whole.code, len(whole.detail)) == (1, "malformed_json", 200)
    headers = dict(unpack(first.headers or b""))
    assert headers["dlq-content"] == b"left_out" and "ce_id" not in headers and first.payload == b""
    assert last.key == "k2"
    many = [record(flooding, at, b"x", partition=at % 2) for at in (7, 5, 9, 8)]
    rows = await bury(pool, many, bounds, code="content_too_large")
    seen = [dict(unpack(row.headers or b"")) for row in rows]
    assert [(one["dlq-offset"], one["dlq-last-offset"], one["dlq-records"]) for one in seen] == [
        (b"5", b"9", b"3"), (b"8", b"8", b"1"),
    ]  # fmt: skip
    await bury(pool, [record(flooding, 11, partition=1)], bounds)
    async with pool.acquire() as conn:
        ranges = [row for row in await letter_bounds.ranges(conn) if row["topic"] == flooding]
    assert [(r["partition"], r["first_offset"], r["last_offset"], r["records"], r["code"]) for r in ranges] == [
        (0, 8, 8, 1, "content_too_large"), (1, 5, 11, 4, "malformed_json"),
    ]  # fmt: skip
    async with pool.acquire() as conn:
        [second] = await letter_bounds.ranges(conn, flooding, 0, limit=1)
    assert (second["topic"], second["partition"]) == (flooding, 1)


async def test_a_long_key_goes_with_the_content(pool: Pool, flooding: str) -> None:
    long = Record(flooding, 0, 1, b"k" * 257, b"x" * 100, (), 1)
    await bury(pool, [long], Bounds(10, 2))
    assert await pool.fetchval("SELECT key FROM dead_letters WHERE topic = $1", flooding) is None


async def test_what_is_given_up_makes_room_again(pool: Pool, flooding: str) -> None:
    bounds = Bounds(1_000, 10)
    await bury(pool, [record(flooding, at, b"x" * 400) for at in range(4)], bounds)
    async with pool.acquire() as conn, conn.transaction():
        groups = await dead_letters.open_groups(conn, flooding, None)
        locked = [one for group in groups for one in await dead_letters.lock_group(conn, group)]
        assert [one.content for one in locked] == ["kept", "kept", "left_out", "left_out"]
        await dead_letters.resolve(
            conn, [one.id for one in locked], "discarded", by="test", reason="over", now=clock.now()
        )
    await bury(pool, [record(flooding, 100, b"x" * 400)], bounds)
    assert await pool.fetchval(
        "SELECT content FROM dead_letters WHERE topic = $1 AND record_offset = 100", flooding
    ) == ("kept")
    assert await pool.fetch(SQL_DIFFERENT) == []


async def test_a_flood_is_shown_and_hides_nobody_elses_letters(pool: Pool, flooding: str) -> None:
    await bury(pool, [record(flooding, at, b"x" * 100) for at in range(300)], Bounds(5_000, 200), "rejected")
    own = f"{OWN}.{flooding}"
    await bury(pool, [record(own, 1)])
    async with pool.acquire() as conn:
        counts = await letter_bounds.open_counts(conn)
        await letter_bounds.measure(conn)
    assert counts[flooding, "rejected"] == 200 and counts[own, "dead"] == 1
    shown = {
        (sample.labels["topic"], sample.labels["how"]): sample.value
        for metric in metrics.DEAD_LETTERS_OVER_BOUND.collect()
        for sample in metric.samples
    }
    assert shown[flooding, "counted"] == 100 and 100 < shown[flooding, "left_out"] < 200
