"""A record without a value on a topic that keeps the latest state of each key, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.devtools.installation import Installation
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.outside import INT64_MAX
from shared.events.report_received import REPORT_RECEIVED
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.kafka import client_arguments
from shared.kit.messaging.tombstones import minding
from shared.kit.messaging.work import Event, Gone, Record, Work
from shared.kit.service import Service
from shared.provision.postgres import owner_role
from tests.kit.messaging.compacted import stored
from tests.kit.messaging.conftest import SETTLE_S, running
from tests.support import settings_of

SQL_KNOW = """
INSERT INTO known AS k (rider, version) SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (rider) DO UPDATE SET version = excluded.version WHERE k.version < excluded.version
"""
SQL_FORGET = """
DELETE FROM known k USING unnest($1::text[], $2::bigint[]) AS u (rider, version)
WHERE k.rider = u.rider AND k.version <= u.version
"""


def rider(key: Any) -> RiderChanged:
    values = {"rider_id": key, "company": "sf", "external_id": str(key)[:8], "kind": "courier", "locale": "zh"}
    return RiderChanged.model_validate({**values, "consent": True, "active": True})


@dataclass
class Keeper:
    """The service riders publishes, and points keeps what it hears by handlers of the test's own."""

    publisher: Service
    hearer: Service
    heard: list[tuple[str, int]] = field(default_factory=list)
    broken: bool = False

    async def take(self, work: Work, events: Sequence[Event[RiderChanged]]) -> None:
        newest = {event.key: event.version for event in events}
        assert all(event.data is not None for event in events), "handlers see events only"
        await work.conn.execute(SQL_KNOW, list(newest), list(newest.values()))

    async def drop(self, work: Work, gone: Sequence[Gone]) -> None:
        if self.broken:
            raise ValueError("poison")
        self.heard += [(one.key, one.version) for one in gone]
        await work.conn.execute(SQL_FORGET, [one.key for one in gone], [one.version for one in gone])

    async def known(self) -> dict[str, int]:
        rows = await self.hearer.pool.fetch("SELECT rider, version FROM known")
        return {row["rider"]: row["version"] for row in rows}

    async def letters(self) -> list[tuple[str, str]]:
        rows = await self.hearer.pool.fetch("SELECT status, code FROM dead_letters WHERE status <> 'replayed'")
        return [(row["status"], row["code"]) for row in rows]

    async def until_all_is_heard(self) -> None:
        """Until what is published now in each partition has taken effect: it comes behind all that was before."""
        marks = [new_id() for _ in range(60)]
        async with self.publisher.work() as work:
            for mark in marks:
                work.publish(RIDER_CHANGED, rider(mark), version=1)
        wanted = {str(mark) for mark in marks}
        async with asyncio.timeout(SETTLE_S):
            while not wanted <= set(await self.known()):
                await asyncio.sleep(0.05)
        await self.hearer.pool.execute("DELETE FROM known WHERE rider = ANY($1::text[])", list(wanted))


@pytest.fixture
async def keeper(own_installation: Installation) -> AsyncIterator[Keeper]:
    owner = await asyncpg.connect(own_installation.dsn("points", owner_role))
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS known (rider text PRIMARY KEY, version bigint);"
        "TRUNCATE known, inbox, dead_letters, parked_keys"
    )
    await owner.close()
    publisher = Service("riders", settings_of(own_installation, "riders"), title="publisher")
    hearer = Service("points", settings_of(own_installation, "points"), title="hearer")
    made = Keeper(publisher, hearer)
    hearer.consumes(RIDER_CHANGED, made.take, made.drop)
    async with running(publisher), running(hearer):
        yield made


async def test_a_tombstone_takes_the_key_with_it(keeper: Keeper, own_installation: Installation) -> None:
    stays, leaves, returns = new_id(), new_id(), new_id()
    async with keeper.publisher.work() as work:
        for key in (stays, leaves, returns):
            work.publish(RIDER_CHANGED, rider(key), version=1)
        work.publish(RIDER_CHANGED, rider(leaves), version=2)
        work.retire(RIDER_CHANGED, leaves, version=2)
        work.retire(RIDER_CHANGED, leaves, version=2)  # twice does no harm
        work.retire(RIDER_CHANGED, returns, version=1)
        work.publish(RIDER_CHANGED, rider(returns), version=2)
    await keeper.until_all_is_heard()
    assert await keeper.known() == {str(stays): 1, str(returns): 2}
    assert (str(leaves), 2) in keeper.heard
    assert await keeper.letters() == []
    records = await asyncio.to_thread(stored, own_installation, RIDER_CHANGED)
    first, second = (record for record in records if record.key == str(leaves) and record.value is None)
    assert first.headers["ce_subject"] == str(leaves)
    assert first.headers["ce_aggregateversion"] == "2"
    assert first.headers["ce_id"] != second.headers["ce_id"]


