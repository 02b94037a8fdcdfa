"""Topics, SCRAM users and their rights on a Kafka cluster. Idempotent: run it at every start.

Names in the inputs have no prefix; all names on the cluster get the given one, so several environments can share a
cluster. Users belong to the whole cluster and have a prefix of their own.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from shared.kit import clock
from shared.provision.kafka_rights import AclSpec, bindings, filter_of, give_rights, present_rights
from shared.provision.kafka_waiting import TIMEOUT_S, until, wait_for
from shared.provision.quotas import set_quotas

ASK_S = 1.0
"""How long one question to a cluster that may not be there takes, before what else it says is heard."""
SCRAM_ITERATIONS = 4096
DAY_MS = 86_400_000
DLQ_MORE_BYTES = 131_072
TIMESTAMPS = "LogAppendTime"
SEGMENT_MS = DAY_MS


class KafkaRefuses(KafkaException):
    """A broker answers and doesn't let this user in: waiting changes nothing. The text says who is refused where."""

    def __init__(self, bootstrap: str, user: str, error: KafkaError) -> None:
        super().__init__(error)
        self._words = f"Kafka at {bootstrap} refuses the user {user}: {error.str()}"

    def __str__(self) -> str:
        """In place of the pair of code and text that librdkafka has."""
        return self._words


@dataclass(frozen=True)
class KafkaAdmin:
    """A super user of the cluster."""

    user: str
    password: str
    security_protocol: str = "SASL_PLAINTEXT"
    ca_file: str = ""
    """Of the authority that signs the brokers' certificates; empty: those that the machine trusts."""

    def config(self, bootstrap: str) -> dict[str, str]:
        """librdkafka settings of this administrator."""
        found = client_config(bootstrap, self.user, self.password, self.security_protocol)
        return {**found, "ssl.ca.location": self.ca_file} if self.ca_file else found


@dataclass(frozen=True)
class Compaction:
    """Only the newest record of each key stays: all others may go after `after_ms` and must after `within_ms`.

    Both count from when the broker got the record. A tombstone stays for `tombstones_ms` after that.
    """

    after_ms: int
    within_ms: int
    tombstones_ms: int


@dataclass(frozen=True)
class TopicSpec:
    """A topic and, unless `dlq` is False, its dead-letter partner `<name>.dlq` (one partition, kept longer).

    Records leave `retention_ms` after the broker got them, -1: never; with `compaction` when they are superseded.
    """

    name: str
    partitions: int
    retention_ms: int
    max_message_bytes: int = 1_048_576
    compaction: Compaction | None = None
    dlq: bool = True
    dlq_retention_ms: int = 7 * DAY_MS

    def partner(self) -> "TopicSpec | None":
        """The dead-letter partner. Its records may be larger: they have the record whole, and why it is there."""
        if not self.dlq:
            return None
        most = self.max_message_bytes + DLQ_MORE_BYTES
        return TopicSpec(f"{self.name}.dlq", 1, self.dlq_retention_ms, most, dlq=False)

    @property
    def cleanup_policy(self) -> str:
        """In Kafka's words."""
        return "delete" if self.compaction is None else "compact"

    def config(self) -> dict[str, str | int]:
        """Kafka's settings of the topic."""
        settings: dict[str, str | int] = {
            "retention.ms": self.retention_ms,
            "max.message.bytes": self.max_message_bytes,
            "cleanup.policy": self.cleanup_policy,
            # The broker's time: with the producer's, a record of a wrong clock would be deleted at once, or never.
            "message.timestamp.type": TIMESTAMPS,
            # Nothing leaves the segment that is being written: with a week's, a topic of three days would keep ten.
            "segment.ms": SEGMENT_MS,
        }
        if self.compaction is not None:
            settings |= {
                "min.compaction.lag.ms": self.compaction.after_ms,
                "max.compaction.lag.ms": self.compaction.within_ms,
                "delete.retention.ms": self.compaction.tombstones_ms,
            }
        return settings


