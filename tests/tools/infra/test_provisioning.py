"""Provisioning and migrations against real servers: what isn't granted is refused."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import ConfigResource

from shared.devtools.infra.suite import Infra
from shared.kit import clock
from shared.provision.kafka import (
    Compaction,
    KafkaAdmin,
    TopicSpec,
    client_config,
    connect_admin,
    delete_topics,
    provision_kafka,
)
from shared.provision.kafka_rights import AclSpec
from shared.provision.migrate import MigrationError, migrate
from shared.provision.postgres import database_url, drop_database, provision_postgres
from shared.provision.quotas import Quota

SERVICES = ["riders", "cases"]
PASSWORDS = {f"{service}_{kind}": f"{service}/{kind}@" for service in SERVICES for kind in ("owner", "app")}
HOUR_MS = 3_600_000


@dataclass
class Database:
    admin_url: str
    name: str
    prefix: str

    def url(self, role: str) -> str:
        return database_url(self.admin_url, self.name, self.prefix + role, PASSWORDS[role])

    @contextlib.asynccontextmanager
    async def connect(self, role: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.url(role), timeout=5)
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
def database(own_infra: Infra) -> Iterator[Database]:
    made = Database(own_infra.postgres_admin_url, f"db_{secrets.token_hex(4)}", f"t{secrets.token_hex(3)}_")
    provision_postgres(made.admin_url, made.name, SERVICES, PASSWORDS, made.prefix)
    yield made
    drop_database(made.admin_url, made.name, SERVICES, made.prefix)


def folder(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, sql in files.items():
        (path / f"{name.removeprefix('m')}.sql").write_text(f"-- migrate:up\n{sql}\n-- migrate:down\n")
    return path


async def test_the_app_role_reads_and_writes_rows_of_its_schema_only(database: Database, tmp_path: Path) -> None:
    sql = "CREATE TABLE t (n int); CREATE TABLE sealed (n int);"
    migrate(database.url("riders_owner"), "riders", [folder(tmp_path / "m", m0001_t=sql)])
    migrate(database.url("cases_owner"), "cases", [folder(tmp_path / "c", m0001_t="CREATE TABLE c (n int);")])
    refused = [
        "CREATE TABLE mine (n int)",
        "DROP TABLE t",
        "TRUNCATE t",
        "CREATE TEMP TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (n int)",
        "SELECT * FROM cases.c",
        "DELETE FROM schema_migrations",
        "SET ROLE postgres",
    ]
    async with database.connect("riders_app") as app:
        assert await app.fetchval("INSERT INTO t VALUES (1) RETURNING n") == 1
        assert await app.execute("DELETE FROM t") == "DELETE 1"
        assert await app.fetchval("SELECT version FROM schema_migrations") == "0001"
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
        limits = {"transaction_timeout": "30s", "idle_in_transaction_session_timeout": "30s", "lock_timeout": "10s"}
        limits["random_page_cost"] = "4"
        for name, value in limits.items():
            assert await app.fetchval("SELECT current_setting($1)", name) == value


async def test_provisioning_again_changes_nothing_that_migrations_took_away(database: Database, tmp_path: Path) -> None:
    app_role = f"{database.prefix}riders_app"
    sql = f"CREATE TABLE ledger (n int); REVOKE UPDATE, DELETE ON ledger FROM {app_role};"
    migrate(database.url("riders_owner"), "riders", [folder(tmp_path / "m", m0001_t=sql)])
    provision_postgres(database.admin_url, database.name, SERVICES, PASSWORDS, database.prefix)
    async with database.connect("riders_app") as app:
        await app.execute("INSERT INTO ledger VALUES (1)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("DELETE FROM ledger")


async def test_strangers_cannot_enter_the_database(database: Database, own_infra: Infra) -> None:
    other = Database(own_infra.postgres_admin_url, database.name, f"o{secrets.token_hex(3)}_")
    name = f"db_{secrets.token_hex(4)}"
    provision_postgres(other.admin_url, name, ["riders"], PASSWORDS, other.prefix)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(other.url("riders_app"))
    finally:
        drop_database(other.admin_url, name, ["riders"], other.prefix)


def test_parallel_migrations_run_once(database: Database, tmp_path: Path) -> None:
    kit = folder(tmp_path / "kit", m0000_kit="CREATE TABLE kit (n int);")
    own = folder(tmp_path / "own", m0001_a="SELECT pg_sleep(0.3); CREATE TABLE a (n int);")
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: migrate(database.url("riders_owner"), "riders", [kit, own]), range(3)))
    assert sorted(done) == [[], [], ["0000", "0001"]]


def test_a_wrong_migration_says_what_dbmate_says_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    broken = folder(tmp_path / "m", m0001_a="CREATE TABLE a (n int); CREATE TABEL b (n int);")
    with pytest.raises(MigrationError, match="TABEL"):
        migrate(database.url("riders_owner"), "riders", [broken])
    repaired = folder(tmp_path / "m", m0001_a="CREATE TABLE a (n int); CREATE TABLE b (n int);")
    assert migrate(database.url("riders_owner"), "riders", [repaired]) == ["0001"]


@dataclass
class Cluster:
    bootstrap: str
    admin: KafkaAdmin
    prefix: str
    users: str

    def client(self, user: str) -> dict[str, str | int | float | bool]:
        config = client_config(self.bootstrap, self.users + user, f"{user}-password")
        return {**config, "log_level": 0, "topic.metadata.refresh.interval.ms": 500}

    def write(self, user: str, topic: str, idempotent: bool = True) -> None:
        """Raises KafkaException with the broker's reason.

        An idempotent producer of a user without any right to write fails as a whole and raises nothing useful.
        """
        failed: list[KafkaError] = []
        producer = Producer({**self.client(user), "enable.idempotence": idempotent, "message.timeout.ms": 8000})
        producer.produce(
            self.prefix + topic, b"x", on_delivery=lambda error, _m: failed.append(error) if error else None
        )
        producer.flush(10)
        if failed:
            raise KafkaException(failed[0])

    def read(self, user: str, topic: str, group: str) -> bytes | None:
        """Raises KafkaException with the broker's reason."""
        own = {"group.id": self.prefix + group, "auto.offset.reset": "earliest"}
        consumer = Consumer({**self.client(user), **own})
        try:
            consumer.subscribe([self.prefix + topic])
            message = consumer.poll(10)
            if message is not None and (error := message.error()) is not None:
                raise KafkaException(error)
            return None if message is None else message.value()
        finally:
            consumer.close()


