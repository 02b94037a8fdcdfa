"""What is measured alike of the suite and of the floor: events through five hops, what they cost, and that all came."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from rich.console import Console
from rich.progress import Progress

from shared.devtools.bench.load import commit_at_once, reports
from shared.devtools.demo.target import target_of
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.process import ManagedProcess
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite
from shared.kit import clock
from shared.kit.postgres.db import Pool, prepare_connection
from shared.provision.postgres import app_role
from shared.synthetic.door import Door
from shared.synthetic.opening import import_city

HOPS = ("intake", "routing", "cases", "points", "notifications")
SERVERS = ("postgres", "kafka")
SETTLE_S = 120.0
LOOK_S = 0.5
"""Counting costs the server; the end is read from commit times."""
MAP_KNOWN_S = 2.5

# as it is kept: counting costs the server what is measured here
SQL_COUNT_MESSAGES = "SELECT coalesce(sum(n), 0)::bigint FROM notifications.counters WHERE what = 'messages'"
SQL_LAST_NOTIFIED = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
FROM notifications.messages WHERE created_at > now() - interval '1 hour'
"""
SQL_COUNTS = """
SELECT (SELECT count(*) FROM routing.routes) AS routed, (SELECT count(*) FROM cases.case_reports) AS in_cases,
       (SELECT count(*) FROM points.holds WHERE source = 'report') AS held,
       (SELECT count(*) FROM notifications.messages) AS notified,
       (SELECT count(*) FROM points.entries) AS entries
"""
SQL_LEDGER = """
SELECT coalesce((SELECT sum(pending + available + reserved) FROM points.accounts), 0)::bigint
     + coalesce((SELECT sum(CASE WHEN to_account IN ('issuance', 'redeemed') THEN amount ELSE 0 END
                          - CASE WHEN from_account IN ('issuance', 'written_off') THEN amount ELSE 0 END)
                 FROM points.entries), 0)::bigint
"""


class Side:
    """One of the two: the processes that run the hops, and the database in which they do."""

    def __init__(
        self, installation: Installation, admin: Pool, intake: Pool, console: Console,
        processes: Mapping[str, ManagedProcess],
    ) -> None:  # fmt: skip
        self.installation = installation
        self.admin = admin
        self.intake = intake
        self.console = console
        self.processes = processes
        self.total = 0
        self.there_before = 0
        """Messages that no run has made."""

    async def close(self) -> None:
        """Give its connections back."""
        await self.admin.close()
        await self.intake.close()

    def check(self) -> None:
        """Raises InfraError, with its log's end, when a process of it has died."""
        if dead := [process for process in self.processes.values() if process.died]:
            raise InfraError("\n".join(process.obituary() for process in dead))

    async def until_notified(self, count: int) -> None:
        """Wait until that many messages are committed, with a progress bar."""
        deadline_s = clock.monotonic_s() + SETTLE_S
        start = self.total
        with Progress(console=self.console, transient=True) as progress:
            bar = progress.add_task("五跳 / five hops", total=count - start)
            while (notified := await self.admin.fetchval(SQL_COUNT_MESSAGES) - self.there_before) < count:
                progress.update(bar, completed=notified - start)
                self.check()
                if clock.monotonic_s() > deadline_s:
                    counts = dict(await self.admin.fetchrow(SQL_COUNTS) or {})
                    raise SystemExit(f"only {notified} of {count} events arrived within {SETTLE_S:.0f} s: {counts}")
                await asyncio.sleep(LOOK_S)
        self.total = count

    async def throughput(self, rider_ids: Sequence[UUID]) -> tuple[float, dict[str, float]]:
        """Events per second through all hops, and the CPU each process spent per event in µs."""
        rows = reports(rider_ids, seed=self.total + 1)
        before = self._cpu_s()
        began_s = await commit_at_once(self.intake, rows)
        await self.until_notified(self.total + len(rows))
        spent = {name: (s - before[name]) / len(rows) * 1e6 for name, s in self._cpu_s().items()}
        last = await self.admin.fetchval(SQL_LAST_NOTIFIED)
        return len(rows) / (last - began_s), spent

    def _cpu_s(self) -> dict[str, float]:
        pids = {name: process.pid for name, process in self.processes.items()}
        infra = self.installation.infra
        pids |= {
            "kafka": infra.kafka.pid if infra.kafka else 0,
            "postgres": infra.postgres.pid if infra.postgres else 0,
        }
        return {name: cpu_s(pid) for name, pid in pids.items() if pid}

    async def ledger(self) -> dict[str, int]:
        """What must be 0 of the ledger."""
        return {"ledger_sum": await self.admin.fetchval(SQL_LEDGER)}

    async def reconcile(self) -> dict[str, object]:
        """All counts of the run, and whether each is what it must be."""
        row = await self.admin.fetchrow(SQL_COUNTS)
        counts: dict[str, object] = dict(row) if row is not None else {}
        leftovers = {}
        for service in HOPS:
            leftovers[f"{service}.outbox"] = await self.admin.fetchval(f"SELECT count(*) FROM {service}.outbox")  # noqa: S608 own names
            leftovers[f"{service}.dead"] = await self.admin.fetchval(f"SELECT count(*) FROM {service}.dead_letters")  # noqa: S608 own names
        equal = all(counts.get(name) == self.total for name in ("routed", "in_cases", "notified"))
        ledger = await self.ledger()
        counts |= {"accepted": self.total, **leftovers, **ledger}
        return {"reconciled": equal and not any(ledger.values()) and not any(leftovers.values()), "counts": counts}


