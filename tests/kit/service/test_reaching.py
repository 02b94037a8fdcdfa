"""A service at its start: who is away is waited for without a traceback, who refuses ends it with the reason."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.gen.openapi import service_of
from shared.devtools.infra.ports import free_port
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.postgres.db import Connection
from shared.kit.postgres.schema import SchemaBehind, see_applied, versions_of
from shared.kit.run import EXIT_MISCONFIGURED
from shared.kit.service import reaching
from shared.kit.service.reaching import Refused, reach
from shared.kit.settings import KitSettings
from tests.support import owner_of

SERVICE = "routing"


def settings_of(installation: Installation, **changes: str) -> KitSettings:
    given = {
        "postgres_dsn": installation.dsn(SERVICE),
        "kafka_bootstrap": installation.infra.kafka_bootstrap,
        "kafka_username": installation.environment(SERVICE)["BEEGRID_KAFKA_USERNAME"],
        "kafka_password": installation.environment(SERVICE)["BEEGRID_KAFKA_PASSWORD"],
        "redis_url": "redis://127.0.0.1:1/0",
        "jwks_url": "file:///nowhere",
    }
    return KitSettings(**{**given, **changes})  # type: ignore[arg-type]  # text, as the environment gives it


async def test_both_let_it_in(installation: Installation) -> None:
    await reach(settings_of(installation), SERVICE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kafka_password": "wrong"}, "refuses the user"),
        ({"kafka_username": "nobody"}, "refuses the user nobody"),
        ({"postgres_dsn": "wrong"}, "Postgres refuses: password authentication failed"),
        ({"postgres_dsn": "elsewhere"}, 'Postgres refuses: database "elsewhere" does not exist'),
    ],
)
async def test_who_is_refused_is_named_at_once(installation: Installation, change: dict[str, str], words: str) -> None:
    if change.get("postgres_dsn") == "wrong":
        change = {"postgres_dsn": installation.dsn(SERVICE).replace("@", "x@")}
    elif change.get("postgres_dsn") == "elsewhere":
        change = {"postgres_dsn": f"{installation.dsn(SERVICE).rpartition('/')[0]}/elsewhere"}
    began_s = clock.monotonic_s()
    with pytest.raises(Refused, match=words):
        await reach(settings_of(installation, **change), SERVICE)
    assert clock.monotonic_s() - began_s < 5


async def test_another_broker_is_asked_where_the_first_is_away(installation: Installation) -> None:
    away = f"127.0.0.1:{free_port()},{installation.infra.kafka_bootstrap}"
    await reach(settings_of(installation, kafka_bootstrap=away), SERVICE)


def started(installation: Installation, log: Path, **changes: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **installation.environment(SERVICE), "BEEGRID_HTTP_PORT": str(free_port()), **changes}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", f"services.{SERVICE}"], env=environment, stdout=file, stderr=subprocess.STDOUT
        )


@asynccontextmanager
async def asyncpg_connection(installation: Installation) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(installation.dsn(SERVICE))
    try:
        yield conn
    finally:
        await conn.close()


def lines_of(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def until_said(log: Path, event: str) -> None:
    until_s = clock.monotonic_s() + 60
    while not any(line["event"] == event for line in lines_of(log)):
        assert clock.monotonic_s() < until_s, log.read_text()
        time.sleep(0.2)


def test_a_wrong_password_ends_the_process_with_the_reason(installation: Installation, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = started(installation, log, BEEGRID_KAFKA_PASSWORD="wrong")
    assert process.wait(30) == EXIT_MISCONFIGURED
    assert "Traceback" not in log.read_text()
    reason = next(str(line["reason"]) for line in lines_of(log) if line["event"] == "service_refused")
    assert "refuses the user" in reason
    assert "BEEGRID_KAFKA_PASSWORD" in reason


def test_it_waits_for_a_kafka_that_comes_late(installation: Installation, tmp_path: Path) -> None:
    """One line says what it waits for, and when the broker is there it goes on: here a way to it opens late."""
    log, port = tmp_path / "log", free_port()
    process = started(installation, log, BEEGRID_KAFKA_BOOTSTRAP=f"127.0.0.1:{port}")
    relay = None
    try:
        until_said(log, "server_awaited")
        time.sleep(4)
        assert process.poll() is None, log.read_text()
        waits = [line for line in lines_of(log) if line["event"] == "server_awaited"]
        assert [line["server"] for line in waits] == ["kafka"]
        assert str(port) in str(waits[0]["error"])
        host, _, real = installation.infra.kafka_bootstrap.rpartition(":")
        relay = subprocess.Popen([sys.executable, "-c", FORWARD, str(port), host, real])
        until_said(log, "service_started")
        assert "Traceback" not in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if relay is not None:
            relay.kill()
            relay.wait()


async def forget_newest(installation: Installation) -> str:
    """As if the release's last migration had not run; which one."""
    async with owner_of(installation, SERVICE) as owner:
        gone: str = await owner.fetchval(
            "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations) "
            "RETURNING version"
        )
    return gone


