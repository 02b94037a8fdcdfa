"""Alerts as an operator gets them: a real Prometheus asks real processes, and each cause raises its own alert.

Small: a healthy suite is silent, a killed consumer and an unreadable record are told. Full (BEEGRID_FAULTS=full): also
Kafka away, a service without a relay, an overdue emergency, a ledger that doesn't balance; and all end when mended.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from shared.kit.ids import new_id
from tests.faults.support import prometheus
from tests.faults.support.database import ask
from tests.faults.support.kafka import Raw, RawProducer
from tests.faults.support.prometheus import Prometheus
from tests.faults.support.servers import FULL, installed, revive

pytestmark = [
    pytest.mark.skipif(prometheus.PROGRAM is None, reason=prometheus.MISSING),
    pytest.mark.timeout(600),
]
SERVICES = ("routing", "cases", "points")
QUIET_S = 60.0 if FULL else 6.0
# Deadlines and the ledger are measured once a minute.
PATIENCE_S = 100.0
full_only = pytest.mark.skipif(not FULL, reason="only at full size: BEEGRID_FAULTS=full")

SQL_QUEUE_OLD = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload)
VALUES ($1, 'routing.report-routed.v1', 'nobody', 1, now() - interval '5 minutes', '{}')
"""
SQL_OVERDUE = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, lng, lat, cell, seen_at,
                   opened_at, due_at, changed_at)
VALUES (gen_random_uuid(), 1, 'open', true, 'local-gas-smell', 'emergency', '330114000000001', '{}', 120, 30, 0, now(),
        now() - interval '3 hours', now() - interval '1 hour', now())
"""
SQL_VANISHED = "INSERT INTO accounts (rider_id, available) VALUES (gen_random_uuid(), 5)"
SQL_MENDED = "UPDATE accounts SET available = 0 WHERE available = 5"
SQL_LOCK = "SELECT pg_advisory_lock(hashtextextended('beegrid-relay:' || current_schema(), 0))"
SQL_DEPOSE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cases-relay'"


@dataclass
class Watched:
    """A small suite and who watches it."""

    home: Installation
    suite: Suite
    prometheus: Prometheus

    async def until(self, *alerts: str, gone: bool = False) -> None:
        """Wait until these alerts fire, or don't any more."""
        deadline_s = clock.monotonic_s() + PATIENCE_S
        while True:
            firing = self.prometheus.firing()
            if firing.isdisjoint(alerts) if gone else firing.issuperset(alerts):
                return
            assert clock.monotonic_s() < deadline_s, f"{alerts} gone={gone}, firing: {firing}"
            await asyncio.sleep(0.3)

    async def until_silent(self) -> None:
        """Wait until no alert fires."""
        deadline_s = clock.monotonic_s() + PATIENCE_S
        while firing := self.prometheus.firing():
            assert clock.monotonic_s() < deadline_s, f"still firing: {firing}"
            await asyncio.sleep(0.5)


@pytest.fixture(scope="module")
def watched(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Three services, scraped every second."""
    folder = Path(tmp_path_factory.mktemp("alerts"))
    guard = Guard()
    try:
        with installed(mortal, folder / "state", SERVICES) as home:
            suite = Suite(home, guard, folder)
            suite.start(SERVICES)
            ports = {name: [process.port] for name, process in suite.services.items()}
            watcher = prometheus.start(guard, folder / "prometheus", ports)
            yield Watched(home, suite, watcher)
            watcher.stop()
            suite.stop()
    finally:
        guard.close()


async def test_a_healthy_suite_is_silent(watched: Watched) -> None:
    await asyncio.sleep(3)
    await watched.until_silent()
    assert watched.prometheus.scraped() == {f"beegrid-{name}" for name in SERVICES}
    until_s = clock.monotonic_s() + QUIET_S
    while clock.monotonic_s() < until_s:
        assert watched.prometheus.firing() == set()
        await asyncio.sleep(0.5)


async def test_a_killed_consumer_is_told_and_its_return_too(watched: Watched) -> None:
    routing = watched.suite.services["routing"]
    routing.kill()
    await watched.until("ServiceDown routing", "ConsumerSilent routing")
    assert watched.prometheus.firing() == {"ServiceDown routing", "ConsumerSilent routing"}, "and nothing else"
    routing.start()
    await watched.until_silent()


async def test_an_unreadable_record_is_told_until_it_is_given_up(watched: Watched) -> None:
    RawProducer(watched.home).send_all([Raw(REPORT_RECEIVED.name, "x", b"not JSON")])
    await watched.until("DeadLettersOpen routing")
    ask(watched.home.dsn("routing"), "UPDATE dead_letters SET status = 'discarded'; SELECT 1")
    await watched.until("DeadLettersOpen routing", gone=True)


@full_only
async def test_a_lost_broker_is_told(watched: Watched) -> None:
    kafka = watched.home.infra.kafka
    assert kafka is not None
    kafka.pause()
    try:
        ask(watched.home.dsn("routing"), SQL_QUEUE_OLD + " RETURNING id", new_id())
        await watched.until("OutboxStuck routing")
    finally:
        revive(kafka)
    await watched.until("OutboxStuck routing", gone=True)


@full_only
async def test_a_service_without_a_relay_is_told(watched: Watched) -> None:
    async with _usurped(watched.home.dsn("cases")):
        await watched.until("RelayWithoutLeader cases")
    await watched.until("RelayWithoutLeader cases", gone=True)


@asynccontextmanager
async def _usurped(dsn: str) -> AsyncIterator[None]:
    """The relay's lock is held by somebody who relays nothing."""
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        waiting = asyncio.create_task(conn.execute(SQL_LOCK))
        await asyncio.sleep(0.5)
        ask(dsn, SQL_DEPOSE)
        await asyncio.wait_for(waiting, 20)
        yield
    finally:
        await conn.close(timeout=5)


@full_only
async def test_an_overdue_emergency_is_told(watched: Watched) -> None:
    ask(watched.home.dsn("cases"), SQL_OVERDUE + " RETURNING 1")
    await watched.until("DeadlinesMissed emergency")
    ask(watched.home.dsn("cases"), "UPDATE cases SET live = false, state = 'closed'; SELECT 1")
    await watched.until("DeadlinesMissed emergency", gone=True)


@full_only
async def test_a_ledger_that_does_not_balance_is_told(watched: Watched) -> None:
    ask(watched.home.dsn("points"), SQL_VANISHED + " RETURNING 1")
    await watched.until("LedgerUnbalanced points")
    ask(watched.home.dsn("points"), SQL_MENDED + " RETURNING 1")
    await watched.until("LedgerUnbalanced points", gone=True)
