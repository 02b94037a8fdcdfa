"""What Kafka refuses is set aside, with what waits behind it; everything else goes on. A real broker says no."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, TopicPartition

from shared.events.report_received import REPORT_RECEIVED
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.publishing import holds
from shared.kit.publishing.relay import ROWS_PER_ROUND
from shared.kit.publishing.sending import BATCH_BYTES_MAX
from shared.provision.kafka import connect_admin
from shared.provision.topology import provision_suite
from tests.kit.messaging.conftest import Pair, report

GOOD = 2_000
MISSING = RIDER_CHANGED.dlq
"""Intake may write it; the tests take it away."""
FORBIDDEN = RIDER_CHANGED.name
"""Intake reads it and may not write it."""
SQL_QUEUE = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload) VALUES ($1, $2, $3, $4, now(), $5)
"""
SQL_HELD = "SELECT topic, key, version FROM outbox_held WHERE discarded_at IS NULL ORDER BY id"
TOO_LARGE = b'"' + b"x" * (6 * 1024 * 1024 - 1_000) + b'"'
"""Fits into a request of the client, not into the topic."""


@dataclass
class Counted:
    """Batches handed to Kafka, by topic without prefix."""

    batches: dict[str, int]


@pytest.fixture
def counted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Counted:
    seen = Counted(defaultdict(int))
    send = AIOKafkaProducer.send_batch

    async def counting(self: AIOKafkaProducer, batch, topic: str, *, partition: int):
        seen.batches[topic.removeprefix(pair.publisher.settings.topic_prefix)] += 1
        return await send(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", counting)
    return seen


async def queue(pair: Pair, topic: str, key: str, version: int, payload: bytes) -> None:
    await pair.publisher.pool.execute(SQL_QUEUE, new_id(), topic, key, version, payload)


async def held(pair: Pair) -> list[tuple[str, str, int]]:
    return [(row["topic"], row["key"], row["version"]) for row in await pair.publisher.pool.fetch(SQL_HELD)]


async def is_code(pair: Pair, code: str) -> bool:
    return [one.code for one in await holds.stuck(pair.publisher.pool)] == [code]


def take_away(pair: Pair) -> None:
    """Delete the topic, and return when no broker knows it."""
    cluster, name = pair.installation.cluster, pair.publisher.settings.topic_prefix + MISSING
    admin = connect_admin(cluster.bootstrap, cluster.admin)
    if name in admin.list_topics(timeout=10).topics:
        for future in admin.delete_topics([name]).values():
            future.result()
    while name in admin.list_topics(timeout=10).topics:
        pass


def bring_back(pair: Pair) -> None:
    """As the set-up job would."""
    cluster = pair.installation.cluster
    provision_suite(cluster, {})


def read_all(pair: Pair, topic: str, count: int) -> list[tuple[str, int]]:
    """Key and version of a topic's records."""
    cluster = pair.installation.cluster
    config = cluster.admin.config(cluster.bootstrap) | {"group.id": "nobody"}
    consumer, found = Consumer(dict(config)), []
    consumer.assign([TopicPartition(pair.publisher.settings.topic_prefix + topic, 0, 0)])
    until_s = clock.monotonic_s() + 10
    while len(found) < count and clock.monotonic_s() < until_s:
        message = consumer.poll(1.0)
        if message is not None:
            headers = dict(message.headers())
            found.append((message.key().decode(), int(headers["ce_aggregateversion"])))
    consumer.close()
    return found


async def until_empty(pair: Pair) -> None:
    async def empty() -> bool:
        return await pair.publisher.pool.fetchval("SELECT count(*) FROM outbox") == 0

    await pair.until(empty, "the outbox is empty")


async def test_a_poison_row_a_closed_and_a_missing_topic_stop_nobody(
    pair: Pair, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "FIRST_PAUSE_S", 0.1)
    await asyncio.to_thread(take_away, pair)
    bad, keys = str(new_id()), [new_id() for _ in range(100)]
    body = report("behind", None).model_dump_json().encode()
    began_s = clock.monotonic_s()
    async with pair.publisher.work() as work:
        for n in range(GOOD):
            work.publish(REPORT_RECEIVED, report(report_id=keys[n % 100]), version=n // 100 + 1)
        await work.conn.execute(SQL_QUEUE, new_id(), REPORT_RECEIVED.name, bad, 1, TOO_LARGE)
        await work.conn.execute(SQL_QUEUE, new_id(), FORBIDDEN, "rider", 1, b"{}")
        await work.conn.execute(SQL_QUEUE, new_id(), MISSING, "lost", 1, b"{}")
        await work.conn.execute(SQL_QUEUE, new_id(), REPORT_RECEIVED.name, bad, 2, body)
    await pair.until_effects(GOOD)
    assert clock.monotonic_s() - began_s < 10.0
    await until_empty(pair)
    await queue(pair, REPORT_RECEIVED.name, bad, 3, body)
    await queue(pair, FORBIDDEN, "another", 1, b"{}")
    await until_empty(pair)
    assert sorted(await held(pair)) == sorted(
        [(REPORT_RECEIVED.name, bad, 1), (REPORT_RECEIVED.name, bad, 2), (REPORT_RECEIVED.name, bad, 3),
         (FORBIDDEN, "rider", 1), (FORBIDDEN, "another", 1), (MISSING, "lost", 1)]
    )  # fmt: skip
    effects = await pair.effects()
    assert len(effects) == GOOD
    by_key = defaultdict(list)
    for key, version, _ in effects:
        by_key[key].append(version)
    assert all(versions == list(range(1, GOOD // 100 + 1)) for versions in by_key.values())

    async def given_up() -> bool:
        found = await holds.stuck(pair.publisher.pool)
        return len(found) == 3 and all(one.tries >= pair.publisher.settings.outbox_tries_max for one in found)

    await pair.until(given_up, "the tries are used up")
    found = {(one.topic, one.key): one for one in await holds.stuck(pair.publisher.pool)}
    assert found[REPORT_RECEIVED.name, bad].code == "too_large"
    assert found[REPORT_RECEIVED.name, bad].next_try_at is None
    assert (found[FORBIDDEN, None].code, found[FORBIDDEN, None].events) == ("topic_forbidden", 2)
    assert found[MISSING, None].code == "topic_missing"
    # No row is sent again and again: bounded tries of the bad ones, nothing more of the good ones.
    sends = dict(counted.batches)
    await asyncio.sleep(2.0)
    assert dict(counted.batches) == sends
    assert sends[REPORT_RECEIVED.name] < 60


async def test_successors_leave_in_order_after_a_retry_or_a_discard(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "FIRST_PAUSE_S", 0.05)
    bad = str(new_id())
    behind = [report(f"behind {n}").model_dump_json().encode() for n in range(2, 40)]
    await queue(pair, REPORT_RECEIVED.name, bad, 1, TOO_LARGE)
    for n, body in enumerate(behind, start=2):
        await queue(pair, REPORT_RECEIVED.name, bad, n, body)
    await until_empty(pair)
    assert len(await held(pair)) == 39
    [hold] = await holds.stuck(pair.publisher.pool)
    async with pair.publisher.pool.acquire() as conn:
        assert await holds.retry(conn, [hold.id]) == 1
        await asyncio.sleep(0.5)
        assert len(await held(pair)) == 39  # as refused as before
        [gone] = await holds.discard(conn, [hold.id], by="test", reason="it can't be sent")
    assert gone
    await queue(pair, REPORT_RECEIVED.name, bad, 40, report("last").model_dump_json().encode())
    await pair.until_effects(39)
    assert [version for key, version, _ in await pair.effects() if key == bad] == list(range(2, 41))
    assert await holds.stuck(pair.publisher.pool) == []
    assert await pair.publisher.pool.fetchval("SELECT reason FROM outbox_held") == "it can't be sent"


async def test_a_topic_that_comes_back_takes_what_waited_in_order(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "FIRST_PAUSE_S", 0.05)
    await asyncio.to_thread(take_away, pair)
    for n in range(1, 1_201):
        await queue(pair, MISSING, f"key {n % 3}", n, b"{}")
    await until_empty(pair)
    [hold] = await holds.stuck(pair.publisher.pool)
    assert (hold.code, hold.key, hold.events) == ("topic_missing", None, 1_200)
    await queue(pair, MISSING, "key 0", 1_201, TOO_LARGE)
    await queue(pair, MISSING, "key 0", 1_203, b"{}")
    await queue(pair, MISSING, "key 1", 1_204, b"{}")
    await asyncio.to_thread(bring_back, pair)
    async with pair.publisher.pool.acquire() as conn:
        await holds.retry(conn, None)

    async def only_the_large_one_waits() -> bool:
        return await held(pair) == [(MISSING, "key 0", 1_201), (MISSING, "key 0", 1_203)]

    await pair.until(only_the_large_one_waits, "the topic has taken what it can")
    await pair.until(lambda: is_code(pair, "too_large"), "the topic itself is free again")
    versions = defaultdict(list)
    for key, version in await asyncio.to_thread(read_all, pair, MISSING, 1_201):
        versions[key].append(version)
    assert versions["key 0"] == list(range(3, 1_201, 3))
    assert versions["key 1"] == [*range(1, 1_201, 3), 1_204]


async def test_an_outage_sets_nothing_aside(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while nothing at all gets through is nobody's fault."""
    real = pair.publisher.settings.kafka_bootstrap
    settings = pair.publisher.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    monkeypatch.setattr(pair.publisher.relay._sender, "_settings", settings)
    pair.publisher.relay._sender._sound = False  # the next round needs a new producer, and finds no broker
    await pair.publish(*((report(), 1) for _ in range(50)))
    await asyncio.sleep(2.0)
    assert await held(pair) == []
    assert pair.publisher.relay.trouble
    monkeypatch.setattr(
        pair.publisher.relay._sender, "_settings", settings.model_copy(update={"kafka_bootstrap": real})
    )
    await pair.until_effects(50)
    assert await held(pair) == []
    assert len(TOO_LARGE) > BATCH_BYTES_MAX


async def test_a_round_of_nothing_but_closed_topics_is_passed(pair: Pair) -> None:
    """The cluster shows other topics: so these two are away, not the cluster."""
    await asyncio.to_thread(take_away, pair)
    async with pair.publisher.work() as work:
        for topic in (FORBIDDEN, MISSING):
            rows = [(new_id(), topic, f"key {n}", 1, b"{}") for n in range(ROWS_PER_ROUND // 2)]
            await work.conn.executemany(SQL_QUEUE, rows)
        for n in range(10):
            work.publish(REPORT_RECEIVED, report(f"behind {n}"), version=1)
    await pair.until_effects(10)
    await until_empty(pair)
    assert {one.code for one in await holds.stuck(pair.publisher.pool)} == {"topic_forbidden", "topic_missing"}
    assert len(await held(pair)) == ROWS_PER_ROUND


async def test_a_cluster_that_shows_no_topic_sets_nothing_aside(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = pair.publisher.relay._sender
    real, elsewhere = sender._settings, sender._settings.model_copy(update={"topic_prefix": "nowhere."})
    monkeypatch.setattr(sender, "_settings", elsewhere)
    sender._sound = False
    await queue(pair, RIDER_ERASED.name, "rider", 1, b"{}")
    await pair.publish((report(), 1))

    async def complains() -> bool:
        return "every topic was refused" in (pair.publisher.relay.trouble or "")

    await pair.until(complains, "a round has failed")
    assert await held(pair) == []
    monkeypatch.setattr(sender, "_settings", real)
