"""Riders who left, in a service's own schema: letters, answers, late events, the second pass."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.events.personal import ERASED_WORDS, number_mark
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit.ids import new_id
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial, Status
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.work import Event, OutboxRow, Record, Work, begin, insert_outbox
from shared.kit.postgres.db import Connection, Pool
from shared.kit.privacy import erasure, letters_of_erased
from shared.kit.privacy.erasure import Erasure, Leaver
from shared.kit.publishing.holds import Holds
from shared.kit.publishing.sending import Refused

PoolFor = Callable[[str], Awaitable[Pool]]
NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
ROOMY = Bounds(1 << 40, 1 << 30)
WORDS = "金丝雀看见的"


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    """Routing's schema: any would do."""
    return await pool_for("routing")


def report(rider: UUID, **changes: Any) -> dict[str, Any]:
    return {
        "report_id": str(new_id()), "rider_id": str(rider), "company": "suda", "external_id": "n-1",
        "kind": "part-01001", "level": "hazard", "lng": 120.1234567, "lat": 30.7654321, "accuracy_m": 5.0,
        "text": WORDS, "photos": [], "occurred_at": NOW.isoformat(), "received_at": NOW.isoformat(), **changes,
    }  # fmt: skip


def step(rider: UUID, note: str) -> dict[str, Any]:
    return {"case_id": str(new_id()), "note": note, "actor": {"id": str(rider), "name": "", "role": "rider"}}


async def bury(pool: Pool, topic: str, body: Any, status: Status = "dead") -> int:
    value = body if isinstance(body, bytes) else orjson.dumps(body)
    record = Record(topic, 0, new_id().int % 2**62, b"key", value, (("ce_id", b"x"),))
    async with pool.acquire() as conn:
        burial = Burial(record, None, status, "handler_failed", f"ValueError: {WORDS}", 1)
        await dead_letters.bury(conn, [burial], consumer="routing", now=NOW, bounds=ROOMY)
        found: int = await conn.fetchval("SELECT max(id) FROM dead_letters")
    return found


async def nothing(_conn: Connection, _leavers: Sequence[Leaver]) -> None:
    """A service without tables of its own."""


async def erase(pool: Pool, rider: UUID, number: str = "none") -> None:
    async with pool.acquire() as conn, conn.transaction():
        await Erasure(lambda: pool, 60.0, nothing, None).take(conn, [Leaver(rider, number, NOW)])


async def test_letters_lose_what_the_rider_said_and_nobody_elses_do(pool: Pool) -> None:
    rider, other = new_id(), new_id()
    mark = number_mark("suda", "13900077123")
    ours = await bury(pool, "intake.report-received.v1", report(rider))
    theirs = await bury(pool, "intake.report-received.v1", report(other))
    said = await bury(pool, "cases.case-changed.v1", step(rider, WORDS))
    sent = await bury(pool, "inbound.suda.reports.v1", {"rider": "13900077123", "text": WORDS}, "rejected")
    named = await bury(pool, "inbound.suda.riders.v1", {"external_id": "13900077123", "name": WORDS}, "rejected")
    foreign = await bury(pool, "inbound.other.reports.v1", {"rider": "13900077123", "text": WORDS}, "rejected")
    broken = await bury(pool, "intake.report-received.v1", b"{not json")
    await erase(pool, rider, mark)
    rows = {row["id"]: row for row in await pool.fetch("SELECT * FROM dead_letters")}
    left = orjson.loads(rows[ours]["value"])
    assert (left["text"], left["external_id"], left["lng"], left["lat"]) == ("", "erased", 120.1235, 30.7654)
    assert (rows[ours]["status"], rows[ours]["detail"]) == ("dead", "ValueError")
    assert ReportReceived.model_validate(left).rider_id == rider  # it can still be replayed: the thing is there
    assert orjson.loads(rows[said]["value"])["note"] == ERASED_WORDS
    for one in (sent, named):
        assert (rows[one]["value"], rows[one]["key"], rows[one]["status"]) == (None, None, "discarded")
    for one in (theirs, foreign):
        assert WORDS.encode() in rows[one]["value"] and rows[one]["status"] in ("dead", "rejected")
    assert rows[broken]["value"] == b"{not json"