TOPICS = [TopicSpec("riders.changed.v1", 2, HOUR_MS), TopicSpec("inbound.kestrel.riders.v1", 1, HOUR_MS, dlq=False)]
ACLS = [
    AclSpec("riders", write=["riders.changed.v1"], read=["inbound.kestrel.riders.v1"], group_prefixes=["riders"]),
    AclSpec("cases", read=["riders.changed.v1"], group_prefixes=["cases"]),
    AclSpec("company-kestrel", write=["inbound.kestrel.riders.v1"]),
    AclSpec("company-heron", write=["inbound.heron.riders.v1"]),
]
USERS = {spec.user: f"{spec.user}-password" for spec in ACLS}


@pytest.fixture
def cluster(own_infra: Infra) -> Iterator[Cluster]:
    admin = KafkaAdmin(own_infra.kafka_admin_user, own_infra.kafka_admin_password)
    made = Cluster(own_infra.kafka_bootstrap, admin, f"p{secrets.token_hex(3)}.", f"u{secrets.token_hex(3)}-")
    provision_kafka(made.bootstrap, admin, made.prefix, TOPICS, USERS, ACLS, made.users)
    yield made
    delete_topics(made.bootstrap, admin, made.prefix, made.users)


def refused(error: pytest.ExceptionInfo[KafkaException]) -> int:
    return int(error.value.args[0].code())


