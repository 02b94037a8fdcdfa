"""Letters longer than their topic takes: cut there with the reason, whole in the database, whatever made them long."""

import os
import secrets
from dataclasses import replace

import pytest

from shared.kit import clock
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.headers import unpack
from shared.kit.messaging.kafka import DLQ_BYTES_MAX
from shared.kit.messaging.work import OutboxRow, Record, insert_outbox
from shared.kit.postgres.db import Pool

ROOMY = Bounds(1 << 40, 1 << 30)
HEADERS = (("ce_id", b"1"), ("odd", None))
MANY = tuple((f"h{number}", os.urandom(1_000)) for number in range(DLQ_BYTES_MAX // 1_000))


async def buried(pool: Pool, record: Record) -> tuple[OutboxRow, dead_letters.DeadLetter]:
    """What is published of a record on the partner topic, and the letter as it is kept."""
    burial = Burial(record, None, "dead", "content_too_large", "larger than its topic takes", 1)
    async with pool.acquire() as conn, conn.transaction():
        [published] = await dead_letters.bury(conn, [burial], consumer="intake", now=clock.now(), bounds=ROOMY)
        await insert_outbox(conn, [published])
        await dead_letters.park(conn, record.topic, [record.key or b""], clock.now())
    async with pool.acquire() as conn:
        [listed] = await dead_letters.open_letters(conn, record.topic)
        letter = await dead_letters.open_letter(conn, listed.id)
    assert letter is not None
    return published, letter


@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"{" + b"x" * DLQ_BYTES_MAX, HEADERS), (b"{}", MANY), (b"x" * DLQ_BYTES_MAX, MANY)],
    ids=["the value", "the headers", "both"],
)
async def test_a_long_letter_is_cut_on_its_topic_and_whole_here(
    value: bytes, headers: tuple[tuple[str, bytes | None], ...], pool: Pool
) -> None:
    topic = f"inbound.c{secrets.token_hex(4)}.reports.v1"
    record = Record(topic, 0, 7, os.urandom(10_000), value, headers, 1)
    published, letter = await buried(pool, record)
    said = dict(unpack(published.headers or b"[]"))
    assert said["dlq-cut"] == str(len(value)).encode() and said["dlq-code"] == b"content_too_large"
    size = (
        len(published.payload)
        + len(published.key.encode())
        + sum(len(n) + len(v or b"") for n, v in unpack(published.headers or b""))
    )
    assert size < DLQ_BYTES_MAX - 4_096
    assert value.startswith(published.payload)
    assert (letter.record.key, letter.record.value, letter.record.headers) == (record.key, value, headers)
    async with pool.acquire() as conn, conn.transaction():
        assert await dead_letters.parked(conn, topic, [record.key or b"", b"other"]) == {record.key}
        [group] = await dead_letters.open_groups(conn, topic, [letter.id])
        assert (group.topic, group.ids, group.shown) == (topic, (letter.id,), (record.key or b"")[:200])
        locked = await dead_letters.lock_group(conn, replace(group, ids=()))
        await dead_letters.resolve(conn, [letter.id], "discarded", by="test", reason="over", now=clock.now())
        assert [one.id for one in locked] == [letter.id]
        assert await dead_letters.parked(conn, topic, [record.key or b""]) == set()


async def test_a_letter_that_fits_is_not_cut(pool: Pool) -> None:
    record = Record(f"inbound.c{secrets.token_hex(4)}.reports.v1", 0, 7, b"k", b"x" * 1_000_000, HEADERS, 1)
    published, _ = await buried(pool, record)
    assert published.payload == record.value
    assert "dlq-cut" not in dict(unpack(published.headers or b"[]"))
