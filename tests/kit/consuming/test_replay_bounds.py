"""What one click of an operator's loads: never all that a company has put under one key. Real Postgres."""

import os
import secrets
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import pytest

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit import clock
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.consuming.decode import Decoder
from shared.kit.consuming.replay import Replayer
from shared.kit.ids import new_id
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial, Locked, Status, pages
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.work import Event, Record, Work
from shared.kit.postgres.db import Pool

LETTERS, VALUE_BYTES = 60, 250_000
BOUNDS = Bounds(bytes_max=100_000_000, rows_max=10_000)
SUBMISSION = (
    b'{"external_id": "%d", "rider": "7", "kind": "part-01001", "occurred_at": "2018-05-01T12:00:00+08:00",'
    b' "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"}}'
)


@dataclass
class Hearing:
    """As much of a consumer as a replay needs; what came to its handler, by the call."""

    topic: Any
    decoder: Decoder
    calls: list[list[Event[Any]]] = field(default_factory=list)

    async def handler(self, work: Work, events: Sequence[Event[Any]]) -> None:
        self.calls.append(list(events))
        for event in events:
            if isinstance(event.data, ReportReceived):
                work.publish(REPORT_RECEIVED, event.data, version=event.version)


@pytest.fixture
def reports() -> Hearing:
    return Hearing(INBOUND_REPORTS, Decoder(INBOUND_REPORTS, ""))


@pytest.fixture
def received() -> Hearing:
    return Hearing(REPORT_RECEIVED, Decoder(REPORT_RECEIVED, ""))


@pytest.fixture
async def replayer(pool: Pool, reports: Hearing, received: Hearing) -> Replayer:
    await pool.execute("DELETE FROM dead_letters")
    await pool.execute("DELETE FROM parked_keys")
    await pool.execute("DELETE FROM outbox")
    consumers = {"reports": cast(TopicConsumer, reports), "received": cast(TopicConsumer, received)}
    return Replayer(pool, consumers)


async def bury(pool: Pool, records: Sequence[Record], statuses: Sequence[Status] = ()) -> list[int]:
    """Letters of the records, oldest first; their ids."""
    of_each = statuses or ["dead"] * len(records)
    burials = [Burial(one, None, status, "x", "y", 1) for one, status in zip(records, of_each, strict=True)]
    async with pool.acquire() as conn, conn.transaction():
        await dead_letters.bury(conn, burials, consumer="routing", now=clock.now(), bounds=BOUNDS)
    return [row["id"] for row in await pool.fetch("SELECT id FROM dead_letters ORDER BY id")]


def of_company(count: int, padding: int = 0) -> list[Record]:
    """Reports of one company, each under its number."""
    topic = f"inbound.c{secrets.token_hex(4)}.reports.v1"
    return [Record(topic, 0, n, b"%d" % n, SUBMISSION % n + b" " * padding, (), 1) for n in range(count)]


def own(count: int, padding: int = 0) -> list[Record]:
    """One report's events, one behind the other."""
    report_id, now = new_id(), clock.now()
    body = ReportReceived(
        report_id=report_id, rider_id=new_id(), company="sf", external_id="1", kind="part-01001", level="hazard",
        lng=120.3, lat=30.3, accuracy_m=10, text="", occurred_at=now, received_at=now,
    )  # fmt: skip
    value = body.model_dump_json().encode() + b" " * padding
    return [
        Record(REPORT_RECEIVED.name, 0, n, str(report_id).encode(), value, headers_of(new_id(), report_id, n + 1), 1)
        for n in range(count)
    ]


def headers_of(event_id: UUID, report_id: UUID, version: int) -> tuple[tuple[str, bytes | None], ...]:
    return (
        ("ce_specversion", b"1.0"), ("ce_id", str(event_id).encode()), ("ce_source", b"/intake"),
        ("ce_type", REPORT_RECEIVED.name.encode()), ("ce_time", clock.now().isoformat().encode()),
        ("ce_subject", str(report_id).encode()), ("ce_aggregateversion", b"%d" % version),
    )  # fmt: skip


async def peak_of_discarding(replayer: Replayer, ids: Sequence[int]) -> int:
    tracemalloc.start()
    try:
        assert await replayer.discard(ids, by="test", reason="over") == len(ids)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("family", [of_company, own])
