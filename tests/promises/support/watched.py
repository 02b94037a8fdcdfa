"""A suite with a real Prometheus beside it, and what causes of alerts are made of: locks, replicas, repetition."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import ServiceProcess, Suite, local_settings
from shared.kit import clock
from shared.kit.measuring import LEADER_POLL_S
from shared.provision.postgres import owner_role
from shared.provision.services import service_names
from tests import support
from tests.full import FULL
from tests.promises.support import prometheus
from tests.promises.support.database import ask
from tests.promises.support.prometheus import Prometheus
from tests.promises.support.servers import installed
from tests.promises.support.town import SETTINGS, Town, built

SOME_SERVICES = ("routing", "cases", "points")
# The pool is judged by the average of five minutes, which a process of half a minute's age has soon; with the rest of
# the machine's work beside it.
PATIENCE_S = 150.0
# Ten bad ones in a hundred take thousands of good ones.
OUTWEIGH_S = 240.0
SQL_RELAY_LOCK = "SELECT pg_advisory_lock(hashtextextended('beegrid-relay:' || current_schema(), 0))"
SQL_RELAY_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
SQL_QUEUED = """
SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND NOT granted AND application_name = 'usurper'
"""


@dataclass
class Watched:
    """A suite and who watches it. `built_town`: at full size, a city with a company in it."""

    home: Installation
    suite: Suite
    prometheus: Prometheus
    built_town: Town | None = None

    @property
    def town(self) -> Town:
        """The city; only at full size."""
        assert self.built_town is not None
        return self.built_town

    def owner(self, service: str) -> str:
        """The database as the schema's owner sees it, whose sessions may lock and wait for as long as they like."""
        return self.home.dsn(service, owner_role)

    async def until(self, *alerts: str, gone: bool = False) -> None:
        """Wait until these alerts fire, or don't any more."""
        await until(
            lambda: self.prometheus.firing().isdisjoint(alerts) if gone else self.prometheus.firing() >= set(alerts),
            lambda: f"{alerts} gone={gone}, firing: {self.prometheus.firing()}",
        )

    async def outweigh(self, alert: str, good: Callable[[], Awaitable[None]]) -> None:
        """Let good things happen, again and again, until the share of bad ones no longer raises the alert."""
        deadline_s = clock.monotonic_s() + OUTWEIGH_S
        while firing := {one for one in self.prometheus.firing() if one.startswith(alert)}:
            assert clock.monotonic_s() < deadline_s, f"still firing: {firing}"
            await good()

    async def until_silent(self) -> None:
        """Wait until no alert fires."""
        await until(lambda: not self.prometheus.firing(), lambda: f"still firing: {self.prometheus.firing()}")

    async def replica(self, service: str, name: str, **settings: str) -> ServiceProcess:
        """One more process of a service, watched too; it lives on, so that its alerts are seen ending."""
        process = await asyncio.to_thread(self.suite.add, service, name, settings)
        self.prometheus.watch(service, process.port)
        return process

    async def measured_again(self, service: str, gauge: str) -> None:
        """Have a figure that is measured once in minutes measured now: by taking the relay's lead away for a moment."""
        processes = [process for process in self.suite.services.values() if process.service == service]
        async with usurped(self.home.dsn(service), service):
            # The leader asks so often whether it still leads; nobody sees that it knows where it had nothing to show.
            await asyncio.sleep(3 * LEADER_POLL_S)
            await until(
                lambda: not any(shown(process, gauge) for process in processes),
                lambda: f"{service} goes on showing {gauge}",
            )


async def until(true: Callable[[], bool], otherwise: Callable[[], str], limit_s: float = PATIENCE_S) -> None:
    """Ask in a thread, since Prometheus and Postgres are asked there and wait, until it is true."""
    await support.until(lambda: asyncio.to_thread(true), otherwise, limit_s)


def shown(process: ServiceProcess, gauge: str) -> list[float]:
    """The gauge's values on the process's own page, without NaN."""
    page = httpx.get(f"{process.url}/metrics", timeout=5, trust_env=False).text
    values = [float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(gauge)]
    return [value for value in values if value == value]


@asynccontextmanager
async def session(dsn: str, *statements: str) -> AsyncIterator[None]:
    """Somebody's session that executes these, beginning with a transaction which is never committed."""
    conn = await asyncpg.connect(dsn, timeout=10, server_settings={"lock_timeout": "20s"})
    try:
        for statement in ("BEGIN", *statements):
            await conn.execute(statement)
        yield
    finally:
        await conn.close(timeout=5)


def locked(dsn: str, table: str) -> contextlib.AbstractAsyncContextManager[None]:
    """A table that nobody else can read or write meanwhile."""
    return session(dsn, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


@asynccontextmanager
async def usurped(dsn: str, service: str) -> AsyncIterator[None]:
    """The relay's lock is held by somebody who relays nothing."""
    conn = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "usurper"})
    try:
        waiting = asyncio.create_task(conn.execute(SQL_RELAY_LOCK))
        await until(lambda: bool(ask(dsn, SQL_QUEUED)), lambda: "the usurper doesn't wait for the lock")
        ask(dsn, SQL_RELAY_END, f"{service}-relay")
        await asyncio.wait_for(waiting, 20)
        yield
    finally:
        await conn.close(timeout=5)


@asynccontextmanager
async def repeated(act: Callable[[], Awaitable[None]], every_s: float = 1.0, crowd: int = 1) -> AsyncIterator[None]:
    """A `crowd` does it now, and again and again until the end of the block, which waits for the turns under way."""
    enough = asyncio.Event()

    async def turns() -> None:
        while not enough.is_set():
            await act()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), every_s)

    running = [asyncio.create_task(turns()) for _ in range(crowd)]
    try:
        yield
    finally:
        enough.set()
        await asyncio.gather(*running)


@asynccontextmanager
async def watching(infra: Infra, folder: Path) -> AsyncIterator[Watched]:
    """Three services, or at full size all eight with a front door and a city; scraped every second."""
    services = service_names() if FULL else SOME_SERVICES
    guard = Guard()
    try:
        with installed(infra, folder / "state", services) as home:
            suite = Suite(home, guard, folder, overrides={**local_settings(folder), **SETTINGS})
            try:
                suite.start(services)
                town = await built(suite) if FULL else None
                # After the first, slow requests of cold processes: what it counts begins with its first look.
                ports = {name: process.port for name, process in suite.services.items()}
                watcher = prometheus.start(guard, folder / "prometheus", ports)
                yield Watched(home, suite, watcher, town)
                watcher.stop()
                if town is not None:
                    await town.door.close()
            finally:
                suite.stop()
    finally:
        guard.close()
