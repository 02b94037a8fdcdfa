"""What consumers had not yet read from Kafka: the records between the groups' positions and the topics' ends.

Positions are read before Postgres' snapshot, ends at it. What lies below a position has taken effect in the snapshot;
what lies above and took effect nevertheless is dropped by the inbox when it comes again.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from shared.cli.client import CliError
from shared.events import registry
from shared.events.topic import Latest
from shared.kit.consuming.decode import Decoder
from shared.provision.kafka import connect_admin
from shared.provision.services import service_names
from shared.provision.topology import Cluster

TIMEOUT_S = 30.0
PATH = "kafka/tail.ndjson"
Place = tuple[str, int]
"""(topic as on the cluster, partition)"""


class Reader:
    """Positions of one installation's groups and ends of its topics, as the cluster's administrator."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._admin = connect_admin(cluster.bootstrap, cluster.admin)

    def partitions(self) -> dict[str, int]:
        """Number of partitions of each topic of the installation."""
        found = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return {
            name: len(topic.partitions) for name, topic in found.items() if name.startswith(self._cluster.topic_prefix)
        }

    def ends(self) -> dict[Place, tuple[int, int]]:
        """(first, next) offset of every partition: two requests for all of them, since writers wait meanwhile."""
        places = list(_places(self.partitions()))
        first = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # confluent_kafka has no types for it
        after = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # confluent_kafka has no types for it
        return {place: (first[place], after[place]) for place in places}

    def _offsets(self, places: Sequence[Place], spec: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(topic, number): spec for topic, number in places}
        answers = self._admin.list_offsets(asked, request_timeout=TIMEOUT_S) if asked else {}
        return {(one.topic, one.partition): answer.result().offset for one, answer in answers.items()}

    def positions(self) -> dict[Place, int]:
        """The lowest position of any group in each partition; a service that has none yet begins at 0.

        Groups of companies and city systems count like the suite's own. Topics that keep the latest state of each key
        are read from 0: whoever comes after a restore finds it there.
        """
        prefix = self._cluster.topic_prefix
        counts = self.partitions()
        lowest: dict[Place, int] = {}
        committed = self._committed()
        for service in service_names():
            for topic in registry.consumed_by(service):
                group = f"{prefix}{service}.{topic.member('all')}"
                reads = Decoder(topic, prefix).reads
                heard = {name: count for name, count in counts.items() if reads(name.removeprefix(prefix))}
                for place in _places(heard):
                    committed.setdefault(group, {}).setdefault(place, 0)
        for places in committed.values():
            for place, offset in places.items():
                lowest[place] = min(offset, lowest.get(place, offset))
        states = {prefix + topic.name for topic in registry.topics() if isinstance(topic.kept, Latest)}
        return lowest | dict.fromkeys((place for place in _places(counts) if place[0] in states), 0)

    def _committed(self) -> dict[str, dict[Place, int]]:
        prefix = self._cluster.topic_prefix
        listed = self._admin.list_consumer_groups(request_timeout=TIMEOUT_S).result()
        names = [group.group_id for group in listed.valid if group.group_id.startswith(prefix)]
        found: dict[str, dict[Place, int]] = {}
        for name in names:
            asked = self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(name)], request_timeout=TIMEOUT_S
            )
            answer = asked[name].result()
            found[name] = {
                (one.topic, one.partition): one.offset
                for one in answer.topic_partitions or ()
                if one.offset >= 0 and one.topic.startswith(prefix)
            }
        return found


def publish(cluster: Cluster, file: Path, on_done: Callable[[], None]) -> int:
    """Send a tail's records to their partitions in their order, and wait for every acknowledgement; how many.

    Raises:
        CliError: Kafka has not taken all of them.
    """
    config: dict[str, Any] = dict(cluster.admin.config(cluster.bootstrap))
    producer = Producer({**config, "acks": "all", "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
    failed: list[KafkaError] = []
    sent = 0

    def heard(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error)
        on_done()

    with file.open("rb") as lines:
        for line in lines:
            record = orjson.loads(line)
            arguments: dict[str, Any] = {
                "topic": cluster.topic_prefix + record["topic"],
                "partition": record["partition"],
                "timestamp": max(0, record["timestamp_ms"]),
                "key": _bytes(record["key"]),
                "value": _bytes(record["value"]),
                "headers": [(name, _bytes(value)) for name, value in record["headers"]],
                "on_delivery": heard,
            }
            while True:
                try:
                    producer.produce(**arguments)
                    break
                except BufferError:
                    producer.poll(0.2)
            producer.poll(0)
            sent += 1
    left = producer.flush(TIMEOUT_S * 2)
    if failed or left:
        reason = str(failed[0]) if failed else "no answer"
        raise CliError(
            "Kafka 未收下全部记录 / Kafka has not taken all records",
            f"{len(failed) + left} of {sent}: {reason}",
            hint="the database is as empty as before; the topics may not be: restore into another new suite",
        )
    return sent


def users(names: Sequence[str], user_prefix: str) -> list[str]:
    """Of a cluster's SCRAM users, those of the installation's companies and city systems, without its prefix."""
    own = (name.removeprefix(user_prefix) for name in names if name.startswith(user_prefix))
    return sorted(name for name in own if name.startswith(("company-", "system-")))


def _places(counts: Mapping[str, int]) -> Iterator[Place]:
    for name, count in counts.items():
        yield from ((name, number) for number in range(count))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
