"""What one company sends, whatever it is, never costs another company's records."""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaError

from shared.devtools.installation import ROOT, Installation
from shared.events import registry
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit import clock, metrics
from shared.kit.consuming.shares import ROOM, Answer
from shared.kit.messaging.work import Event, Work
from shared.kit.refusals import Problem
from shared.kit.service import Service
from shared.kit.settings import KitSettings
from shared.provision.postgres import app_role, owner_role
from shared.provision.services import about
from shared.provision.topology import provision_company
from tests.full import FULL
from tests.kit.messaging import strangers
from tests.kit.messaging.conftest import SETTLE_S, running
from tests.kit.messaging.strangers import inbound, producer, send_batch, submission
from tests.support import settings_of, until

KIND_UNKNOWN = Problem("kind_unknown", 422, "不收", "Not taken", "改用其他内容。", "Send something else.")

STRANGER, OTHER = "suda", "meida"
GOOD = 1_000


@dataclass
class Door:
    """Intake's door for companies, with a handler of the test's own."""

    installation: Installation
    settings: KitSettings
    pause_s: float = 0.0
    refuses: bool = True

    async def handle(self, work: Work, events: Sequence[Event[Any]]) -> None:
        for event in events:
            if event.data.text == "unknown" and self.refuses:
                work.reject(event, KIND_UNKNOWN("the test refuses it"))
        refused = {id(rejection.record) for rejection in work.rejections}
        events = [event for event in events if id(event.record) not in refused]
        rows = [(f"{event.company} {event.key}",) for event in events]
        await work.conn.copy_records_to_table("effects", records=rows, columns=("key",))
        await asyncio.sleep(self.pause_s)

    @contextlib.asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[Service]:
        service = Service("intake", settings_of(self.installation, "intake", **changes), title="door")
        service.consumes(INBOUND_REPORTS, lambda work, events: self.handle(work, events))
        async with running(service):
            yield service

    async def other_sends(self) -> None:
        """A thousand good records of another company, over all its partitions."""
        async with producer(self.installation, self.settings, linger_ms=5) as by:
            sent = [
                await by.send(inbound(self.installation, OTHER), submission(number), key=f"r-{number}".encode())
                for number in range(GOOD)
            ]
            await asyncio.gather(*sent)


@pytest.fixture
async def door(own_installation: Installation) -> Door:
    for company in (STRANGER, OTHER):
        await asyncio.to_thread(provision_company, own_installation.cluster, company, "not used here")
    owner = await asyncpg.connect(own_installation.dsn("intake", owner_role))
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS effects (id bigint GENERATED ALWAYS AS IDENTITY, key text);"
        "TRUNCATE effects RESTART IDENTITY; TRUNCATE inbox, outbox, dead_letters, dead_letter_ranges, parked_keys;"
        "TRUNCATE letter_allowances"
    )
    await owner.close()
    return Door(own_installation, settings_of(own_installation, "intake"))


async def until_settled(conn: Any, effects: int, letters: int) -> float:
    """Wait for so many; how long it took."""
    began_s, wanted = clock.monotonic_s(), (effects, letters)

    async def settled() -> tuple[int, int]:
        query = "SELECT (SELECT count(*) FROM effects) AS effects, (SELECT count(*) FROM dead_letters) AS letters"
        row = await conn.fetchrow(query)
        return row["effects"], row["letters"]

    await until(settled, f"{wanted=}", SETTLE_S, good=lambda found: found >= wanted and found[1] >= letters)
    return clock.monotonic_s() - began_s