async def test_discarding_one_of_many_letters_of_a_key_loads_none(family: Any, replayer: Replayer, pool: Pool) -> None:
    ids = await bury(pool, family(LETTERS, VALUE_BYTES - 1_000))
    assert await peak_of_discarding(replayer, ids[:1]) < 2 * VALUE_BYTES
    assert await peak_of_discarding(replayer, ids[1:40]) < 2 * VALUE_BYTES
    left = await pool.fetch("SELECT id FROM dead_letters WHERE status = 'dead' ORDER BY id")
    assert [row["id"] for row in left] == ids[40:]


async def test_where_a_key_means_no_order_a_letter_is_replayed_alone(
    replayer: Replayer, reports: Hearing, pool: Pool
) -> None:
    ids = await bury(pool, of_company(5))
    [outcome] = await replayer.replay(None, [ids[3]], by="test", reason="one")
    assert (outcome.ids, outcome.done, outcome.key) == ((ids[3],), True, "3")
    assert [[event.data.external_id for event in call] for call in reports.calls] == [["3"]]
    outcomes = await replayer.replay(None, None, by="test", reason="all")
    assert [one.ids for one in outcomes] == [(ids[0],), (ids[1],), (ids[2],), (ids[4],)]
    assert all(one.done for one in outcomes)


async def test_an_ordered_key_is_replayed_whole_and_in_order_some_of_it_at_a_time(
    replayer: Replayer, received: Hearing, pool: Pool
) -> None:
    ids = await bury(pool, own(LETTERS, VALUE_BYTES - 1_000))
    [outcome] = await replayer.replay(None, ids[5:6], by="test", reason="all of it")
    assert (outcome.ids, outcome.done) == (tuple(ids), True), outcome.detail
    assert [event.version for call in received.calls for event in call] == list(range(1, LETTERS + 1))
    held = [sum(len(event.record.value or b"") for event in call) for call in received.calls]
    assert len(held) > 1
    assert max(held) <= dead_letters.PAGE_BYTES_MAX
    versions = [row["version"] for row in await pool.fetch("SELECT version FROM outbox ORDER BY id")]
    assert versions == list(range(1, LETTERS + 1))


async def test_one_that_fails_on_a_later_page_leaves_the_whole_key_open(
    replayer: Replayer, received: Hearing, pool: Pool
) -> None:
    records = own(LETTERS, VALUE_BYTES - 1_000)
    records[-1].value = b"{"
    ids = await bury(pool, records)
    [outcome] = await replayer.replay(None, None, by="test", reason="all of it")
    assert (outcome.ids, outcome.done) == (tuple(ids), False)
    assert received.calls
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await pool.fetchval("SELECT count(*) FROM dead_letters WHERE status = 'dead'") == LETTERS


async def test_discarding_unparks_a_key_when_nothing_waits_behind_it(replayer: Replayer, pool: Pool) -> None:
    records = own(3)
    ids = await bury(pool, records, ("dead", "parked", "parked"))
    async with pool.acquire() as conn, conn.transaction():
        await dead_letters.park(conn, REPORT_RECEIVED.name, [records[0].key or b""], clock.now())
    await replayer.discard(ids[:1], by="test", reason="over")
    assert await pool.fetchval("SELECT count(*) FROM parked_keys") == 1
    assert await replayer.discard([*ids, ids[0]], by="test", reason="over") == 2
    assert await pool.fetchval("SELECT count(*) FROM parked_keys") == 0


async def test_a_page_of_letters_shows_the_beginning_of_a_key(replayer: Replayer, pool: Pool) -> None:
    records = [Record("inbound.suda.reports.v1", 0, n, os.urandom(100_000), b"{", (), 1) for n in range(20)]
    await bury(pool, records)
    async with pool.acquire() as conn:
        listed = await dead_letters.open_letters(conn)
        first = await dead_letters.open_letter(conn, listed[0].id)
    assert [one.record.key for one in listed] == [(one.key or b"")[:200] for one in records]
    assert first is not None
    assert first.record.key == records[0].key
    [outcome] = await replayer.replay(None, [listed[0].id], by="test", reason="one")
    assert len(outcome.key) <= 200


def test_pages_are_bounded_and_lose_nothing() -> None:
    letters = [Locked(n, "kept", size) for n, size in enumerate([5, 5, 20, 1, 9, 1])]
    assert list(pages(letters, 10)) == [[0, 1], [2], [3, 4], [5]]
    assert list(pages([], 10)) == []
