"""Kafka seen from outside, with the administrator's rights: whole topics, raw records, offsets of groups."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.messaging.kafka import REQUEST_BYTES_MAX
from shared.kit.publishing.sending import partition_of
from shared.provision.kafka import TIMESTAMPS, client_config, connect_admin

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of a topic, as the broker has it."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Raw:
    """A record to be produced. `topic` without the installation's prefix."""

    topic: str
    key: str
    value: bytes
    headers: Headers = ()
    timestamp_ms: int = 0
    """When it came to the broker, by the producer; 0: now."""


def _config(installation: Installation, **more: Any) -> dict[str, Any]:
    cluster = installation.cluster
    return {**client_config(cluster.bootstrap, cluster.admin.user, cluster.admin.password), **more}


@contextlib.contextmanager
def _reader(installation: Installation, group: str) -> Iterator[Consumer]:
    reader = Consumer(_config(installation, **{"group.id": group, "enable.auto.commit": False}))
    try:
        yield reader
    finally:
        reader.close()


def _partitions(reader: Consumer, topic: str) -> list[int]:
    return sorted(reader.list_topics(topic, timeout=20).topics[topic].partitions)


def read_topic(installation: Installation, topic: str) -> list[Stored]:
    """Every record from the beginning to the present end, in the order of (partition, offset)."""
    name = installation.topic_prefix + topic
    found: list[Stored] = []
    with _reader(installation, "faults-reader") as reader:
        ends = {p: reader.get_watermark_offsets(TopicPartition(name, p), 20)[1] for p in _partitions(reader, name)}
        missing = {p for p, end in ends.items() if end}
        reader.assign([TopicPartition(name, p, 0) for p in missing])
        deadline_s = clock.monotonic_s() + 60
        while missing:
            assert clock.monotonic_s() < deadline_s, f"{topic} can't be read to its end"
            message = reader.poll(0.5)  # `consume` would wait for as many as were asked for
            if message is None:
                continue
            record = _stored(message)
            if record.offset < ends[record.partition]:
                found.append(record)
            if record.offset >= ends[record.partition] - 1:
                missing.discard(record.partition)
    return sorted(found, key=lambda record: (record.partition, record.offset))


def _stored(message: Message) -> Stored:
    if message.error():
        raise KafkaException(message.error())
    headers = {name: value for name, value in message.headers() or () if isinstance(value, bytes)}
    return Stored(message.partition(), message.offset(), message.key() or b"", message.value() or b"", headers)


class RawProducer:
    """Writes what no service would: any bytes, any repetition. The relay's partitioner."""

    def __init__(self, installation: Installation) -> None:
        self._prefix = installation.topic_prefix
        config = {"acks": "all", "enable.idempotence": True, "linger.ms": 2, "message.max.bytes": REQUEST_BYTES_MAX}
        self._producer = Producer(_config(installation, **config))
        self._counts: dict[str, int] = {}

    def send(self, raw: Raw) -> "Future[tuple[int, int]]":
        """The future has partition and offset, once `flush` was called."""
        name = self._prefix + raw.topic
        if name not in self._counts:
            self._counts[name] = len(self._producer.list_topics(name, timeout=20).topics[name].partitions)
        done: Future[tuple[int, int]] = Future()

        def delivered(error: object, message: Message) -> None:
            if error:
                done.set_exception(KafkaException(error))
            else:
                done.set_result((message.partition(), message.offset()))

        key = raw.key.encode()
        partition = partition_of(key, self._counts[name])
        self._producer.produce(
            name,
            raw.value,
            key,
            partition=partition,
            headers=list(raw.headers),
            on_delivery=delivered,
            timestamp=raw.timestamp_ms,
        )
        self._producer.poll(0)
        return done

    def send_all(self, raws: Iterable[Raw]) -> list[tuple[int, int]]:
        """Partition and offset of each."""
        sent = [self.send(raw) for raw in raws]
        self.flush()
        return [one.result(0) for one in sent]

    def flush(self) -> None:
        """Wait for the broker."""
        assert self._producer.flush(60) == 0, "the broker takes nothing"


@contextlib.contextmanager
def producers_time(installation: Installation, topic: str) -> Iterator[None]:
    """The broker believes producers when a record of this topic came, as it does nowhere else."""
    _stamp(installation, topic, "CreateTime")
    try:
        yield
    finally:
        _stamp(installation, topic, TIMESTAMPS)


def _stamp(installation: Installation, topic: str, kind: str) -> None:
    cluster = installation.cluster
    entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, installation.topic_prefix + topic, incremental_configs=[entry])
    admin = connect_admin(cluster.bootstrap, cluster.admin)  # nobody answers for one that is gone
    [done] = admin.incremental_alter_configs([resource]).values()
    done.result(20)


def group_of(installation: Installation, service: str, topic: str) -> str:
    """The consumer group that the kit gives a service for a topic."""
    return f"{installation.topic_prefix}{service}.{topic}"


def lag(installation: Installation, service: str, topic: str) -> int:
    """Records that the group has not committed."""
    return sum(end - max(0, committed) for end, committed in progress(installation, service, topic))


def progress(installation: Installation, service: str, topic: str) -> list[tuple[int, int]]:
    """Of each partition its end and what the group has committed, below 0 where nothing."""
    name = installation.topic_prefix + topic
    with _reader(installation, group_of(installation, service, topic)) as reader:
        partitions = [TopicPartition(name, p) for p in _partitions(reader, name)]
        ends = [reader.get_watermark_offsets(one, 20)[1] for one in partitions]
        return list(zip(ends, [one.offset for one in reader.committed(partitions, timeout=20)], strict=True))


def wait_consumed(installation: Installation, service: str, topics: Sequence[str], limit_s: float) -> None:
    """Wait until the group of each topic has committed its end."""
    deadline_s = clock.monotonic_s() + limit_s
    while left := {topic: n for topic in topics if (n := _lag_by_now(installation, service, topic))}:
        assert clock.monotonic_s() < deadline_s, f"not consumed within {limit_s} s: {left}"
        time.sleep(0.2)


def _lag_by_now(installation: Installation, service: str, topic: str) -> int | str:
    """The lag, or why a broker that has just come back can't say."""
    try:
        return lag(installation, service, topic)
    except KafkaException as error:
        return str(error)


def rewind(installation: Installation, service: str, topic: str, limit_s: float = 30.0) -> None:
    """Set the group's offsets to 0, as soon as the broker has forgotten the group's last member."""
    cluster = installation.cluster
    admin = connect_admin(cluster.bootstrap, cluster.admin)
    group, name = group_of(installation, service, topic), installation.topic_prefix + topic
    with _reader(installation, group) as reader:
        wanted = [TopicPartition(name, p, 0) for p in _partitions(reader, name)]
    deadline_s = clock.monotonic_s() + limit_s
    while True:
        try:
            [done] = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]).values()
            done.result(20)
        except KafkaException:
            if clock.monotonic_s() > deadline_s:
                raise
            time.sleep(0.3)
        else:
            return
