"""Outbox → Kafka → inbox → effect, on real servers."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from shared.events.report_received import REPORT_RECEIVED
from shared.kit import metrics
from shared.kit import relay as relay_module
from shared.kit.ids import new_id
from shared.kit.relay import Watermark, partition_of
from shared.kit.work import Event, Work
from tests.messaging.conftest import SETTLE_S, Pair, report, running, settings_for


async def test_every_committed_event_takes_effect_once_and_in_order_per_key(pair: Pair) -> None:
    keys = [new_id() for _ in range(40)]
    for version in range(1, 26):
        await pair.tell(*((report(report_id=key), version) for key in keys))
    await pair.until_effects(1_000)
    versions = defaultdict(list)
    for key, version, _ in await pair.effects():
        versions[key].append(version)
    assert len(versions) == 40
    assert all(seen == list(range(1, 26)) for seen in versions.values())


async def test_a_rolled_back_event_never_arrives(pair: Pair) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with pair.teller.work() as work:
            work.publish(REPORT_RECEIVED, report("never"), version=1)
            raise RuntimeError("changed my mind")
    await pair.tell((report("after"), 1))
    await pair.until_effects(1)
    assert [text for _, _, text in await pair.effects()] == ["after"]


async def test_an_event_published_twice_takes_effect_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a relay dies between Kafka's acknowledgement and the delete: the rows are sent again."""
    monkeypatch.setattr(relay_module, "SQL_DELETE", "SELECT $1::bigint[]")
    await pair.tell(*((report("twice"), 1) for _ in range(20)))
    await pair.until_effects(20)
    await asyncio.sleep(0.5)
    assert len(await pair.effects()) == 20
    monkeypatch.undo()

    async def empty() -> bool:
        return await pair.teller.pool.fetchval("SELECT count(*) FROM outbox") == 0

    await pair.until(empty, "the outbox is empty")


async def test_a_batch_in_hand_is_not_yet_consumed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a consumer that waits for a lock would look like one that has nothing to do."""
    at_work, may_go_on, handle = asyncio.Event(), asyncio.Event(), pair.handle

    async def waiting(work: Work, events: Sequence[Event[Any]]) -> None:
        at_work.set()
        await may_go_on.wait()
        await handle(work, events)

    monkeypatch.setattr(pair, "handle", waiting)
    consumer = pair.hearer.consumers[REPORT_RECEIVED.name]
    await pair.tell((report("slow"), 1))
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

    second = Service("intake", settings_for(pair.installation, "intake"), title="second")
    async with running(second):
        await asyncio.sleep(1.0)
        assert (pair.teller.relay.leading, second.relay.leading) == (True, False)
        pair.teller._tasks["relay"].cancel()

        async def taken_over() -> bool:
            return second.relay.leading

        await pair.until(taken_over, "the second relay leads")
        await pair.tell((report("second"), 1))
        await pair.until_effects(1)


async def test_a_late_commit_below_published_ids_is_found(pair: Pair) -> None:
    """A row whose id was drawn early and committed late: a remembered cursor would never see it."""
    late = pair.teller.work()
    work = await late.__aenter__()
    await work.conn.execute("SELECT nextval(pg_get_serial_sequence('outbox', 'id'))")
    number = await work.conn.fetchval("SELECT currval(pg_get_serial_sequence('outbox', 'id'))")
    await pair.tell(*((report("early"), 1) for _ in range(50)))
    await pair.until_effects(50)
    await work.conn.execute(
        "INSERT INTO outbox (id, event_id, topic, key, version, occurred_at, payload) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $2, $3, $4, 1, now(), $5)",
        number, new_id(), REPORT_RECEIVED.name, "late", report("late").model_dump_json().encode(),
    )  # fmt: skip
    await late.__aexit__(None, None, None)
    await pair.until_effects(51)


def test_watermark_stays_below_what_a_transaction_may_still_commit() -> None:
    mark = Watermark()
    mark.saw(100, 0.0)
    mark.saw(200, 10.0)
    assert mark.value == 0
    mark.saw(300, 61.0)
    assert mark.value == 100
    mark.saw(150, 75.0)  # a late row came: not beyond it, though 200 was seen long ago
    assert mark.value == 150


def test_partitions_are_those_of_librdkafka_consistent() -> None:
    assert [partition_of(key, 6) for key in (b"a", b"beegrid", b"")] == [0xE8B7BE43 % 6, partition_of(b"beegrid", 6), 0]