async def remember(installation: Installation, version: str) -> None:
    async with owner_of(installation, SERVICE) as owner:
        await owner.execute("INSERT INTO schema_migrations (version) VALUES ($1) ON CONFLICT DO NOTHING", version)


async def test_it_waits_for_its_releases_migrations(installation: Installation, tmp_path: Path) -> None:
    log, lacking = tmp_path / "log", await forget_newest(installation)
    try:
        process = started(installation, log)
        until_said(log, "server_awaited")
        [error] = [str(line["error"]) for line in lines_of(log) if line["event"] == "server_awaited"]
        assert f"lacks this release's migrations {lacking}: " in error and "shared.provision.setup" in error
        assert process.poll() is None and "service_started" not in log.read_text()
        await remember(installation, lacking)
        until_said(log, "service_started")
    finally:
        await remember(installation, lacking)
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def test_a_schema_that_is_newer_than_the_code_is_fine(installation: Installation) -> None:
    """In a rolling update, and on the way back, the former release starts on what the newer one has migrated."""
    wanted = versions_of(service_of(SERVICE).migrations)
    assert len(wanted) > 5
    try:
        await remember(installation, "99999")
        async with asyncio.timeout(10):
            await reach(settings_of(installation), SERVICE, wanted)
        async with asyncpg_connection(installation) as conn:
            with pytest.raises(SchemaBehind, match=r"migrations 99998: "):
                await see_applied(conn, wanted | {"99998"})
    finally:
        async with owner_of(installation, SERVICE) as owner:
            await owner.execute("DELETE FROM schema_migrations WHERE version = '99999'")


async def test_where_nothing_is_migrated_all_is_lacking(installation: Installation) -> None:
    async with asyncpg_connection(installation) as conn:
        await conn.execute("SET search_path = pg_catalog")
        with pytest.raises(SchemaBehind, match=r"1, 2, 3, 4, 5 and 2 more: run this release's set-up"):
            await see_applied(conn, list("7654321"))


def test_a_signal_ends_the_waiting(installation: Installation, tmp_path: Path) -> None:
    process = started(installation, tmp_path / "log", BEEGRID_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    until_said(tmp_path / "log", "server_awaited")
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == -signal.SIGTERM
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_it_is_said_once_a_minute(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = [1_000.0]

    async def sleep(_: float) -> None:
        now_s[0] += 5.0
        if now_s[0] > 1_600.0:
            raise InterruptedError

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(reaching.clock, "monotonic_s", lambda: now_s[0])
        monkeypatch.setattr(reaching.asyncio, "sleep", sleep)
        said: list[str] = []
        monkeypatch.setattr(reaching.log, "warning", lambda event, **_: said.append(event))
        bootstrap = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(InterruptedError):
            await reaching._until(
                lambda: reaching._ask_kafka(settings_of(installation, kafka_bootstrap=bootstrap), SERVICE), "kafka"
            )
    assert len(said) == 11, said


FORWARD = """
import asyncio, sys
port, host, real = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def serve(reader, writer):
    there, back = await asyncio.open_connection(host, real)
    await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()
asyncio.run(main())
"""
