"""The servers of one run: faults and recovery on the same address, and data that stay when asked to."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import redis
from confluent_kafka import Consumer, KafkaException, Producer

from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.suite import Infra, start_infra
from shared.provision.kafka import KafkaAdmin, TopicSpec, client_config, delete_topics, provision_kafka


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


async def test_postgres_is_durable_and_reached_by_password_only(own_infra: Infra) -> None:
    async with connected(own_infra.postgres_admin_url) as db:
        assert await db.fetchval("SHOW server_version_num") >= "180000"
        for name, value in {"fsync": "on", "synchronous_commit": "on", "max_connections": "200"}.items():
            assert await db.fetchval("SELECT current_setting($1)", name) == value
        await db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        assert await db.fetchval("SELECT count(*) FROM pg_stat_statements") >= 0
    assert own_infra.postgres is not None
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_infra.postgres_admin_url.replace(own_infra.postgres.password, "wrong"))


def test_pgbench_runs(own_infra: Infra) -> None:
    assert own_infra.postgres is not None
    words = [str(own_infra.postgres.pgbench), "-i", "-q", "-s", "1", "postgres"]
    subprocess.run(words, env=own_infra.postgres.client_env, check=True, capture_output=True, timeout=30)


async def test_committed_rows_survive_a_kill(own_infra: Infra) -> None:
    server = own_infra.postgres
    assert server is not None
    async with connected(server.admin_url) as db:
        await db.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    server.kill()
    assert not server.running
    with pytest.raises(OSError):
        await asyncpg.connect(server.admin_url, timeout=2)
    server.start()
    async with connected(server.admin_url) as db:
        assert await db.fetchval("SELECT n FROM kept") == 7
        await db.execute("DROP TABLE kept")


async def test_a_paused_postgres_answers_nobody_until_resumed(own_infra: Infra) -> None:
    server = own_infra.postgres
    assert server is not None
    async with connected(server.admin_url) as db:
        server.pause()
        waiting = asyncio.create_task(db.fetchval("SELECT 1"))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        server.resume()
        assert await asyncio.wait_for(waiting, 5) == 1


def test_valkey_forgets_and_stays_at_its_address(own_infra: Infra) -> None:
    server = own_infra.valkey
    assert server is not None
    with contextlib.closing(redis.Redis.from_url(server.url, retry=None)) as client:
        client.set("key", "value")
        server.restart()
        assert client.get("key") is None
    with (
        contextlib.closing(redis.Redis(port=server.port, retry=None)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def _write(bootstrap: str, user: str, password: str, topic: str, value: bytes) -> None:
    """Raises KafkaException when the broker refuses or doesn't acknowledge within 10 s."""
    failed: list[KafkaException] = []
    config = {**client_config(bootstrap, user, password), "message.timeout.ms": 10_000, "log_level": 0}
    producer = Producer({**config, "enable.idempotence": True})
    producer.produce(topic, value, on_delivery=lambda error, _message: failed.append(error) if error else None)
    left = producer.flush(12)
    if failed or left:
        raise KafkaException(failed[0] if failed else "not delivered")


def _read_one(bootstrap: str, user: str, password: str, topic: str) -> bytes | None:
    settings = {"group.id": "check", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer({**client_config(bootstrap, user, password), **settings})
    try:
        consumer.subscribe([topic])
        message = consumer.poll(15)
        return None if message is None or message.error() else message.value()
    finally:
        consumer.close()


def test_acknowledged_events_survive_a_broker_kill(own_infra: Infra) -> None:
    server = own_infra.kafka
    assert server is not None
    admin = KafkaAdmin(server.admin_user, server.admin_password)
    # A test's clean-up must not spoil the broker's next start: deleting users did.
    provision_kafka(server.bootstrap, admin, "old.", [], {"a": "pw"}, [], "old-")
    delete_topics(server.bootstrap, admin, "old.", "old-")
    provision_kafka(server.bootstrap, admin, "kill.", [TopicSpec("t", 1, -1, dlq=False)], {}, [])
    _write(server.bootstrap, admin.user, admin.password, "kill.t", b"kept")
    server.kill()
    server.start()
    assert _read_one(server.bootstrap, admin.user, admin.password, "kill.t") == b"kept"
    delete_topics(server.bootstrap, admin, "kill.")


async def test_a_state_folder_keeps_data_and_addresses(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("state")
    with start_infra(state) as infra:
        before = infra.environment()
        async with connected(infra.postgres_admin_url) as db:
            await db.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        admin = KafkaAdmin(infra.kafka_admin_user, infra.kafka_admin_password)
        provision_kafka(infra.kafka_bootstrap, admin, "x.", [TopicSpec("t", 2, -1, dlq=False)], {}, [])
        with pytest.raises(InfraError, match=f"in use.*process {os.getpid()}"):
            start_infra(state, want={"valkey"})
    with start_infra(state) as infra:
        assert infra.environment() == before
        async with connected(infra.postgres_admin_url) as db:
            assert await db.fetchval("SELECT n FROM kept") == 7
        assert delete_topics(infra.kafka_bootstrap, admin, "x.") == ["x.t"]
    assert (state / "logs" / "kafka.log").stat().st_size > 0
    _forget_moved_data(state)


def _forget_moved_data(state: Path) -> None:
    """As root the data may lie elsewhere: the note says where."""
    from shared.devtools.infra.postgres import moved_folder

    moved = moved_folder(state)
    if moved is not None:
        import shutil

        shutil.rmtree(moved)
