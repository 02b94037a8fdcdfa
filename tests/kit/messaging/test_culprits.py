"""Batches that look small and aren't, and those whose reading raises: each is a dead letter, and nobody else waits."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.record.default_records import DefaultRecordBatch

from shared.devtools.installation import ROOT
from shared.kit import clock
from shared.kit.consuming import fetching, record_sets
from shared.provision.postgres import app_role
from tests.kit.messaging import strangers, test_strangers
from tests.kit.messaging.strangers import inbound, producer, send_batch, submission
from tests.kit.messaging.test_strangers import GOOD, OTHER, STRANGER, Door, smallest_pod_bytes, until_settled

door = test_strangers.door
MARK = b"nobody can read this"


@contextlib.asynccontextmanager
async def small_pod(door: Door) -> AsyncIterator[tuple[Any, list[int]]]:
    """Intake's door in a process with the memory of the smallest pod: a connection, and at the end its peak in KiB."""
    peak_kib: list[int] = []
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.messaging.bombed", str(smallest_pod_bytes()),
        cwd=ROOT, env={**os.environ, **door.installation.environment("intake")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    conn = await asyncpg.connect(door.installation.dsn("intake", app_role))
    try:
        yield conn, peak_kib
    finally:
        await conn.close()
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        said = (await child.stdout.read()).split()
        status = await child.wait()
    assert status == 0
    peak_kib.append(int(said[-1]))


async def test_few_bytes_become_few_objects(door: Door) -> None:
    """Four million headers in 831 bytes; a million of Snappy's blocks with nothing in them; 200,000 records of `{}`."""
    topic = inbound(door.installation, STRANGER)
    many = strangers.numbered([b"{}"] * 200_000, range(200_000))
    batches = [
        strangers.headed(4, submission(1), 4_000_000),
        strangers.hollow(submission(3)),
        many,
    ]
    assert len(batches[0]) < 1_500
    culprits = set()
    async with producer(door.installation, door.settings, request_timeout_ms=120_000) as by:
        for partition, batch in enumerate(batches):
            culprits.add((partition, await send_batch(by, topic, partition, batch)))
            await by.send_and_wait(topic, submission(30_000 + partition), partition=partition)
    await door.other_sends()
    async with small_pod(door) as (conn, peak_kib):
        await until_settled(conn, GOOD + len(batches), len(culprits))
        letters = await conn.fetch("SELECT partition, record_offset, code, detail FROM dead_letters")
    assert {(row["partition"], row["record_offset"]) for row in letters} == culprits
    assert peak_kib[0] * 1024 < smallest_pod_bytes()


async def test_a_batch_whose_reading_raises_is_one_dead_letter_and_nobody_waits(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the reader. What stands before and behind the batch takes effect, in its partition too."""
    read = DefaultRecordBatch

    def failing(raw: Any) -> Any:
        if MARK in bytes(raw):
            raise RuntimeError("a fault of the reader's")
        return read(raw)

    monkeypatch.setattr(record_sets, "DefaultRecordBatch", failing)
    topic, culprits = inbound(door.installation, STRANGER), set()
    async with producer(door.installation, door.settings) as by:
        for partition in range(3):
            await by.send_and_wait(topic, submission(10_000 + partition), partition=partition)
            batch = strangers.numbered([submission(1), MARK, submission(2)], range(3))
            culprits.add((partition, await send_batch(by, topic, partition, batch)))
            await by.send_and_wait(topic, submission(20_000 + partition), partition=partition)
    await door.other_sends()
    async with door.open() as service:
        took_s = await until_settled(service.pool, GOOD + 6, len(culprits))
        letters = await service.pool.fetch("SELECT partition, record_offset, code, detail FROM dead_letters")
        consumer = service.consumers[test_strangers.INBOUND_REPORTS.name]
        assert consumer.fetching._failures == 0
        for _ in range(100):
            if await consumer.measure() == 0:
                break
            await asyncio.sleep(0.05)
        assert await consumer.measure() == 0
    assert {(row["partition"], row["record_offset"]) for row in letters} == culprits
    assert {row["code"] for row in letters} == {"unreadable_batch"}
    assert all("batch of 3 records" in row["detail"] and "RuntimeError" in row["detail"] for row in letters)
    assert took_s < 5


async def test_a_partition_that_can_not_be_fetched_holds_up_no_other(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a topic that one may not read any more. It is tried again, and nothing of it is passed."""
    topic, take, forbidden = inbound(door.installation, STRANGER), FetchResult.getall, True

    def failing(self: Any, max_records: int | None = None) -> Any:
        if forbidden and self._topic_partition.topic == topic:
            raise TopicAuthorizationFailedError(topic)
        return take(self, max_records)

    monkeypatch.setattr(FetchResult, "getall", failing)
    monkeypatch.setattr(fetching, "PAUSE_MOST_S", 1.0)
    async with producer(door.installation, door.settings) as by:
        for partition in range(6):
            await by.send_and_wait(topic, submission(10_000 + partition), partition=partition)
    await door.other_sends()
    async with door.open() as service:
        await until_settled(service.pool, GOOD, 0)
        # from here on nobody else waits at all
        for number in range(5):
            began_s = clock.monotonic_s()
            async with producer(door.installation, door.settings) as by:
                await by.send_and_wait(inbound(door.installation, OTHER), submission(5_000 + number), partition=1)
            await until_settled(service.pool, GOOD + 1 + number, 0)
            assert clock.monotonic_s() - began_s < 5
            assert service.consumers[test_strangers.INBOUND_REPORTS.name].fetching._failures == 0
        forbidden = False
        await until_settled(service.pool, GOOD + 5 + 6, 0)


async def test_a_consumer_whose_fetching_has_ended_begins_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka asks nobody about the task that fetches for it; a consumer without one hears nothing, for ever."""
    failures, fetch = 0, Fetcher._proc_fetch_request

    async def failing(self: Any, assignment: Any, node_id: int, request: Any) -> Any:
        nonlocal failures
        found = await fetch(self, assignment, node_id, request)
        if self._records and failures < 3:
            failures += 1
            raise RuntimeError("a fault of the fetcher's")
        return found

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", failing)
    await door.other_sends()
    async with door.open() as service:
        await asyncio.wait_for(until_settled(service.pool, GOOD, 0), 30)
    assert failures == 3
