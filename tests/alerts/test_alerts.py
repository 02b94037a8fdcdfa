"""Alerts as an operator gets them: a real Prometheus asks real processes, and each cause raises its own alert.

Small: a healthy suite of three services is silent, a killed consumer and an unreadable record alert until repaired.
Full (BEEGRID_FAULTS=full): all services, every rule of ops/prometheus/rules by its real cause, and every panel.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.devtools.infra.suite import Infra
from shared.events.case_changed import CASE_CHANGED
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from tests.full import FULL, full_only
from tests.promises.support import prometheus
from tests.promises.support.causes import GROUPS, Cause
from tests.promises.support.causes_processes import certificate
from tests.promises.support.database import ask
from tests.promises.support.kafka import Raw, RawProducer
from tests.promises.support.panels import empty, queries
from tests.promises.support.runbook_commands import commands, desk, fault_of
from tests.promises.support.watched import Watched, until, watching

pytestmark = [
    pytest.mark.skipif(prometheus.PROGRAM is None, reason=prometheus.MISSING),
    pytest.mark.timeout(900),
]
QUIET_S = 30.0 if FULL else 6.0
SQL_LETTERS = "SELECT id FROM dead_letters WHERE status = 'dead' ORDER BY id DESC"
SQL_DEAD_DELIVERY = """
INSERT INTO deliveries (event_id, lane, target_id, template, params, state, attempts_allowed, next_attempt_at,
                        created_at, finished_at)
VALUES (gen_random_uuid(), 'webhook', gen_random_uuid(), 'webhook_test', '{}', 'dead', 1, now(), now(), now())
RETURNING delivery_id
"""


@pytest.fixture(scope="module")
async def watched(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """One suite and one Prometheus for all of these tests."""
    async with watching(mortal, Path(tmp_path_factory.mktemp("alerts"))) as made:
        yield made


async def test_a_healthy_suite_is_silent(watched: Watched) -> None:
    """At full size with a little traffic: a report a second, and one that is handled to its end."""
    services = {process.service for process in watched.suite.services.values()}
    jobs = {f"beegrid-{name}" for name in services}
    await until(lambda: watched.prometheus.scraped() == jobs, lambda: f"answered: {watched.prometheus.scraped()}")
    await watched.until_silent()
    story = asyncio.create_task(watched.town.whole_story()) if FULL else None
    until_s = clock.monotonic_s() + QUIET_S
    while clock.monotonic_s() < until_s:
        assert watched.prometheus.firing() == set()
        if FULL:
            await watched.town.hand_in(1)
        await asyncio.sleep(1.0)
    if story is not None:
        await story
    assert watched.prometheus.firing() == set()


@pytest.mark.parametrize(
    "causes",
    [
        pytest.param(group, id=", ".join(cause.name for cause in group), marks=() if group[0].small else full_only)
        for group in GROUPS
    ],
)
async def test_a_cause_raises_its_alerts_until_it_is_removed(watched: Watched, causes: tuple[Cause, ...]) -> None:
    alerts = {alert for cause in causes for alert in cause.alerts}
    assert watched.prometheus.firing().isdisjoint(alerts), "they fire without the cause"
    async with AsyncExitStack() as stack:
        for cause in causes:
            await stack.enter_async_context(cause.made(watched))
        await watched.until(*alerts)
        if not FULL:
            # a scrape that was late on a busy machine may raise another one, which passes
            await until(
                lambda: watched.prometheus.firing() == alerts,
                lambda: f"not {alerts} alone: {watched.prometheus.firing()}",
            )
    await watched.until(*alerts, gone=True)


@full_only
async def test_every_panel_of_the_dashboards_shows_what_happened(watched: Watched) -> None:
    """After the causes above, which bring what a good day doesn't: retries, 503s, deliveries that are given up."""
    await watched.town.wrong_addresses()
    await watched.town.rare_story()
    RawProducer(watched.home).send_all([Raw(CASE_CHANGED.name, "panels", b"not JSON")])
    left = queries()
    deadline_s = clock.monotonic_s() + 60
    while left := await asyncio.to_thread(empty, watched.prometheus, left):
        assert clock.monotonic_s() < deadline_s, "\n".join(map(str, left))
        await asyncio.sleep(1.0)


@full_only
async def test_every_command_of_the_runbooks_works_on_the_local_suite(watched: Watched, tmp_path: Path) -> None:
    """With a dead letter, a delivery that was given up and a certificate to name in them."""
    RawProducer(watched.home).send_all([Raw(REPORT_RECEIVED.name, "runbooks", b"not JSON")])
    routing, notifications = watched.home.dsn("routing"), watched.home.dsn("notifications")
    await until(lambda: bool(ask(routing, SQL_LETTERS)), lambda: "no dead letter")
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate(days=30))
    names = {
        "service": "routing",
        "company": watched.town.company.code,
        "topic": REPORT_RECEIVED.name,
        "file": str(file),
        "database": watched.home.name,
        "DeadLettersOpen id": str(ask(routing, SQL_LETTERS)[0][0]),
        "DeliveriesDead id": str(ask(notifications, SQL_DEAD_DELIVERY)[0][0]),
    }
    folder, admin_url = desk(watched, tmp_path / "desk"), watched.home.infra.postgres_admin_url
    typed = list(commands(names, watched.suite.url))
    found = [await asyncio.to_thread(fault_of, command, folder, admin_url) for command in typed]
    assert len(typed) > 40
    assert not any(found), "\n".join(fault for fault in found if fault)