async def test_every_codec_and_every_broken_batch_costs_nobody_a_record(door: Door) -> None:
    topic = inbound(door.installation, STRANGER)
    number = iter(range(10_000, 20_000))
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        async with producer(door.installation, door.settings, compression_type=codec, linger_ms=20) as by:
            sent = [await by.send(topic, submission(next(number)), partition=i % 6) for i in range(30)]
            await asyncio.gather(*sent)
    culprits = await strangers.broken_batches(door.installation, door.settings, topic, number)
    await door.other_sends()
    async with door.open() as service:
        took_s = await until_settled(service.pool, GOOD + 4 * 30 + 2 + 4, len(culprits))
        keys = [row["key"] for row in await service.pool.fetch("SELECT key FROM effects")]
        letters = await service.pool.fetch("SELECT partition, record_offset, code, detail, value FROM dead_letters")
        assert len([key for key in keys if key.startswith(OTHER)]) == GOOD
        assert len(set(keys)) == len(keys) == GOOD + 4 * 30 + 2 + 4
        assert {(row["partition"], row["record_offset"]): row["code"] for row in letters} == culprits
        assert all(row["value"] for row in letters)
        assert took_s < 10
        consumer = service.consumers[INBOUND_REPORTS.name]
        # a batch that can't be read is passed as a whole: nothing waits behind its first offset
        for _ in range(100):
            if await consumer.measure() == 0:
                break
            await asyncio.sleep(0.05)
        assert await consumer.measure() == 0


async def test_records_that_say_offsets_of_others_are_dead_letters_in_their_places(door: Door) -> None:
    """Aiokafka passes them by without a word, and what follows one from far above too."""
    topic, number = inbound(door.installation, STRANGER), iter(range(50_000, 60_000))
    far = [*range(450), 1 << 30, *range(451, 900)]
    kinds = [([0, 0, 0, 0, 0], {1, 2, 3, 4}), ([0, 1, -50, 3], {2}), ([0, 3, 1, 2, 4], {1, 2, 3}), (far, {450})]
    displaced, good = set(), 0
    async with producer(door.installation, door.settings) as by:
        for partition, (offsets, wrong) in enumerate(kinds):
            batch = strangers.numbered([submission(next(number)) for _ in offsets], offsets)
            first = await send_batch(by, topic, partition, batch)
            await by.send_and_wait(topic, submission(next(number)), partition=partition)
            displaced |= {(partition, first + one) for one in wrong}
            good += len(offsets) - len(wrong) + 1
    async with door.open() as service:
        await until_settled(service.pool, good, len(displaced))
        letters = await service.pool.fetch("SELECT partition, record_offset, code, value FROM dead_letters")
        assert await service.pool.fetchval("SELECT count(DISTINCT key) FROM effects") == good
    assert {(row["partition"], row["record_offset"]) for row in letters} == displaced
    assert {row["code"] for row in letters} == {"offset"}
    assert all(row["value"].startswith(b'{"external_id"') for row in letters)


async def test_reports_from_one_template_are_no_bomb(door: Door) -> None:
    """They shrink more than a hundredfold, as a plain client packs them; many such batches come in turns."""
    topic, text, each, batches = inbound(door.installation, STRANGER), "x" * 1_850, 300, 24
    numbers = iter(range(60_000, 70_000))
    async with producer(door.installation, door.settings, compression_type="zstd", max_batch_size=1 << 20) as by:
        for _ in range(batches):
            made = by.create_batch()
            for _ in range(each):
                assert made.append(timestamp=None, key=None, value=submission(next(numbers), text)) is not None
            await (await by.send_batch(made, topic, partition=0))
    async with door.open() as service:
        await until_settled(service.pool, batches * each, 0)
        assert await service.pool.fetchval("SELECT count(DISTINCT key) FROM effects") == batches * each
        assert await service.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_company_that_sends_only_poison_stays_within_its_bounds_and_may_send_again(door: Door) -> None:
    """Some can't be read, some are refused; what is left out of the letters took no effect, and its id is free."""
    topic, poison, refused = inbound(door.installation, STRANGER), 3_000, 40
    sent_again = [("ce_id", b"left-out-once"), ("ce_source", b"/suda"), ("ce_specversion", b"1.0")]
    async with producer(door.installation, door.settings, linger_ms=20) as by:
        sent = [await by.send(topic, b"{" + os.urandom(1_000), partition=n % 6) for n in range(poison)]
        await asyncio.gather(*sent)
        for number in range(refused):
            await by.send(topic, submission(80_000 + number, "unknown"), partition=0)
        last = await by.send_and_wait(topic, submission(90_000, "unknown"), partition=0, headers=sent_again)
    await door.other_sends()
    bounds = {"letter_bytes_max": 100_000, "letter_rows_max": 500}
    async with door.open(**bounds) as service:
        await until_settled(service.pool, GOOD, 500)
        ranges = "SELECT coalesce(sum(records), 0)::bigint FROM dead_letter_ranges"
        for _ in range(100):
            if await service.pool.fetchval(ranges) >= poison + refused + 1 - 500:
                break
            await asyncio.sleep(0.05)
        assert await service.pool.fetchval("SELECT count(*) FROM dead_letters") == 500
        assert await service.pool.fetchval(ranges) == poison + refused + 1 - 500
        place = await service.pool.fetchrow("SELECT * FROM dead_letter_ranges WHERE partition = 0")
        assert place["last_offset"] == last.offset
        kept = await service.pool.fetchval("SELECT count(*) FROM dead_letters WHERE content = 'kept'")
        assert 0 < kept < 100
        [one] = await service.pool.fetch("SELECT id FROM dead_letters WHERE content = 'left_out' LIMIT 1")
        [outcome] = await service.replayer.replay(None, [one["id"]], by="test", reason="try")
        assert not outcome.done and "no content" in outcome.detail
        door.refuses = False
        async with producer(door.installation, door.settings) as by:
            await by.send_and_wait(topic, submission(90_000, "unknown"), partition=0, headers=sent_again)
        await until_settled(service.pool, GOOD + 1, 500)


