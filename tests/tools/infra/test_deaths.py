"""Whoever waits for the suite learns that a part of it has died, and whose log to read."""

import asyncio
import contextlib
import dataclasses
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from shared.devtools import up
from shared.devtools.bench.sides import Bench
from shared.devtools.demo import __main__ as demo
from shared.devtools.infra.caddy import Caddy, start_caddy
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.forking import Forking
from shared.devtools.infra.ports import free_port, listens
from shared.devtools.infra.process import ManagedProcess, ServerSpec
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT
from shared.devtools.suite import ServiceProcess, Suite, check_suites
from tests.support import wait_until

SERVERS = ("postgres", "kafka", "valkey")
SERVER = "print('cannot bind: address in use', flush=True); import time; time.sleep(600)"


def stand_in(name: str, guard: Guard, folder: Path) -> ServerSpec:
    """How to run a process that says a word and then does nothing."""
    log = folder / f"{name}.log"
    return ServerSpec(
        name=name,
        argv=[sys.executable, "-c", SERVER],
        home=guard.temp_folder(name),
        log=log,
        ready=lambda _pid: "bind" in log.read_text(),
    )


@pytest.fixture
def suite(tmp_path: Path) -> Any:
    """A suite of one process that is no real service, on no servers."""
    guard = Guard()
    made = Suite(cast(Any, SimpleNamespace(infra=Infra(), services=["routing"])), guard, tmp_path)
    process = ServiceProcess(stand_in("routing", guard, tmp_path), guard, "routing", free_port())
    made.services["routing"] = process
    process.start()
    try:
        yield made
    finally:
        made.stop()
        guard.close()


@pytest.fixture
def whole(suite: Suite, tmp_path: Path) -> Suite:
    """A suite with every part that one can have; none is what its name says."""
    infra = suite.installation.infra
    for name in SERVERS:
        setattr(infra, name, ManagedProcess(stand_in(name, suite.guard, tmp_path), suite.guard))
        getattr(infra, name).start()
    suite.front_door = Caddy(stand_in("caddy", suite.guard, tmp_path), suite.guard, free_port())
    suite.front_door.start()
    suite.forking = Forking(suite.guard, tmp_path / "fork-server.log", ["services.routing"], ROOT)
    suite.forking.start()
    return suite


@contextlib.contextmanager
def watched(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """`make up` after its start; what it says."""
    monkeypatch.setattr(up, "WATCH_EVERY_S", 0.1)
    stop, said = threading.Event(), io.StringIO()
    console = Console(file=said, width=500)
    thread = threading.Thread(target=up.watch, args=(suite, stop, console, suite.logs))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(timeout=30)


def killed_from_outside(suite: Suite, process: ManagedProcess | None = None) -> None:
    """End the process as the kernel would for want of memory."""
    process = process or suite.services["routing"]
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.running)


def test_the_dead_process_is_named_with_the_end_of_its_log(suite: Suite) -> None:
    suite.check()
    killed_from_outside(suite)
    for check in (suite.check, check_suites):
        with pytest.raises(InfraError, match=r"(?s)routing has ended with -9.*routing\.log.*cannot bind"):
            check()
    suite.services["routing"].start()
    suite.check()


def test_the_parts_are_all_processes_that_a_suite_can_have(whole: Suite) -> None:
    infra = whole.installation.infra
    fields = [getattr(one, field.name) for one in (whole, infra) for field in dataclasses.fields(one)]
    processes = [value for value in fields if isinstance(value, ManagedProcess)]
    assert len(processes) == len(SERVERS) + 2
    assert {id(part) for part in whole.parts().values()} == {id(one) for one in [*processes, *whole.services.values()]}


@pytest.mark.parametrize("name", ["Postgres", "Kafka", "Valkey", "Caddy", "fork server", "routing"])
def test_whatever_part_dies_is_named_and_started_again(
    whole: Suite, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = whole.parts()[name]
    killed_from_outside(whole, part)
    with pytest.raises(InfraError, match=f"{part.spec.name} has ended with -9"):
        whole.check()
    with watched(whole, monkeypatch) as said:
        wait_until(lambda: part.running)
    whole.check()
    assert f"{name} 已退出" in said.getvalue() and str(part.spec.log) in said.getvalue()
    assert said.getvalue().count("已退出") == 1


def test_the_front_door_opens_again_where_it_was(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    caddyfile = f":{port} {{\n\tbind 127.0.0.1\n\trespond ok\n}}\n"
    suite.front_door = door = start_caddy(suite.guard, caddyfile, port, log=tmp_path / "caddy.log")
    with watched(suite, monkeypatch) as said:
        killed_from_outside(suite, door)
        wait_until(lambda: door.running and listens(door.pid, port))
    assert "Caddy 已退出" in said.getvalue()


def test_what_was_killed_on_purpose_has_not_died(suite: Suite) -> None:
    suite.services["routing"].kill()
    check_suites()
    suite.services["routing"].start()
    suite.services["routing"].stop()
    check_suites()


def test_a_stopped_suite_is_nobodys_concern(suite: Suite) -> None:
    killed_from_outside(suite)
    suite.stop()
    check_suites()


class _NothingArrives:
    async def fetchval(self, _sql: str) -> int:
        return 0


async def test_the_benchmark_ends_instead_of_waiting(suite: Suite) -> None:
    made = Bench(suite, cast(Any, _NothingArrives()), cast(Any, None), Console(quiet=True))
    killed_from_outside(suite)
    async with asyncio.timeout(5):
        with pytest.raises(InfraError, match="routing has ended"):
            await made.until_notified(10)


async def test_the_demo_ends_instead_of_waiting(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: object) -> bool:
        await asyncio.sleep(600)
        return True

    class NoDoor:
        async def close(self) -> None:
            return None

    monkeypatch.setattr(demo, "_day", for_ever)
    monkeypatch.setattr(demo, "Door", lambda _target: NoDoor())
    options = demo.Options(reports=1, rate=1.0, keep=False)
    killed_from_outside(suite)
    async with asyncio.timeout(5):
        with pytest.raises(InfraError, match="routing has ended"):
            await demo.day(cast(Any, None), options, Console(quiet=True), threading.Event(), suite.check)
