"""What days do to a topic that keeps the latest state of each key, at once and by a real broker's own cleaner."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from shared.devtools.installation import Installation
from shared.events.envelope import Envelope, to_headers
from shared.events.registry import AnyTopic
from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.kafka import connect_admin

CLEANED_WITHIN_S = 120.0
QUICK = {
    "segment.ms": "1",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "0",
}
"""Instead of days. Everything else is as provisioning has made it."""


@dataclass(frozen=True)
class Stored:
    """A record as it lies on a topic; `value` None: a tombstone."""

    partition: int
    key: str
    value: bytes | None
    headers: dict[str, str]


def stored(installation: Installation, topic: AnyTopic) -> list[Stored]:
    """Every record of a topic, in each partition's order, as somebody reads them who comes now."""
    name = installation.topic_prefix + topic.name
    config: dict[str, Any] = {"group.id": f"{installation.topic_prefix}late", "enable.partition.eof": True}
    config |= {"enable.auto.commit": False, "auto.offset.reset": "earliest"}  # where the first records are no more
    reader = Consumer({**_config(installation), **config})
    try:
        left = set(range(topic.partitions))
        reader.assign([TopicPartition(name, partition, 0) for partition in left])
        return list(_up_to_the_end(reader, left))
    finally:
        reader.close()


def _up_to_the_end(reader: Consumer, left: set[int]) -> Iterator[Stored]:
    until_s = clock.monotonic_s() + 60
    while left:
        assert clock.monotonic_s() < until_s, f"no end of {left}"
        message = reader.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield _stored(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition() or 0)


def _stored(message: Message) -> Stored:
    headers = {name: value.decode() for name, value in message.headers() or () if isinstance(value, bytes)}
    return Stored(message.partition() or 0, (message.key() or b"").decode(), message.value(), headers)


async def days_pass(installation: Installation, *topics: AnyTopic) -> None:
    """Until the broker has taken out all superseded records and all tombstones of the topics.

    Of each partition the segment that is being written stays: other keys' tombstones begin it.
    """
    await asyncio.to_thread(_quicken, installation, topics)
    until_s = clock.monotonic_s() + CLEANED_WITHIN_S
    await asyncio.gather(*(_cleaned(installation, topic, until_s) for topic in topics))


async def _cleaned(installation: Installation, topic: AnyTopic, until_s: float) -> None:
    beats: set[str] = set()
    while (left := await asyncio.to_thread(_superseded, installation, topic, beats)) > 0:
        assert clock.monotonic_s() < until_s, f"{left} records of {topic.name} have not left"
        beats |= await asyncio.to_thread(_beat, installation, topic)
        await asyncio.sleep(1.0)


def _superseded(installation: Installation, topic: AnyTopic, beats: set[str]) -> int:
    """How many records have still to go; one more where no later segment has begun yet."""
    found = [record for record in stored(installation, topic) if record.key not in beats]
    there = [record for record in found if record.value is not None]
    return len(found) - len({record.key for record in there}) + (not beats)


def _beat(installation: Installation, topic: AnyTopic) -> set[str]:
    """A tombstone like the suite's of a key of its own in each partition: a segment ends when another record comes."""
    producer, keys = Producer(_config(installation)), set[str]()
    for partition in range(topic.partitions):
        keys.add(key := str(new_id()))
        envelope = Envelope(new_id(), topic.name, "/beegrid/tests", key, 1, clock.now())
        producer.produce(installation.topic_prefix + topic.name, None, key, partition, headers=to_headers(envelope))
    assert producer.flush(20) == 0
    return keys


def _quicken(installation: Installation, topics: Sequence[AnyTopic]) -> None:
    cluster = installation.cluster
    admin = connect_admin(cluster.bootstrap, cluster.admin)
    names = [cluster.topic_prefix + topic.name for topic in topics]
    changes = [[_changed(ConfigResource.Type.TOPIC, name, QUICK) for name in names]]
    # how often the cleaner looks: nobody else on this broker minds
    for broker in admin.list_topics(timeout=20).brokers:
        changes.append([_changed(ConfigResource.Type.BROKER, str(broker), {"log.cleaner.backoff.ms": "200"})])
    for change in changes:
        for answer in admin.incremental_alter_configs(change).values():
            answer.result()


def _changed(kind: Any, name: str, settings: dict[str, str]) -> ConfigResource:
    entries = [ConfigEntry(key, to, incremental_operation=AlterConfigOpType.SET) for key, to in settings.items()]
    return ConfigResource(kind, name, incremental_configs=entries)


def _config(installation: Installation) -> dict[str, Any]:
    cluster = installation.cluster
    return dict(cluster.admin.config(cluster.bootstrap))