class Bench(Side):
    """The suite: every service its own process."""

    def __init__(self, suite: Suite, admin: Pool, intake: Pool, console: Console) -> None:
        super().__init__(suite.installation, admin, intake, console, suite.services)
        self.suite = suite

    def run_on(self, suite: Suite) -> None:
        """Go on with other processes of the same installation."""
        self.suite, self.processes = suite, suite.services

    def check(self) -> None:
        """Also of the servers."""
        self.suite.check()

    async def put_in_city(self) -> None:
        """Import the demo city through routing's own address, unless the map is there."""
        if await self.admin.fetchval("SELECT version_id FROM routing.current_map") is not None:
            return
        door = Door(target_of(self.suite, "routing"))
        try:
            await import_city(door)
        finally:
            await door.close()
        await asyncio.sleep(MAP_KNOWN_S)

    async def batch_sizes(self) -> dict[str, float]:
        """Mean records of a batch by consumed topic, since the services started: small batches are what costs."""
        found: dict[str, float] = {}
        async with httpx.AsyncClient(trust_env=False) as client:
            for name, process in self.suite.services.items():
                text = (await client.get(f"{process.url}/metrics")).text
                for family in text_string_to_metric_families(text):
                    if family.name == "beegrid_consumer_batch_records":
                        found |= {f"{name} ← {topic}": mean for topic, mean in _means(family.samples).items()}
        return found

    async def ledger(self) -> dict[str, int]:
        """As points itself says it."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.suite.operator_token()}"}) as client:
            answer = await client.get(f"{self.suite.services['points'].url}/ops/points/status")
            tallies = answer.json()["tallies"]
        return {name: tallies[name] for name in ("imbalance", "ledger_sum")}


def of_roles(made: Installation, settings: Mapping[str, str | None]) -> Iterator[str]:
    """Statements that set this for connections that the services will make; None: as the server has it."""
    for service in made.services:
        role = f"ALTER ROLE {app_role(service, made.role_prefix)} IN DATABASE {made.name}"
        for name, value in settings.items():
            yield f"{role} RESET {name}" if value is None else f"{role} SET {name} = '{value}'"


async def pools_of(installation: Installation) -> tuple[Pool, Pool]:
    """Connections of the superuser and of intake to the installation's database."""
    base = installation.infra.postgres_admin_url.rsplit("/", 1)[0]
    admin = await asyncpg.create_pool(f"{base}/{installation.name}", min_size=1, max_size=2)
    intake = await asyncpg.create_pool(installation.dsn("intake"), min_size=2, max_size=4, init=prepare_connection)
    return admin, intake


def by_part(spent: Mapping[str, float]) -> dict[str, float]:
    """CPU µs an event of Postgres, of Kafka and of all Python processes."""
    python = sum(us for name, us in spent.items() if name not in SERVERS)
    return {"postgres": spent.get("postgres", 0.0), "python": python, "kafka": spent.get("kafka", 0.0)}


def _means(samples: Sequence[Sample]) -> dict[str, float]:
    sums = {s.labels["topic"]: s.value for s in samples if s.name.endswith("_sum")}
    counts = {s.labels["topic"]: s.value for s in samples if s.name.endswith("_count")}
    return {topic: round(sums[topic] / n, 1) for topic, n in counts.items() if n}


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all its children, those that have ended included."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(t.user + t.system + t.children_user + t.children_system for t in (p.cpu_times() for p in family))
    except psutil.NoSuchProcess:
        return 0.0