def smallest_pod_bytes() -> int:
    """The least memory that a pod has which reads companies' topics, on Kubernetes."""
    readers = {service for topic in registry.inbound_topics() for service in topic.consumers}
    return min(about(service).size.memory_mi for service in readers) * 1024 * 1024


async def test_bombs_stay_below_the_pods_limit_and_the_others_go_on(door: Door) -> None:
    """Each unpacks to twice what the pod has, but snappy's, which can't grow so far in a batch that Kafka takes."""
    topic, limit = inbound(door.installation, STRANGER), smallest_pod_bytes()
    more = 2 * limit
    largest = 5_000_000_000 if FULL else more
    culprits = set()
    async with producer(door.installation, door.settings, request_timeout_ms=120_000) as by:
        for partition, (codec, unpacked) in enumerate([(1, largest), (2, 100 << 20), (3, more), (4, largest)]):
            culprits.add((partition, await send_batch(by, topic, partition, strangers.bomb(codec, unpacked))))
            await by.send_and_wait(topic, submission(30_000 + partition), partition=partition)
    await door.other_sends()
    environment = {**os.environ, **door.installation.environment("intake")}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.messaging.bombed", str(limit),
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    conn = await asyncpg.connect(door.installation.dsn("intake", app_role))
    try:
        await until_settled(conn, GOOD + 4, 4)
        letters = await conn.fetch("SELECT partition, record_offset, code, detail FROM dead_letters")
    finally:
        await conn.close()
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        peak_kib = int((await child.stdout.read()).split()[-1])
    assert await child.wait() == 0
    assert {(row["partition"], row["record_offset"]) for row in letters} == culprits
    assert all("data of more than" in row["detail"] for row in letters)
    assert peak_kib * 1024 < limit


