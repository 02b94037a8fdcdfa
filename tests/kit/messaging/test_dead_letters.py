"""A poison record stalls nobody else, its successors wait, and nothing of it is lost."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from shared.kit.consuming.pending import Pending
from shared.kit.ids import new_id
from shared.kit.messaging.kafka import REQUEST_BYTES_MAX, client_arguments
from shared.kit.messaging.work import Event, Work
from tests.kit.messaging.conftest import Pair, report


async def letters(pair: Pair) -> list[tuple[str, str, str]]:
    rows = await pair.hearer.pool.fetch(
        "SELECT convert_from(key, 'utf8') AS key, status, code FROM dead_letters ORDER BY id"
    )
    return [(row["key"], row["status"], row["code"]) for row in rows]


async def until_letters(pair: Pair, count: int) -> None:
    async def done() -> bool:
        return len(await letters(pair)) >= count

    await pair.until(done, f"{count} dead letters")


async def test_poison_parks_its_own_key_only_and_replay_ends_in_the_fault_free_state(pair: Pair) -> None:
    bad, good = new_id(), [new_id() for _ in range(30)]
    started_s = clock.monotonic_s()
    await pair.publish(*((report(report_id=key), 1) for key in good), (report("poison", bad), 1))
    await pair.publish(
        *((report(report_id=key), 2) for key in good), (report("next", bad), 2), (report("last", bad), 3)
    )
    await pair.until_effects(60)
    assert clock.monotonic_s() - started_s < 5.0
    await until_letters(pair, 3)
    assert await letters(pair) == [
        (str(bad), "dead", "handler_failed"), (str(bad), "parked", "parked"), (str(bad), "parked", "parked"),
    ]  # fmt: skip

    [outcome] = await pair.hearer.replayer.replay(None, None, by="test", reason="not repaired yet")
    assert not outcome.done
    assert "poison" in outcome.detail
    await pair.publish((report("still parked", bad), 4))
    await until_letters(pair, 4)

    pair.broken = False
    [outcome] = await pair.hearer.replayer.replay(None, None, by="test", reason="repaired")
    assert outcome.done
    await pair.publish((report("flows again", bad), 5))
    await pair.until_effects(65)
    flowed = [(version, text) for key, version, text in await pair.effects() if key == str(bad)]
    assert flowed == [(1, "poison"), (2, "next"), (3, "last"), (4, "still parked"), (5, "flows again")]
    assert await pair.hearer.pool.fetchval("SELECT count(*) FROM parked_keys") == 0


async def test_a_record_that_fails_three_times_is_no_dead_letter(pair: Pair) -> None:
    key = new_id()
    pair.failures_left[str(key)] = 3
    await pair.publish((report("flaky", key), 1), (report("behind", key), 2), (report("other"), 1))
    await pair.until_effects(3)
    assert [text for k, _, text in await pair.effects() if k == str(key)] == ["flaky", "behind"]
    assert await letters(pair) == []


async def test_a_refusal_is_published_and_its_key_goes_on(pair: Pair) -> None:
    key = new_id()
    await pair.publish((report("reject", key), 1), (report("fine", key), 2))
    await pair.until_effects(1)
    assert await letters(pair) == [(str(key), "rejected", "not_ours")]


async def test_unreadable_records_become_dead_letters_with_their_reason(pair: Pair) -> None:
    """Each is kept whole, and published on the partner topic with its reason."""
    settings = pair.publisher.settings
    producer = AIOKafkaProducer(
        **client_arguments(settings, "raw"), enable_idempotence=True, max_request_size=REQUEST_BYTES_MAX
    )
    await producer.start()
    topic = settings.topic_prefix + REPORT_RECEIVED.name
    good = report("good").model_dump_json().encode()
    try:
        await producer.send_and_wait(topic, b"{", key=b"k1")
        await producer.send_and_wait(topic, b'{"report_id": 7}', key=b"k2")
        await producer.send_and_wait(topic, b'{"text":"' + b"x" * 2_097_152 + b'"}', key=b"k3")
        sent = [("ce_id", b"\xff\xfe"), ("odd", b"\xff"), ("nothing", None), ("odd", b"twice"), ("dlq-code", b"before")]
        await producer.send_and_wait(topic, good, key=b"k4", headers=sent)
        await producer.send_and_wait(topic, None, key=b"k5")
        await producer.send_and_wait(topic, b"behind", key=b"k1")
    finally:
        await producer.stop()
    await pair.publish((report("good"), 1))
    await pair.until_effects(1)
    await until_letters(pair, 6)
    assert set(await letters(pair)) == {
        ("k1", "dead", "malformed_json"), ("k2", "dead", "validation_failed"), ("k3", "dead", "content_too_large"),
        ("k4", "dead", "malformed_event"), ("k5", "dead", "empty"), ("k1", "parked", "parked"),
    }  # fmt: skip
    published = await partner_records(pair, 6)
    reasons = {(record.key, dict(record.headers)["dlq-code"]) for record in published}
    assert (b"k3", b"content_too_large") in reasons
    large = next(record for record in published if record.key == b"k3")
    assert len(large.value or b"") > 2_097_152
    odd = next(record for record in published if record.key == b"k4")
    assert list(odd.headers[: len(sent)]) == sent, "as they came, in their order, also one without a value"
    assert dict(odd.headers)["dlq-topic"] == topic.encode(), "the name that the cluster knows"
    assert dict(odd.headers)["dlq-code"] == b"malformed_event", "the last one is ours"
    assert {"dlq-topic", "dlq-partition", "dlq-offset", "dlq-detail", "dlq-consumer", "dlq-at"} <= set(
        dict(odd.headers)
    )


async def partner_records(pair: Pair, count: int) -> list[object]:
    """The last records of the dead-letter partner, read with the administrator's rights."""
    infra = pair.installation.infra
    arguments = client_arguments(pair.hearer.settings, "reader") | {
        "sasl_plain_username": infra.kafka_admin_user,
        "sasl_plain_password": infra.kafka_admin_password,
    }
    topic = pair.hearer.settings.topic_prefix + REPORT_RECEIVED.dlq
    consumer = AIOKafkaConsumer(topic, **arguments, auto_offset_reset="earliest", max_partition_fetch_bytes=8_000_000)
    await consumer.start()
    found = []
    try:
        async with asyncio.timeout(15):
            while len([r for r in found if r.key in {b"k1", b"k2", b"k3", b"k4", b"k5"}]) < count:
                found += [r for batch in (await consumer.getmany(timeout_ms=500)).values() for r in batch]
    finally:
        await consumer.stop()
    return found


