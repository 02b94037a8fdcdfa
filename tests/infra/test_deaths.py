"""Whoever waits for the suite learns that a part of it has died, and whose log to read."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from shared.devtools.bench import __main__ as bench
from shared.devtools.demo import __main__ as demo
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.process import ServerSpec
from shared.devtools.infra.watchdog import Guard
from shared.devtools.suite import ServiceProcess, Suite, check_suites
from shared.kit import clock

SERVER = "print('cannot bind: address in use', flush=True); import time; time.sleep(600)"


@pytest.fixture
def suite(tmp_path: Path) -> Any:
    """A suite of one process that is no real service, on no servers."""
    guard = Guard()
    nothing = SimpleNamespace(postgres=None, kafka=None, valkey=None)
    made = Suite(cast(Any, SimpleNamespace(infra=nothing)), guard, tmp_path)
    spec = ServerSpec(
        name="routing",
        argv=[sys.executable, "-c", SERVER],
        home=guard.temp_folder("routing"),
        log=tmp_path / "routing.log",
        ready=lambda _pid: "bind" in (tmp_path / "routing.log").read_text(),
    )
    process = ServiceProcess(spec, guard, "routing", free_port())
    made.services["routing"] = process
    process.start()
    try:
        yield made
    finally:
        made.stop()
        guard.close()


def killed_from_outside(suite: Suite) -> None:
    """End the process as the kernel would for want of memory."""
    process = suite.services["routing"]
    os.kill(process.pid, signal.SIGKILL)
    deadline_s = clock.monotonic_s() + 10
    while not process.died:
        assert clock.monotonic_s() < deadline_s


def test_the_dead_process_is_named_with_the_end_of_its_log(suite: Suite) -> None:
    suite.check()
    killed_from_outside(suite)
    for check in (suite.check, check_suites):
        with pytest.raises(InfraError, match=r"(?s)routing has ended with -9.*routing\.log.*cannot bind"):
            check()
    suite.services["routing"].start()
    suite.check()


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
    made = bench.Bench(suite, cast(Any, _NothingArrives()), cast(Any, None), Console(quiet=True))
    killed_from_outside(suite)
    async with asyncio.timeout(5):
        with pytest.raises(InfraError, match="routing has ended"):
            await made.until_told(10)
        with pytest.raises(InfraError, match="routing has ended"):
            await bench.until_known(made, 10)


async def test_the_demo_ends_instead_of_waiting(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: object) -> bool:
        await asyncio.sleep(600)
        return True

    class NoDoor:
        async def close(self) -> None:
            return None

    monkeypatch.setattr(demo, "_day", for_ever)
    monkeypatch.setattr(demo, "Door", lambda _target: NoDoor())
    options = demo.Options(1, 1.0, None, False)
    killed_from_outside(suite)
    async with asyncio.timeout(5):
        with pytest.raises(InfraError, match="routing has ended"):
            await demo.day(cast(Any, None), options, Console(quiet=True), threading.Event(), suite.check)
