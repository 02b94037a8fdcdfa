"""What the suite costs while nothing comes, in numbers that are the same on every machine."""

import subprocess
import sys

import asyncpg
import httpx
import pytest

from shared.devtools.installation import ROOT
from shared.devtools.resting import FORKED_BY, Resting, resting
from shared.devtools.suite import Suite
from shared.events import registry
from shared.kit.publishing import relay
from shared.kit.settings import KitSettings

WINDOW_S, WINDOWS = 5.0, 8
# Wake-ups a second of one service, and more for each topic that it reads: about twice what was measured.
WAKEUPS, WAKEUPS_A_TOPIC, WAKEUPS_OF_SENDERS = 20, 4, 120
# Of what each would take by itself: what forks share counts once.
SHARE_MAX = 0.6


def too_awake(found: Resting, services: tuple[str, ...]) -> dict[str, float]:
    """Services that were awake more often than they have reason to."""
    allowed = {name: WAKEUPS + WAKEUPS_A_TOPIC * len(registry.consumed_by(name)) for name in services}
    allowed["notifications"] += WAKEUPS_OF_SENDERS  # they look ten times a second in these tests
    return {
        name: found.parts[name].wakeups_per_s for name in services if found.parts[name].wakeups_per_s > allowed[name]
    }


async def test_services_sleep_and_share_their_memory(suite: Suite) -> None:
    services = suite.installation.services
    for _ in range(WINDOWS):  # what other journeys have begun may still be under way
        found = await resting(suite, WINDOW_S)
        if not too_awake(found, services):
            break
    assert too_awake(found, services) == {}
    by_themselves = sum(found.parts[name].rss_mib for name in services)
    assert FORKED_BY[0] in found.parts
    assert found.pss_mib < SHARE_MAX * by_themselves, found


# What a process says of itself that has imported this service and no other.
BY_ITSELF = """
import services.{name}.app, shared.kit.run
from prometheus_client import generate_latest
from shared.kit import metrics
print(generate_latest(metrics.REGISTRY).decode())
"""


def families(page: str) -> set[str]:
    """The names of its metrics, without those that come with the first value of a label."""
    names = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE beegrid_")}
    return {name for name in names if not name.endswith("_created")}


@pytest.mark.parametrize("name", ["rewards", "routing"])
def test_a_forked_service_shows_no_metric_of_another(suite: Suite, name: str) -> None:
    code = BY_ITSELF.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    shown = families(httpx.get(f"{suite.services[name].url}/metrics", timeout=5, trust_env=False).text)
    assert shown and shown <= families(done.stdout)


async def test_no_process_has_more_sessions_than_its_settings_say(suite: Suite) -> None:
    most = KitSettings.model_fields["postgres_pool_max"].default + relay.SESSIONS
    conn = await asyncpg.connect(suite.installation.infra.postgres_admin_url)
    try:
        rows = await conn.fetch(
            "SELECT split_part(application_name, '-', 1) AS service, count(*) AS sessions FROM pg_stat_activity "
            "WHERE datname = $1 AND backend_type = 'client backend' GROUP BY 1",
            suite.installation.name,
        )
    finally:
        await conn.close()
    sessions = {row["service"]: row["sessions"] for row in rows}
    assert set(suite.installation.services) <= set(sessions)
    assert {name: count for name, count in sessions.items() if count > most} == {}