async def test_discarding_the_culprit_leaves_its_successors_for_replay(pair: Pair) -> None:
    key = new_id()
    await pair.publish((report("poison", key), 1), (report("next", key), 2))
    await until_letters(pair, 2)
    first = await pair.hearer.pool.fetchval("SELECT min(id) FROM dead_letters")
    assert await pair.hearer.replayer.discard([first], by="test", reason="nobody needs it") == 1
    assert await pair.hearer.pool.fetchval("SELECT count(*) FROM parked_keys") == 1
    [outcome] = await pair.hearer.replayer.replay(None, None, by="test", reason="goes on")
    assert outcome.done
    assert [text for _, _, text in await pair.effects()] == ["next"]
    assert await pair.hearer.pool.fetchval("SELECT count(*) FROM parked_keys") == 0


async def test_a_letter_whose_event_came_again_and_took_effect_does_so_no_second_time(pair: Pair) -> None:
    """It could not be read and so had no id; the producer sent the same event once more, whole."""
    body, event_id = report("whole"), str(new_id())
    headers = [
        ("ce_specversion", b"1.0"), ("ce_id", event_id.encode()), ("ce_source", b"/beegrid/intake"),
        ("ce_type", b"intake.report-received.v1"), ("ce_subject", str(body.report_id).encode()),
        ("ce_time", clock.now().isoformat().encode()), ("ce_aggregateversion", b"1"),
    ]  # fmt: skip
    settings, value = pair.publisher.settings, body.model_dump_json().encode()
    producer = AIOKafkaProducer(**client_arguments(settings, "raw"), enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(settings.topic_prefix + REPORT_RECEIVED.name, value[:-1], b"a", headers=headers)
        await producer.send_and_wait(settings.topic_prefix + REPORT_RECEIVED.name, value, b"b", headers=headers)
    finally:
        await producer.stop()
    await until_letters(pair, 1)
    await pair.until_effects(1)
    await pair.hearer.pool.execute("UPDATE dead_letters SET value = $1", value)
    [outcome] = await pair.hearer.replayer.replay(None, None, by="test", reason="repaired")
    assert outcome.done
    assert "already" in outcome.detail
    assert len(await pair.effects()) == 1


async def test_what_took_effect_by_another_way_while_it_was_tried_is_not_buried(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a member that was thought dead commits after all: the next of the key waits for nothing."""
    key, tries, others = new_id(), 0, set()
    handle, last = pair.handle, pair.hearer.settings.handler_attempts_max
    consumer = pair.hearer.consumers[REPORT_RECEIVED.name]
    give_up = consumer._give_up

    async def elsewhere(event_id: UUID) -> None:
        await pair.hearer.pool.execute("INSERT INTO inbox (event_id) VALUES ($1)", event_id)

    async def failing(work: Work, events: Sequence[Event[Any]]) -> None:
        nonlocal tries
        if any(event.data.text == "contended" for event in events):
            if len(events) == 1:
                tries += 1
            if tries == last and not others:
                others.add(asyncio.create_task(elsewhere(events[0].id)))  # waits until this transaction is undone
                await asyncio.sleep(0.05)
            raise ValueError("contended")
        await handle(work, events)

    async def after_others(pending: Sequence[Pending]) -> bool:
        await asyncio.gather(*others)  # who of both comes first is luck otherwise
        return await give_up(pending)

    monkeypatch.setattr(pair, "handle", failing)
    monkeypatch.setattr(consumer, "_give_up", after_others)
    await pair.publish((report("contended", key), 1), (report("next", key), 2))
    await pair.until_effects(1)
    assert others
    assert [text for _, _, text in await pair.effects()] == ["next"]
    assert await letters(pair) == []
    assert await pair.hearer.pool.fetchval("SELECT count(*) FROM parked_keys") == 0


async def test_a_failing_event_that_is_twice_in_a_batch_is_one_dead_letter(pair: Pair) -> None:
    body, now = report("poison"), clock.now().isoformat().encode()
    headers = (
        ("ce_specversion", b"1.0"), ("ce_id", str(new_id()).encode()), ("ce_source", b"/beegrid/intake"),
        ("ce_type", b"intake.report-received.v1"), ("ce_time", now),
    )  # fmt: skip
    value = body.model_dump_json().encode()
    consumer = pair.hearer.consumers[REPORT_RECEIVED.name]
    async with asyncio.timeout(10):
        await consumer.process([raw_record(offset, value, 1_000, headers) for offset in (1, 2)])
    assert len(await letters(pair)) == 1


async def test_a_broker_that_was_built_again_loses_no_record_to_an_old_letter_of_its_place(pair: Pair) -> None:
    """Its offsets begin at 0; only its clock tells the new record from the old one."""
    consumer = pair.hearer.consumers[REPORT_RECEIVED.name]
    for value, at_ms in ((b"{", 1_000), (b"{", 1_000), (b"[", 2_000)):
        await consumer.process([raw_record(7, value, at_ms)])
    kept = await pair.hearer.pool.fetch("SELECT value, record_ms FROM dead_letters ORDER BY id")
    assert [tuple(row) for row in kept] == [(b"{", 1_000), (b"[", 2_000)]


def raw_record(offset: int, value: bytes, at_ms: int, headers: Sequence[tuple[str, bytes]] = ()) -> Any:
    """A record as the consumer gets it, on partition 0."""
    topic = f"m.{REPORT_RECEIVED.name}"
    return ConsumerRecord(topic, 0, offset, at_ms, 1, None, value, None, -1, len(value), headers)