def test_users_may_do_what_their_rights_say_and_nothing_else(cluster: Cluster) -> None:
    cluster.write("riders", "riders.changed.v1")
    cluster.write("company-kestrel", "inbound.kestrel.riders.v1")
    assert cluster.read("cases", "riders.changed.v1", "cases") == b"x"
    assert cluster.read("riders", "inbound.kestrel.riders.v1", "riders") == b"x"
    with pytest.raises(KafkaException) as error:
        cluster.write("cases", "riders.changed.v1", idempotent=False)
    assert refused(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException) as error:
        cluster.write("company-heron", "inbound.kestrel.riders.v1")
    assert refused(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException) as error:
        cluster.read("riders", "riders.changed.v1", "riders")
    assert refused(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException) as error:
        cluster.read("cases", "riders.changed.v1", "riders")
    assert refused(error) == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_a_second_run_changes_nothing_and_a_changed_one_only_the_difference(cluster: Cluster) -> None:
    again = provision_kafka(cluster.bootstrap, cluster.admin, cluster.prefix, TOPICS, USERS, ACLS, cluster.users)
    assert (again.topics_created, again.topics_altered, again.acls_added, again.acls_removed) == ([], [], 0, 0)
    topics = [TopicSpec("riders.changed.v1", 3, HOUR_MS * 2), TOPICS[1]]
    rights = [AclSpec("cases", group_prefixes=["cases"])]
    changed = provision_kafka(cluster.bootstrap, cluster.admin, cluster.prefix, topics, USERS, rights, cluster.users)
    assert changed.topics_altered == [f"{cluster.prefix}riders.changed.v1"]
    assert (changed.acls_added, changed.acls_removed) == (0, 2)
    with pytest.raises(KafkaException) as error:
        cluster.read("cases", "riders.changed.v1", "cases")
    assert refused(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_topic_that_is_there_already_gets_the_policy_that_is_declared_now(cluster: Cluster) -> None:
    """As an installation's next set-up does, and back again."""

    def policy(topics: list[TopicSpec]) -> tuple[list[str], dict[str, str]]:
        done = provision_kafka(cluster.bootstrap, cluster.admin, cluster.prefix, topics, USERS, ACLS, cluster.users)
        admin = connect_admin(cluster.bootstrap, cluster.admin)
        resource = ConfigResource(ConfigResource.Type.TOPIC, f"{cluster.prefix}riders.changed.v1")
        found = next(iter(admin.describe_configs([resource]).values())).result()
        return done.topics_altered, {name: str(found[name].value) for name in wanted}

    wanted = {
        "cleanup.policy": "compact", "retention.ms": "-1", "min.compaction.lag.ms": str(HOUR_MS),
        "max.compaction.lag.ms": str(HOUR_MS * 2), "delete.retention.ms": str(HOUR_MS * 3), "segment.ms": "86400000",
    }  # fmt: skip
    kept = Compaction(HOUR_MS, HOUR_MS * 2, HOUR_MS * 3)
    compacted = [TopicSpec("riders.changed.v1", 3, -1, compaction=kept), TOPICS[1]]
    assert policy(TOPICS)[1]["cleanup.policy"] == "delete"
    assert policy(compacted) == ([f"{cluster.prefix}riders.changed.v1"], wanted)
    assert policy(compacted) == ([], wanted)
    again, found = policy(TOPICS)
    assert again == [f"{cluster.prefix}riders.changed.v1"]
    assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", str(TOPICS[0].retention_ms))


def test_removal_takes_topics_groups_and_rights_and_locks_users_out(own_infra: Infra) -> None:
    admin = KafkaAdmin(own_infra.kafka_admin_user, own_infra.kafka_admin_password)
    topics = [TopicSpec("a", 1, HOUR_MS)]
    provision_kafka(
        own_infra.kafka_bootstrap, admin, "gone.", topics, {"a": "pw"}, [AclSpec("a", write=["a"])], "gone-"
    )
    assert delete_topics(own_infra.kafka_bootstrap, admin, "gone.", "gone-") == ["gone.a", "gone.a.dlq"]
    assert delete_topics(own_infra.kafka_bootstrap, admin, "gone.", "gone-") == []


def test_the_brokers_clock_stamps_every_record(cluster: Cluster) -> None:
    """A record of a producer whose clock is years behind would be deleted by the next retention run."""
    now_s = clock.unix_s()
    producer = Producer(client_config(cluster.bootstrap, cluster.admin.user, cluster.admin.password))
    stamps: list[tuple[int, int]] = []
    for name in ("riders.changed.v1", "riders.changed.v1.dlq"):
        producer.produce(
            cluster.prefix + name, b"x", timestamp=1_000, on_delivery=lambda _, sent: stamps.append(sent.timestamp())
        )
    assert producer.flush(20) == 0
    assert [kind for kind, _ in stamps] == [TIMESTAMP_LOG_APPEND_TIME] * 2
    assert all(abs(at_ms / 1000 - now_s) < 60 for _, at_ms in stamps)


def test_a_user_that_sends_more_than_its_quota_is_slowed_and_nobody_else(cluster: Cluster) -> None:
    topic = "inbound.kestrel.riders.v1"
    slow = [AclSpec("company-kestrel", write=[topic], quota=Quota(bytes_per_s=1_000, request_percentage=50))]
    provision_kafka(cluster.bootstrap, cluster.admin, cluster.prefix, TOPICS, USERS, slow, cluster.users)

    def throttled(user: str, password: str) -> float:
        heard: list[float] = []
        producer = Producer(
            {
                **client_config(cluster.bootstrap, user, password),
                "throttle_cb": lambda event: heard.append(event.throttle_time),
            }
        )
        for _ in range(20):
            producer.produce(cluster.prefix + topic, b"x" * 5_000)
            producer.flush(0.2)
        producer.purge()
        return max(heard, default=0.0)

    assert throttled(cluster.users + "company-kestrel", USERS["company-kestrel"]) > 1
    assert throttled(cluster.admin.user, cluster.admin.password) == 0
