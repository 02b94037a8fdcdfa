"""Letters of which nobody can say whom they are about: erasure would not find them, so their content has an end."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from shared.events import registry
from shared.events.personal import number_mark
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.work import OutboxRow, Record, insert_outbox
from shared.kit.postgres.db import Pool
from shared.kit.postgres.retention import KIT_TABLES, Table
from shared.kit.postgres.sweeping import Sweeper
from shared.kit.publishing.holds import SQL_HELD_ROWS, Holds
from shared.kit.publishing.sending import Refused, Sent

ROOMY = Bounds(1 << 40, 1 << 30)
WORDS = "欧阳金雀看见的".encode()
COMPANY = f"c{secrets.token_hex(4)}"
REPORTS, RIDERS, OWN = f"inbound.{COMPANY}.reports.v1", f"inbound.{COMPANY}.riders.v1", "intake.report-received.v1"
LETTERS = next(table for table in KIT_TABLES if table.name == "dead_letters")
HELD = next(table for table in KIT_TABLES if table.name == "outbox_held")
SQL_LATER = "UPDATE dead_letters SET content_until = content_until - make_interval(hours => $1)"


@pytest.fixture
async def letters(pool: Pool) -> AsyncIterator[Pool]:
    await pool.execute("DELETE FROM dead_letters")
    yield pool
    await pool.execute("DELETE FROM dead_letters")


async def bury(pool: Pool, topic: str, value: bytes, key: bytes = b"13900077123") -> int:
    record = Record(topic, 0, new_id().int % 2**62, key, value, (("x", WORDS),), 1)
    burial = Burial(record, None, "dead", "malformed_json", "ValueError: " + WORDS.decode(), 1)
    async with pool.acquire() as conn:
        await dead_letters.bury(conn, [burial], consumer="intake", now=clock.now(), bounds=ROOMY)
        found: int = await conn.fetchval("SELECT max(id) FROM dead_letters")
    return found


async def left(pool: Pool) -> dict[int, Any]:
    return {row["id"]: row for row in await pool.fetch("SELECT * FROM dead_letters")}


def sweeper(pool: Pool, *tables: Table) -> Sweeper:
    return Sweeper(lambda: True, lambda: pool, tables, {})


async def test_what_names_nobody_is_emptied_and_stays_listed(letters: Pool) -> None:
    unnamed = await bury(letters, REPORTS, b"{not json " + WORDS)
    broken = await bury(letters, OWN, b"{not json " + WORDS)
    odd = await bury(letters, OWN, orjson.dumps({"rider_id": "no id", "text": WORDS.decode()}))
    named = await bury(letters, REPORTS, orjson.dumps({"rider": "7", "text": WORDS.decode()}))
    ours = await bury(letters, OWN, orjson.dumps({"rider_id": str(new_id()), "text": WORDS.decode()}))
    nobodys = await bury(letters, "routing.area-changed.v1", b"{not json")
    staffs = await bury(letters, "cases.case-changed.v1", orjson.dumps({"actor": {"id": "w-1", "role": "grid_worker"}}))
    sweep = sweeper(letters, LETTERS)
    assert await sweep.empty(LETTERS) == 0
    await letters.execute(SQL_LATER, 7 * 24)
    assert await sweep.empty(LETTERS) == 3
    rows = await left(letters)
    for one in (unnamed, broken, odd):
        assert WORDS not in repr([*rows[one].values()]).encode() and rows[one]["value"] is None
        assert (rows[one]["headers"], rows[one]["detail"], rows[one]["content"]) == (b"[]", "ValueError", "expired")
        assert (rows[one]["status"], rows[one]["code"]) == ("dead", "malformed_json")
    assert rows[unnamed]["key"] is None  # a company's key may be the rider's number
    assert rows[broken]["key"] == b"13900077123"  # the suite's own is an id, and parks its successors
    for one in (named, ours, nobodys, staffs):
        assert rows[one]["value"] is not None and rows[one]["content"] == "kept"
    async with letters.acquire() as conn:
        listed = await dead_letters.open_letters(conn, REPORTS)
    assert [(one.id, one.content) for one in listed] == [(unnamed, "expired"), (named, "kept")]
    assert await sweep.empty(LETTERS) == 0


async def test_they_are_kept_as_long_as_their_topic_keeps_them(letters: Pool) -> None:
    hours = {topic.name: topic.kept.whole_hours for topic in registry.topics()}
    reports = await bury(letters, REPORTS, b"{")
    riders = await bury(letters, RIDERS, b"{", key=b"")
    stands = {
        row["id"]: row["hours"]
        for row in await letters.fetch(
            "SELECT id, extract(epoch FROM content_until - created_at)::int / 3600 AS hours FROM dead_letters"
        )
    }
    assert stands == {
        reports: hours["inbound.{company}.reports.v1"], riders: hours["inbound.{company}.riders.v1"],
    }  # fmt: skip
    assert f"reports {stands[reports] // 24} days, riders {stands[riders] // 24} days" in LETTERS.kept


async def test_resolved_ones_are_emptied_too(letters: Pool) -> None:
    one = await bury(letters, REPORTS, b"{" + WORDS)
    await letters.execute("UPDATE dead_letters SET status = 'discarded', resolved_at = now()")
    await letters.execute(SQL_LATER, 7 * 24)
    await sweeper(letters, LETTERS).empty(LETTERS)
    assert (await left(letters))[one]["value"] is None


async def test_the_sweeper_does_it_by_itself(letters: Pool) -> None:
    one = await bury(letters, REPORTS, b"{" + WORDS)
    await letters.execute(SQL_LATER, 7 * 24)
    running = asyncio.create_task(sweeper(letters, *KIT_TABLES).run())
    try:
        async with asyncio.timeout(20):
            while (await left(letters))[one]["content"] == "kept":
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
    assert (await left(letters))[one]["value"] is None


async def test_the_sweeper_finds_them_by_their_own_index(letters: Pool) -> None:
    assert LETTERS.empty_sql is not None
    async with letters.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        statement = LETTERS.empty_sql.replace("$1::interval", "'0'::interval").replace("$2", "10")
        plan = await conn.fetch("EXPLAIN " + statement)
    assert "dead_letters_unnamed" in str(plan)


async def set_aside(pool: Pool, holds: Holds, topic: str, value: bytes, key: str) -> int:
    """As the relay does with an event that Kafka refuses; its id."""
    async with pool.acquire() as conn, conn.transaction():
        await insert_outbox(conn, [OutboxRow(new_id(), topic, key, 1, clock.now(), None, value)])
        row = await conn.fetchrow("SELECT * FROM outbox ORDER BY id DESC LIMIT 1")
        await holds.take(conn, [Refused(row, "too_large", WORDS.decode())], [])
    return int(row["id"])


@pytest.fixture
async def held(pool: Pool) -> AsyncIterator[Pool]:
    empty = "DELETE FROM outbox_held; DELETE FROM outbox_holds; DELETE FROM outbox"
    await pool.execute(empty)
    yield pool
    await pool.execute(empty)


async def test_so_does_what_kafka_refused_of_them_and_its_hold_ends(held: Pool) -> None:
    """What is about a letter is given up when the letter is emptied; what is an event itself stays and waits."""
    holds = Holds(1)
    named = orjson.dumps({"rider": "7", "text": WORDS.decode()})
    unnamed = await set_aside(held, holds, REPORTS + ".dlq", b"{not json " + WORDS, "13900077123")
    broken = await set_aside(held, holds, OWN + ".dlq", b"{not json " + WORDS, "a")
    of_a_letter = await set_aside(held, holds, REPORTS + ".dlq", named, "b")
    event = await set_aside(held, holds, OWN, b"{not json " + WORDS, "c")
    behind = await set_aside(held, holds, OWN + ".dlq", orjson.dumps({"rider_id": str(new_id())}), "a")
    await held.execute("UPDATE outbox_holds SET next_try_at = 'infinity'")
    sweep = sweeper(held, HELD)
    assert await sweep.empty(HELD) == 0
    await held.execute("UPDATE outbox_held SET content_until = content_until - make_interval(hours => $1)", 7 * 24)
    assert await sweep.empty(HELD) == 2
    assert await sweep.empty(HELD) == 0
    rows = {row["id"]: row for row in await held.fetch("SELECT * FROM outbox_held")}
    for one in (unnamed, broken):
        assert (rows[one]["payload"], rows[one]["key"], rows[one]["headers"]) == (b"", "", None)
        assert (rows[one]["discarded_by"], rows[one]["discarded_at"] is None) == ("sweeper", False)
    for one in (of_a_letter, event, behind):
        assert rows[one]["payload"] != b"" and rows[one]["discarded_at"] is None
    async with held.acquire() as conn:
        due = {hold.key: hold for hold in await holds.due(conn)}
        assert set(due) == {"13900077123", "a"}
        async with conn.transaction():
            for hold in due.values():
                await holds.settle(conn, hold, [], Sent())
        left = {row["key"] for row in await conn.fetch("SELECT key FROM outbox_holds")}
        assert left == {"a", "b", "c"}  # behind one something waits that names its rider, and is tried
        assert [row["id"] for row in await conn.fetch(SQL_HELD_ROWS, due["a"].id, 10, 1 << 20)] == [behind]


async def test_the_key_that_its_record_had_goes_with_the_rest(held: Pool) -> None:
    """A company's key may be the rider's number, in whatever bytes."""
    number = "13900077123".encode("utf-16")
    async with held.acquire() as conn, conn.transaction():
        row = OutboxRow(
            new_id(), REPORTS + ".dlq", "", 1, clock.now(), None, b"{" + WORDS, headers=b"[]", record_key=number
        )
        await insert_outbox(conn, [row])
        await Holds(1).take(conn, [Refused(await conn.fetchrow("SELECT * FROM outbox"), "too_large", "")], [])
    assert await held.fetchval("SELECT record_key FROM outbox_held") == number
    await held.execute("UPDATE outbox_held SET content_until = content_until - make_interval(hours => $1)", 7 * 24)
    assert await sweeper(held, HELD).empty(HELD) == 1
    assert tuple(await held.fetchrow("SELECT key, record_key, headers FROM outbox_held")) == ("", None, None)


async def test_a_discarded_one_is_emptied_too_and_keeps_its_reason(held: Pool) -> None:
    one = await set_aside(held, Holds(1), REPORTS + ".dlq", b"{" + WORDS, "k")
    await held.execute("UPDATE outbox_held SET discarded_at = now(), discarded_by = 'w', reason = 'r'")
    await held.execute("UPDATE outbox_held SET content_until = content_until - make_interval(hours => $1)", 7 * 24)
    assert await sweeper(held, HELD).empty(HELD) == 1
    row = await held.fetchrow("SELECT payload, discarded_by, reason FROM outbox_held WHERE id = $1", one)
    assert tuple(row) == (b"", "w", "r")


async def test_a_letter_without_content_names_its_rider_by_its_key(held: Pool) -> None:
    """Registrations have the company's number as their key, which is all that is left where the content has no room."""
    one = await set_aside(held, Holds(1), RIDERS + ".dlq", b"", "13900077123")
    assert await held.fetchval("SELECT riders FROM outbox_held WHERE id = $1", one) == [
        number_mark(COMPANY, "13900077123")
    ]