@dataclass
class Changes:
    """What a run of `provision_kafka` has changed, in names as they are on the cluster."""

    topics_created: list[str] = field(default_factory=list)
    topics_altered: list[str] = field(default_factory=list)
    acls_added: int = 0
    acls_removed: int = 0


def client_config(
    bootstrap: str, user: str, password: str, security_protocol: str = "SASL_PLAINTEXT"
) -> dict[str, str]:
    """librdkafka settings of a SCRAM-SHA-512 client."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": security_protocol,
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": password,
        "log_level": "2",  # while a broker is away it would fill the terminal; what failed is raised
    }


def provision_kafka(
    bootstrap: str,
    admin: KafkaAdmin,
    prefix: str,
    topics: Sequence[TopicSpec],
    users: Mapping[str, str],
    acls: Sequence[AclSpec],
    user_prefix: str = "",
    replication_factor: int = 1,
) -> Changes:
    """Creates topics, sets users' passwords, gives each user of `acls` exactly its rights below `prefix` and its quota.

    Rights that an earlier run has given and the spec no longer names are taken away. `users` maps names to passwords;
    an `AclSpec` may name a user that isn't in it. Partitions are only ever added. Returns when the cluster shows the
    result. Raises confluent_kafka.KafkaException, TimeoutError.
    """
    client = connect_admin(bootstrap, admin)
    changes = Changes()
    _topics(client, list(_wanted_topics(prefix, topics)), replication_factor, changes)
    set_passwords(client, {user_prefix + name: password for name, password in users.items()})
    wanted = {f"User:{user_prefix}{spec.user}": set(bindings(spec, prefix, user_prefix)) for spec in acls}
    changes.acls_added, changes.acls_removed = give_rights(client, prefix, wanted)
    set_quotas(bootstrap, admin, {user_prefix + spec.user: spec.quota for spec in acls if spec.quota is not None})
    return changes


def delete_topics(bootstrap: str, admin: KafkaAdmin, prefix: str, user_prefix: str = "") -> list[str]:
    """Removes topics, consumer groups and rights below the prefix; locks out the users that begin with `user_prefix`.

    Returns the removed topics. Raises ValueError for an empty prefix, confluent_kafka.KafkaException.
    """
    if not prefix:
        raise ValueError("an empty prefix would remove everything")
    client = connect_admin(bootstrap, admin)
    names = delete_all_of(client, prefix, prefix)
    gone = [filter_of(acl) for acl in present_rights(client, None) if acl.name.startswith(prefix)]
    if gone:
        wait_for(client.delete_acls(gone))
    if user_prefix:
        lock_out(client, [name for name in scram_users(client) if name.startswith(user_prefix)])
    return names


def lock_out(client: AdminClient, users: Iterable[str]) -> list[str]:
    """Give those of these users that are there a password that nobody knows; returns their names.

    Not deleted: once a SCRAM user has been deleted, nobody could log in after the broker's next start (Kafka 4.3.1;
    tests/tools/infra restarts one after `delete_topics`). An unknown password locks a user out as well.
    """
    leaving = sorted(scram_users(client) & set(users))
    set_passwords(client, {name: secrets.token_urlsafe(32) for name in leaving})
    return leaving


def delete_all_of(client: AdminClient, beginning: str, groups: str) -> list[str]:
    """Removes topics whose names begin so, and idle consumer groups of theirs that begin with `groups`.

    Returns the removed topics. Raises ValueError for an empty beginning, confluent_kafka.KafkaException.
    """
    if not beginning or not groups:
        raise ValueError("an empty prefix would remove everything")
    names = sorted(name for name in client.list_topics(timeout=TIMEOUT_S).topics if name.startswith(beginning))
    if names:
        wait_for(client.delete_topics(names, operation_timeout=TIMEOUT_S), KafkaError.UNKNOWN_TOPIC_OR_PART)
        until(lambda: not set(names) & set(client.list_topics(timeout=TIMEOUT_S).topics), "topics")
    listed = client.list_consumer_groups(request_timeout=TIMEOUT_S).result()
    idle = [group.group_id for group in listed.valid if group.group_id.startswith(groups)]
    if idle:
        wait_for(client.delete_consumer_groups(idle), KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND)
    return names


def connect_admin(bootstrap: str, admin: KafkaAdmin, timeout_s: float = TIMEOUT_S) -> AdminClient:
    """A client that has reached the cluster.

    librdkafka may drop the first request when it learns that the bootstrap address is one of the brokers; a new client
    may lose the same race again and again, so the same one asks once more. It goes on asking with a password that is
    refused, too, and says so beside its answers only.

    Raises:
        KafkaRefuses: the user isn't let in; at once.
        confluent_kafka.KafkaException: nobody answers in time.
    """
    refused: list[KafkaError] = []

    def heard(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            refused.append(error)

    config: dict[str, Any] = {**admin.config(bootstrap), "log_level": 0, "error_cb": heard}
    client = AdminClient(config)
    deadline = clock.monotonic_s() + timeout_s
    while True:
        try:
            client.list_topics(timeout=min(ASK_S, max(0.1, deadline - clock.monotonic_s())))
            return client
        except KafkaException:
            client.poll(0)
            if refused:
                raise KafkaRefuses(bootstrap, admin.user, refused[0]) from None
            if clock.monotonic_s() > deadline:
                raise
            time.sleep(0.02)


def _wanted_topics(prefix: str, topics: Iterable[TopicSpec]) -> Iterable[NewTopic]:
    for topic in topics:
        yield _new_topic(prefix, topic)
        if partner := topic.partner():
            yield _new_topic(prefix, partner)


def _new_topic(prefix: str, spec: TopicSpec) -> NewTopic:
    config = {name: str(value) for name, value in spec.config().items()}
    return NewTopic(prefix + spec.name, spec.partitions, config=config)


def _topics(client: AdminClient, wanted: Sequence[NewTopic], replication_factor: int, changes: Changes) -> None:
    present = client.list_topics(timeout=TIMEOUT_S).topics
    fresh = [topic for topic in wanted if topic.topic not in present]
    if fresh:
        for topic in fresh:
            topic.replication_factor = replication_factor
        done = client.create_topics(fresh, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S)
        wait_for(done, KafkaError.TOPIC_ALREADY_EXISTS)  # another run may have been quicker
        changes.topics_created = [topic.topic for topic in fresh]
    kept = [topic for topic in wanted if topic.topic in present]
    grown = [topic for topic in kept if topic.num_partitions > len(present[topic.topic].partitions)]
    if grown:
        wait_for(client.create_partitions([NewPartitions(topic.topic, topic.num_partitions) for topic in grown]))
    altered = _differing(client, kept)
    if altered:
        wait_for(client.incremental_alter_configs(altered))
    changes.topics_altered = sorted({topic.topic for topic in grown} | {resource.name for resource in altered})
    names = {topic.topic for topic in wanted}
    until(lambda: names <= set(client.list_topics(timeout=TIMEOUT_S).topics), "topics")


def _differing(client: AdminClient, topics: Sequence[NewTopic]) -> list[ConfigResource]:
    """Resources with those settings that are to change."""
    if not topics:
        return []
    wanted = {topic.topic: topic.config or {} for topic in topics}
    described = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in wanted])
    changed = []
    for resource, future in described.items():
        present = future.result()
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in wanted[resource.name].items()
            if present[name].value != value
        ]
        if entries:
            changed.append(ConfigResource(ConfigResource.Type.TOPIC, resource.name, incremental_configs=entries))
    return changed


def set_passwords(client: AdminClient, users: Mapping[str, str]) -> None:
    """By user; former ones end. Raises confluent_kafka.KafkaException, TimeoutError."""
    if not users:
        return
    strength = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    upserts: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, strength, password.encode()) for name, password in users.items()
    ]
    wait_for(client.alter_user_scram_credentials(upserts))
    until(lambda: set(users) <= scram_users(client), "users")


def scram_users(client: AdminClient) -> set[str]:
    """The names of all users of the cluster."""
    # Without names it returns one future for all users, with names one for each: the declared type is the union.
    described: Any = client.describe_user_scram_credentials()
    return set(described.result())
