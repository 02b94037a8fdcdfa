"""Kafka as somebody outside has it: their rights, their groups, their topics, for checks that try the way itself."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from shared.cli.client import CliError
from shared.cli.cluster import public_address
from shared.cli.steps import STEP_S
from shared.kit import clock
from shared.provision.kafka import KafkaAdmin, connect_admin
from shared.provision.kafka_rights import AclSpec
from shared.provision.topology import Cluster, lent_user

POLL_S = 0.5
CHECKING = ".check"
"""How the names of users end that exist for a check; no code has a dot."""


@dataclass(frozen=True)
class Login:
    """A user's client settings on the public address. `group`: a group that its rights allow."""

    settings: dict[str, str]
    group: str

    @property
    def user(self) -> str:
        """Its whole name."""
        return self.settings["sasl.username"]


@contextmanager
def logged_in(cluster: Cluster, rights: AclSpec, password: str) -> Iterator[Login]:
    """The user itself where its password is given; else another one with the same rights, which ends with the block.

    Raises:
        CliError: Kafka doesn't let it in.
    """
    if password:
        yield _login(cluster, rights, password)
        return
    word = secrets.token_urlsafe(24)
    with lent_user(cluster, rights, f"{rights.user}{CHECKING}", word) as lent:
        yield _login(cluster, lent, word)


def _login(cluster: Cluster, rights: AclSpec, password: str) -> Login:
    user = cluster.user_prefix + rights.user
    admin = KafkaAdmin(user, password, cluster.admin.security_protocol, cluster.admin.ca_file)
    bootstrap = public_address(cluster)
    try:
        connect_admin(bootstrap, admin)
    except KafkaException as error:
        raise CliError(
            "Kafka 不接受该用户 / Kafka doesn't let the user in",
            str(error),
            hint="is the password the newest, and the address the one advertised outside (BEEGRID_KAFKA_PUBLIC)?",
        ) from error
    return Login(admin.config(bootstrap), f"{cluster.topic_prefix}{rights.group_prefixes[0]}check")


class Reader:
    """Reads topics as a member of a group and keeps all that has come. Commits nothing."""

    def __init__(self, login: Login, topics: Sequence[str], *, beginning: bool) -> None:
        self._consumer = Consumer(
            {
                **login.settings,
                "group.id": login.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest" if beginning else "latest",
                "enable.partition.eof": True,
            }
        )
        self.seen: list[Message] = []
        self.ended: set[tuple[str, int]] = set()
        """Partitions whose end has been reached."""
        self._topics = list(topics)

    def __enter__(self) -> "Reader":
        self._consumer.subscribe(self._topics)
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def join(self, partitions: int) -> None:
        """Until all partitions are this member's and stand where reading begins. Raises CliError."""
        deadline_s = clock.monotonic_s() + STEP_S
        while len(self.ended) < partitions and clock.monotonic_s() < deadline_s:
            self.poll()
        if len(self.ended) < partitions:
            raise CliError("没有读到末尾 / The end wasn't reached", f"{len(self.ended)} of {partitions} partitions")

    def poll(self) -> None:
        """Take what is there, or wait a moment. Raises CliError for what Kafka refuses."""
        message = self._consumer.poll(POLL_S)
        if message is None:
            return
        error = message.error()
        if error is None:
            self.seen.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            self.ended.add((message.topic() or "", message.partition() or 0))
        elif not error.retriable():
            raise CliError("Kafka 拒绝读取 / Kafka refuses to be read", error.str(), hint="`beegrid companies kafka …`")

    def first(self, good: Callable[[Message], Any], what: str, hint: str) -> Any:
        """What `good` makes of the first record, seen or to come, of which it makes anything. Raises CliError."""
        deadline_s, at = clock.monotonic_s() + STEP_S, 0
        while True:
            for message in self.seen[at:]:
                if (found := good(message)) is not None:
                    return found
            at = len(self.seen)
            if clock.monotonic_s() > deadline_s:
                raise CliError("没有等到 / It didn't come", f"{what} within {STEP_S:.0f} s", hint=hint)
            self.poll()


def headers_of(message: Message) -> dict[str, str]:
    """A record's headers as text; the last of a name counts."""
    found: Any = message.headers() or ()  # pairs, which the declaration doesn't say
    return {name: (value or b"").decode("utf-8", "replace") for name, value in found}


def write(login: Login, topic: str, key: str, value: bytes, codec: str = "zstd") -> str:
    """Write one record and wait for the brokers' word; where it is. Raises CliError."""
    answers: list[tuple[KafkaError | None, Message]] = []
    producer = Producer({**login.settings, "compression.type": codec, "message.timeout.ms": int(STEP_S * 1000)})
    producer.produce(topic, value, key, on_delivery=lambda error, message: answers.append((error, message)))
    producer.flush(STEP_S)
    if not answers:
        raise CliError("Kafka 没有应答 / Kafka doesn't answer", topic)
    error, message = answers[0]
    if error is not None:
        raise CliError("Kafka 拒绝写入 / Kafka refuses the record", f"{topic}: {error.str()}")
    return f"{topic} {message.partition()}:{message.offset()}"