ODD = {
    "structured": {"specversion": "1.0", "data": {"rider": "can1", "text": WORDS}},
    "base64": {"data_base64": base64.b64encode(orjson.dumps({"rider": "can1", "text": WORDS})).decode()},
    "full width": {"rider": "ｃａｎ１", "text": WORDS},
    "space": {"rider": "can1 ", "text": WORDS},
    "unseen": {"rider": "ca\u200bn1", "text": WORDS},
    "list": {"rider": ["can1"], "text": WORDS},
    "surrogate": b'{"rider": "can1\\ud800", "text": "x"}',
    "not a number": b'{"rider": "can1", "lng": NaN}',
    "mark of order": b"\xef\xbb\xbf" + orjson.dumps({"rider": "can1"}),
    "two bytes": '{"rider": "can1"}'.encode("utf-16"),
    "cut": b'{"rider": "can1", "text": "\xe9\x87',
    "twice": b'{"rider": "can1", "rider": "else"}',
}  # fmt: skip


@pytest.mark.parametrize("form", ODD)
async def test_letters_of_odd_form_go_too(pool: Pool, form: str) -> None:
    """What the suite refuses for its form names its rider all the same, and a rider of another name stays."""
    topic, number = "inbound.suda.reports.v1", "can1"
    before = await bury(pool, topic, ODD[form], "rejected")
    other = await bury(pool, topic, {"data": {"rider": "can11"}}, "rejected")
    await erase(pool, new_id(), number_mark("suda", number))
    after = await bury(pool, topic, ODD[form])  # it comes once more
    rows = {row["id"]: row for row in await pool.fetch("SELECT * FROM dead_letters")}
    for one in (before, after):
        assert (rows[one]["value"], rows[one]["key"]) == (None, None)
        assert WORDS not in rows[one]["detail"]
    assert rows[other]["value"] is not None
    await pool.execute("DELETE FROM erased_riders WHERE number = $1", number_mark("suda", number))