async def test_a_fetch_that_raises_loses_nothing_it_had_taken(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: what other partitions had given by then comes again."""
    given, failures = set(), 0
    take = Answer.getall

    def failing(self: Any, max_records: int | None = None) -> Any:
        nonlocal failures
        found = take(self, max_records)
        if found and len(given) >= 2 and failures < 3:
            failures += 1
            raise KafkaError("the third partition of this fetch")
        given.update((record.topic, record.partition) for record in found)
        return found

    monkeypatch.setattr(Answer, "getall", failing)
    await door.other_sends()
    async with door.open() as service:
        await until_settled(service.pool, GOOD, 0)
    assert failures == 3


async def test_a_long_backlog_of_one_company_holds_up_no_other(door: Door) -> None:
    backlog, late = 10_000, 100
    async with producer(door.installation, door.settings, compression_type="zstd", max_batch_size=4 << 20) as by:
        topic = inbound(door.installation, STRANGER)
        made = by.create_batch()
        for number in range(backlog):
            assert made.append(timestamp=None, key=None, value=submission(number)) is not None
        await (await by.send_batch(made, topic, partition=0))
        door.pause_s = 1.0  # until the other's are there: ten seconds for them in the backlog's first half
        async with door.open() as service:
            await until_settled(service.pool, 500, 0)
            for number in range(late):
                await by.send(inbound(door.installation, OTHER), submission(number))
            await by.flush()
            theirs = "SELECT count(*) FROM effects WHERE key LIKE $1"
            async with asyncio.timeout(SETTLE_S):
                while await service.pool.fetchval(theirs, f"{OTHER}%") < late:
                    await asyncio.sleep(0.05)
            door.pause_s = 0.1
            await until_settled(service.pool, backlog + late, 0)
            last = await service.pool.fetchval("SELECT max(id) FROM effects WHERE key LIKE $1", f"{OTHER}%")
    assert last < backlog / 2


async def test_a_stopped_consumer_leaves_its_room_to_others(door: Door) -> None:
    """At once, not when the garbage collector comes by: meanwhile a packed batch of another would wait."""
    topic, before = inbound(door.installation, STRANGER), ROOM.open_bytes
    async with producer(door.installation, door.settings, compression_type="zstd", max_batch_size=4 << 20) as by:
        made = by.create_batch()
        for number in range(5_000):
            assert made.append(timestamp=None, key=None, value=submission(number)) is not None
        await (await by.send_batch(made, topic, partition=0))
    gc.disable()
    try:
        async with door.open() as service:
            await until_settled(service.pool, 500, 0)
            assert ROOM.open_bytes > before
        assert ROOM.open_bytes <= before
    finally:
        gc.enable()


async def test_lag_counts_from_when_the_broker_got_a_record(door: Door) -> None:
    """Not from when a rider saw the thing: half a year ago, as these say."""
    topic, at_work, may_go_on = INBOUND_REPORTS.name, asyncio.Event(), asyncio.Event()
    handle, batches = door.handle, 0

    async def waiting(work: Work, events: Sequence[Event[Any]]) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            at_work.set()
            await may_go_on.wait()
        await handle(work, events)

    def ages() -> float:
        return metrics.REGISTRY.get_sample_value("beegrid_consumer_event_age_seconds_sum", {"topic": topic}) or 0.0

    before_s = ages()
    door.handle = waiting  # type: ignore[method-assign]  # the test's own
    await door.other_sends()
    async with door.open() as service:
        async with asyncio.timeout(SETTLE_S):
            await at_work.wait()
        assert await service.consumers[topic].measure() > 0
        lag_s = metrics.REGISTRY.get_sample_value("beegrid_consumer_lag_seconds", {"topic": topic})
        may_go_on.set()
        await until_settled(service.pool, GOOD, 0)
    assert lag_s is not None
    assert 0 < lag_s < 60
    assert ages() - before_s < 60


async def test_lag_is_shown_before_anything_was_settled(door: Door) -> None:
    """A process that starts with a backlog, and ends before its first commit, would else never have been behind."""
    topic, waited_s = INBOUND_REPORTS.name, 1.5
    at_work, may_go_on = asyncio.Event(), asyncio.Event()

    async def stuck(work: Work, events: Sequence[Event[Any]]) -> None:
        at_work.set()
        await may_go_on.wait()

    await door.other_sends()
    await asyncio.sleep(waited_s)
    door.handle = stuck  # type: ignore[method-assign]  # the test's own
    async with door.open() as service:
        async with asyncio.timeout(SETTLE_S):
            await at_work.wait()
        waiting = await service.consumers[topic].measure()
        lag_s = metrics.REGISTRY.get_sample_value("beegrid_consumer_lag_seconds", {"topic": topic})
        may_go_on.set()
    assert waiting > 0
    assert lag_s is not None
    assert waited_s <= lag_s < 60