async def test_a_tombstone_that_nobody_has_signed_is_no_poison(keeper: Keeper) -> None:
    """As an operator's tool writes it: a key and nothing else."""
    key = new_id()
    async with keeper.publisher.work() as work:
        work.publish(RIDER_CHANGED, rider(key), version=7)
    await keeper.until_all_is_heard()
    settings = keeper.publisher.settings
    producer = AIOKafkaProducer(**client_arguments(settings, "raw"), enable_idempotence=True)
    await producer.start()
    try:
        partitions = await producer.partitions_for(settings.topic_prefix + RIDER_CHANGED.name)
        for partition in partitions:  # wherever the key lies
            await producer.send_and_wait(
                settings.topic_prefix + RIDER_CHANGED.name, None, key=str(key).encode(), partition=partition
            )
    finally:
        await producer.stop()
    await keeper.until_all_is_heard()
    assert await keeper.known() == {}
    assert set(keeper.heard) == {(str(key), INT64_MAX)}
    assert await keeper.letters() == []


async def test_one_whose_key_can_not_be_dropped_waits_and_is_replayed(keeper: Keeper) -> None:
    key = new_id()
    keeper.broken = True
    async with keeper.publisher.work() as work:
        work.publish(RIDER_CHANGED, rider(key), version=1)
        work.retire(RIDER_CHANGED, key, version=1)
        work.publish(RIDER_CHANGED, rider(key), version=2)
        work.retire(RIDER_CHANGED, key, version=2)
    await keeper.until_all_is_heard()
    async with asyncio.timeout(SETTLE_S):
        while len(await keeper.letters()) < 3:  # the batch's other keys take effect before the bad one is buried
            await asyncio.sleep(0.05)
    assert await keeper.letters() == [("dead", "handler_failed"), ("parked", "parked"), ("parked", "parked")]
    assert await keeper.known() == {str(key): 1}
    keeper.broken = False
    await keeper.hearer.replayer.replay(None, None, by="operator", reason="it works again")
    assert (await keeper.known(), await keeper.letters()) == ({}, [])


async def test_a_service_that_keeps_nothing_of_the_key_passes_by() -> None:
    """What it keeps goes by another order."""
    taken: list[int] = []

    async def take(work: Work, events: Sequence[Event[Any]]) -> None:
        taken.extend(event.version for event in events)

    handler = minding(RIDER_CHANGED, take, None)
    key, now, record = new_id(), clock.now(), Record(RIDER_CHANGED.name, 0, 0, b"k", None, ())
    there: Event[Any] = Event(new_id(), rider(key), str(key), 1, now, record)
    await handler(cast("Work", None), [there, Gone(new_id(), None, str(key), 1, now, record)])
    await handler(cast("Work", None), [Gone(new_id(), None, str(key), 1, now, record)])
    assert taken == [1]


async def test_a_key_that_is_back_within_the_batch_has_not_gone() -> None:
    """Each batch ends as if its records had come one by one."""
    taken: list[tuple[str, int]] = []
    gone: list[tuple[str, int]] = []

    async def take(work: Work, events: Sequence[Event[Any]]) -> None:
        taken.extend((event.key, event.version) for event in events)

    async def drop(work: Work, left: Sequence[Gone]) -> None:
        gone.extend((one.key, one.version) for one in left)

    now, record, body = clock.now(), Record(RIDER_CHANGED.name, 0, 0, b"k", None, ()), rider(new_id())
    batch: list[Event[Any]] = [
        Event(new_id(), body, "back", 1, now, record),
        Gone(new_id(), None, "back", 1, now, record),
        Event(new_id(), body, "left", 1, now, record),
        Event(new_id(), body, "back", 2, now, record),
        Gone(new_id(), None, "left", 1, now, record),
        Gone(new_id(), None, "left", 1, now, record),
    ]
    await minding(RIDER_CHANGED, take, drop)(cast("Work", None), batch)
    assert taken == [("back", 1), ("left", 1), ("back", 2)]
    assert gone == [("left", 1)]


def test_no_key_leaves_what_is_kept_for_good() -> None:
    for topic in (COMPANY_CHANGED, REPORT_RECEIVED):
        with pytest.raises(ValueError, match="no key leaves"):
            Work(None, clock.now()).retire(topic, "k", version=1)  # type: ignore[arg-type]  # it comes to no statement