async def test_letters_are_found_by_their_index(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        await conn.execute("SET LOCAL enable_indexscan = off")
        plan = await conn.fetch("EXPLAIN " + letters_of_erased.SQL_LETTERS_OF.replace("$1", "ARRAY['x']"))
    assert "dead_letters_of_riders" in str(plan)


async def set_aside(pool: Pool, topic: str, body: dict[str, Any], key: str = "key") -> int:
    """As the relay does with an event that Kafka refuses; its id."""
    async with pool.acquire() as conn, conn.transaction():
        await insert_outbox(conn, [OutboxRow(new_id(), topic, key, 1, NOW, None, orjson.dumps(body))])
        row = await conn.fetchrow("SELECT * FROM outbox ORDER BY id DESC LIMIT 1")
        await Holds(3).take(conn, [Refused(row, "too_large", "as large as that")], [])
    assert not await pool.fetchval("SELECT count(*) FROM outbox WHERE id = $1", row["id"])
    return int(row["id"])


async def test_held_events_lose_what_the_rider_said_before_and_after(pool: Pool) -> None:
    rider, other, number = new_id(), new_id(), "13900077124"
    mark = number_mark("suda", number)
    sent, registered = {"rider": number, "text": WORDS}, {"external_id": number, "name": WORDS}

    async def all_of_them() -> list[int]:
        return [
            await set_aside(pool, "intake.report-received.v1", report(rider)),
            await set_aside(pool, "cases.case-changed.v1", step(rider, WORDS)),
            await set_aside(pool, "inbound.suda.reports.v1.dlq", sent, "n-1"),
            await set_aside(pool, "inbound.suda.riders.v1.dlq", registered, number),
            await set_aside(pool, "intake.report-received.v1.dlq", report(rider)),
        ]

    theirs = await set_aside(pool, "intake.report-received.v1", report(other))
    foreign = await set_aside(pool, "inbound.other.reports.v1.dlq", sent)
    before = await all_of_them()
    await pool.execute("UPDATE outbox_holds SET next_try_at = 'infinity'")
    await erase(pool, rider, mark)
    due = await pool.fetch("SELECT topic FROM outbox_holds WHERE next_try_at <= now() ORDER BY topic")
    assert [row["topic"] for row in due] == [
        "inbound.suda.reports.v1.dlq", "inbound.suda.riders.v1.dlq", "intake.report-received.v1.dlq"
    ]  # fmt: skip
    after = await all_of_them()  # they were in the outbox while the rider was forgotten, and Kafka refuses them now
    rows = {row["id"]: row for row in await pool.fetch("SELECT * FROM outbox_held")}
    assert WORDS.encode() in rows[theirs]["payload"] and WORDS.encode() in rows[foreign]["payload"]
    for received, said, *letters in (before, after):
        left = orjson.loads(rows[received]["payload"])
        assert (left["text"], left["external_id"], left["lng"]) == ("", "erased", 120.1235)
        assert ReportReceived.model_validate(left).rider_id == rider  # it can still leave: the thing is there
        assert orjson.loads(rows[said]["payload"])["note"] == ERASED_WORDS
        assert rows[received]["discarded_at"] is rows[said]["discarded_at"] is None
        for one in letters:
            assert (rows[one]["payload"], rows[one]["key"], rows[one]["discarded_by"]) == (b"", "", "erasure")
    await pool.execute("DELETE FROM outbox_held")
    await pool.execute("DELETE FROM outbox_holds")


async def test_late_events_lose_their_words_before_a_handler_sees_them(pool: Pool) -> None:
    rider, other = new_id(), new_id()
    await erase(pool, rider)
    seen: list[Event[Any]] = []

    async def handler(_work: Work, events: Sequence[Event[Any]]) -> None:
        seen.extend(events)

    events = [
        Event(new_id(), ReportReceived.model_validate(report(one)), "k", 1, NOW, Record("t", 0, 0, None, b"", ()))
        for one in (rider, other)
    ]
    async with pool.acquire() as conn, conn.transaction():
        await letters_of_erased.guarding(REPORT_RECEIVED, handler)(await begin(conn), events)
    assert [(event.data.rider_id, event.data.text, event.data.lng) for event in seen] == [
        (rider, "", 120.1235),
        (other, WORDS, 120.1234567),
    ]


async def test_the_second_pass_finds_what_was_written_meanwhile_and_waits_for_what_lies_outside(pool: Pool) -> None:
    rider = new_id()
    passes: list[UUID] = []
    outside = [False, True]

    async def forget(_conn: Connection, leavers: Sequence[Leaver]) -> None:
        passes.extend(one.rider_id for one in leavers if one.rider_id == rider)

    async def finish(_leavers: Sequence[Leaver]) -> set[UUID]:
        return set() if outside.pop(0) else {rider}

    patient = Erasure(lambda: pool, 60.0, forget, finish)
    async with pool.acquire() as conn, conn.transaction():
        await patient.take(conn, [Leaver(rider, "n", NOW)])
    late = await bury(pool, "intake.report-received.v1", report(rider))
    assert await patient.settle() == 0  # a transaction that began before may still be running
    await pool.execute("UPDATE erased_riders SET done_at = now() WHERE done_at IS NULL AND rider_id <> $1", rider)
    await pool.execute("UPDATE erased_riders SET heard_at = heard_at - interval '1 minute' WHERE rider_id = $1", rider)
    assert await patient.settle() == 0  # the object store was away
    async with pool.acquire() as conn:
        state = await erasure.state_of(conn, rider)
    assert state is not None and state.done_at is None
    assert await patient.settle() == 0 and outside  # it is left alone for a while
    await pool.execute("UPDATE erased_riders SET next_try_at = now() WHERE rider_id = $1", rider)
    assert await patient.settle() == 1
    assert await patient.settle() == 0
    assert passes == [rider] * 3
    assert WORDS.encode() not in await pool.fetchval("SELECT value FROM dead_letters WHERE id = $1", late)
    async with pool.acquire() as conn:
        state = await erasure.state_of(conn, rider)
    assert state is not None and state.done_at is not None


async def test_riders_of_whom_something_is_left_hold_up_nobody(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROWS_PER_PASS", 2)
    stuck, free = {new_id() for _ in range(3)}, {new_id() for _ in range(2)}
    await pool.execute("UPDATE erased_riders SET done_at = now() WHERE done_at IS NULL")

    async def finish(leavers: Sequence[Leaver]) -> set[UUID]:
        return {one.rider_id for one in leavers} & stuck

    patient = Erasure(lambda: pool, 0.0, nothing, finish)
    for rider in (*stuck, *free):
        async with pool.acquire() as conn, conn.transaction():
            await patient.take(conn, [Leaver(rider, "n", NOW)])
    assert sum([await patient.settle() for _ in range(3)]) == 2
    done = await pool.fetch("SELECT rider_id FROM erased_riders WHERE done_at IS NOT NULL")
    assert {row["rider_id"] for row in done} & (stuck | free) == free
    await pool.execute("DELETE FROM erased_riders WHERE rider_id = ANY($1::uuid[])", list(stuck))
