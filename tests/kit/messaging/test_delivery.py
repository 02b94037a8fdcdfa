"""Outbox → Kafka → inbox → effect, on real servers."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock, metrics
from shared.kit.consuming import consumer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection
from shared.kit.publishing.relay import Relay
from shared.kit.publishing.sending import RelayError, Row, Sent, partition_of
from shared.provision.postgres import owner_role
from tests.kit.messaging.conftest import SETTLE_S, Pair, report, running
from tests.support import settings_of

SQL_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'inbox_other'::regclass)"


async def test_every_committed_event_takes_effect_once_and_in_order_per_key(pair: Pair) -> None:
    keys = [new_id() for _ in range(40)]
    for version in range(1, 26):
        await pair.publish(*((report(report_id=key), version) for key in keys))
    await pair.until_effects(1_000)
    versions = defaultdict(list)
    for key, version, _ in await pair.effects():
        versions[key].append(version)
    assert len(versions) == 40
    assert all(seen == list(range(1, 26)) for seen in versions.values())


async def test_a_rolled_back_event_never_arrives(pair: Pair) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with pair.publisher.work() as work:
            work.publish(REPORT_RECEIVED, report("never"), version=1)
            raise RuntimeError("changed my mind")
    await pair.publish((report("after"), 1))
    await pair.until_effects(1)
    assert [text for _, _, text in await pair.effects()] == ["after"]


async def test_an_event_published_twice_takes_effect_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a relay dies between Kafka's acknowledgement and the delete: the rows are sent again."""
    died: list[int] = []

    async def die(self: Relay, conn: Connection, sent: Sent, waiting: Sequence[Row]) -> None:
        died.append(len(sent.done))
        raise RelayError("killed before the delete")

    monkeypatch.setattr(Relay, "_settle", die)
    await pair.publish(*((report("twice"), 1) for _ in range(20)))
    await pair.until_effects(20)
    await asyncio.sleep(1.5)
    assert sum(died) >= 40
    monkeypatch.undo()

    async def empty() -> bool:
        return await pair.publisher.pool.fetchval("SELECT count(*) FROM outbox") == 0

    await pair.until(empty, "the outbox is empty")
    assert len(await pair.effects()) == 20


async def test_an_event_that_comes_while_its_day_is_made_is_no_culprit(pair: Pair) -> None:
    """Its place was in the default partition when it was entered, and is another one at that very moment."""
    owner = await asyncpg.connect(pair.installation.dsn("routing", owner_role))
    failures = metrics.RETRIES.labels(topic=REPORT_RECEIVED.name, cause="failure")
    before = failures._value.get()
    today = await owner.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    await owner.execute(f"DROP TABLE inbox_d{today:%Y%m%d}")
    async with owner.transaction():
        await owner.execute("SELECT make_inbox_day($1)", today)
        await pair.publish((report("midnight"), 1))

        async def waits() -> bool:
            return await owner.fetchval(SQL_WAITS)

        await pair.until(waits, "the consumer waits for the partition")
    await pair.until_effects(1)
    assert await owner.fetchval(f"SELECT count(*) FROM inbox_d{today:%Y%m%d}") == 1
    assert failures._value.get() == before
    await owner.close()


async def test_a_partition_that_was_worked_on_is_fetched_again_soon(pair: Pair) -> None:
    """And not only when the fetch returns that was sent without it, while its records waited for the handler."""
    key, handled = new_id(), {text: asyncio.Event() for text in ("slow", "second", "third")}

    async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
        for event in events:
            handled[event.data.text].set()
            await asyncio.sleep(0.3 if event.data.text == "slow" else 0)

    pair.handle = handle  # type: ignore[method-assign]  # the handler is the test's
    waited_s = []
    for version in range(1, 13, 3):
        for one in handled.values():
            one.clear()
        await pair.publish((report("slow", key), version))
        await handled["slow"].wait()
        await pair.publish((report("second", key), version + 1))
        await handled["second"].wait()
        began_s = clock.monotonic_s()
        await pair.publish((report("third", key), version + 2))
        await handled["third"].wait()
        waited_s.append(clock.monotonic_s() - began_s)
    assert min(waited_s) < 0.25, waited_s


async def test_a_batch_that_takes_too_long_is_worked_on_in_parts(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the server ends the same transaction again and again, and nothing behind it takes effect."""
    monkeypatch.setattr(consumer, "SLOW_S", 0.3)
    effect, sizes = pair.handle, []

    async def slow(work: Work, events: Sequence[Event[Any]]) -> None:
        sizes.append(len(events))
        await work.conn.execute("SET LOCAL transaction_timeout = 0; SET LOCAL transaction_timeout = '400ms'")
        await asyncio.sleep(0.01 * len(events))
        await effect(work, events)

    pair.handle = slow  # type: ignore[method-assign]  # the handler is the test's
    await pair.publish(*((report(), 1) for _ in range(200)))
    await pair.until_effects(200)
    assert max(sizes) > 40 >= sizes[-1]


async def test_a_batch_in_hand_is_not_yet_consumed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a consumer that waits for a lock would look like one that has nothing to do."""
    at_work, may_go_on, handle = asyncio.Event(), asyncio.Event(), pair.handle

    async def waiting(work: Work, events: Sequence[Event[Any]]) -> None:
        at_work.set()
        await may_go_on.wait()
        await handle(work, events)

    monkeypatch.setattr(pair, "handle", waiting)
    consumer = pair.hearer.consumers[REPORT_RECEIVED.name]
    await pair.publish((report("slow"), 1))
    await asyncio.wait_for(at_work.wait(), SETTLE_S)
    assert await consumer.measure() == 1
    assert metrics.LAG_SECONDS.labels(topic=REPORT_RECEIVED.name)._value.get() > 0
    may_go_on.set()
    await pair.until_effects(1)

    async def nothing_left() -> bool:
        return await consumer.measure() == 0

    await pair.until(nothing_left, "nothing is left")


async def test_only_one_relay_leads_and_the_other_takes_over(pair: Pair) -> None:
    from shared.kit.service import Service

    second = Service("intake", settings_of(pair.installation, "intake"), title="second")
    async with running(second):
        await asyncio.sleep(1.0)
        assert (pair.publisher.relay.leading, second.relay.leading) == (True, False)
        pair.publisher.tasks.running["relay"].cancel()

        async def taken_over() -> bool:
            return second.relay.leading

        await pair.until(taken_over, "the second relay leads")
        await pair.publish((report("second"), 1))
        await pair.until_effects(1)


async def test_a_late_commit_below_published_ids_is_found(pair: Pair) -> None:
    """A row whose id was drawn early and committed late: a remembered cursor would never see it."""
    late = pair.publisher.work()
    work = await late.__aenter__()
    await work.conn.execute("SELECT nextval(pg_get_serial_sequence('outbox', 'id'))")
    number = await work.conn.fetchval("SELECT currval(pg_get_serial_sequence('outbox', 'id'))")
    await pair.publish(*((report("early"), 1) for _ in range(50)))
    await pair.until_effects(50)
    await work.conn.execute(
        "INSERT INTO outbox (id, event_id, topic, key, version, occurred_at, payload) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $2, $3, $4, 1, now(), $5)",
        number, new_id(), REPORT_RECEIVED.name, "late", report("late").model_dump_json().encode(),
    )  # fmt: skip
    await late.__aexit__(None, None, None)
    await pair.until_effects(51)


def test_partitions_are_those_of_librdkafka_consistent() -> None:
    assert [partition_of(key, 6) for key in (b"a", b"beegrid", b"")] == [0xE8B7BE43 % 6, partition_of(b"beegrid", 6), 0]
