"""Five hops, intake's outbox → routing → cases → points → notifications, every service its own process.

    python -m shared.devtools.bench [--reports 40000] [--seconds 8] [--only-throughput]
    python -m shared.devtools.bench --aged 5000000 [--ground DIR]    cost of an event at 0 and at so many reports

Prints a table, writes build/bench.json, and fails when any count is not what it must be: a fast wrong run is worthless.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shared.cli.whole_files import whole_text
from shared.devtools.bench import third_year
from shared.devtools.bench.load import Sent, commit_at_once, commit_paced, register, reports, riders
from shared.devtools.bench.storage import storage
from shared.devtools.bench.sweeping import sweep_rate
from shared.devtools.bench.yardstick import Yardstick, measure
from shared.devtools.city import feature_collection, grids
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.suite import start_infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT, Installation
from shared.devtools.suite import Suite
from shared.kit import clock
from shared.kit.db import Pool, prepare_connection

HOPS = ("intake", "routing", "cases", "points", "notifications")
OFFERED = (0.15, 0.5)
GOALS = {0.15: 120.0, 0.5: 150.0}
RATIO_GOAL = 1.2
SETTLE_S = 120.0
REPORTS = 60_000
ROUNDS = 3
TURN_REPORTS = 6_000
MANY = 1_000_000
"""From so many reports on, a comparison has several turns."""

# as it is kept: counting costs the server what is measured here
SQL_COUNT_MESSAGES = "SELECT coalesce(sum(n), 0)::bigint FROM notifications.counters WHERE what = 'messages'"
SQL_LAST_TOLD = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
FROM notifications.messages WHERE created_at > now() - interval '1 hour'
"""
SQL_LATENCY = """
SELECT rider_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS told_s
FROM notifications.messages WHERE rider_id = ANY($1::uuid[])
"""
SQL_COUNTS = """
SELECT (SELECT count(*) FROM routing.routes) AS routed, (SELECT count(*) FROM cases.case_reports) AS in_cases,
       (SELECT count(*) FROM points.holds WHERE source = 'report') AS held,
       (SELECT count(*) FROM notifications.messages) AS told,
       (SELECT count(*) FROM points.entries) AS entries
"""


@dataclass(frozen=True)
class Paced:
    """Latencies of a paced run, from before intake's commit to the commit of the rider's message, in ms."""

    offered: float
    p50_ms: float
    p99_ms: float


class Bench:
    """One run on servers of its own."""

    def __init__(self, suite: Suite, admin: Pool, intake: Pool, console: Console) -> None:
        self.suite = suite
        self.admin = admin
        self.intake = intake
        self.console = console
        self.total = 0
        self.there_before = 0
        """Messages that no run has made."""

    async def put_in_city(self) -> None:
        """Import the demo city through routing's own address, unless the map is there."""
        if await self.admin.fetchval("SELECT version_id FROM routing.current_map") is not None:
            return
        token = self.suite.operator_token()
        base = self.suite.services["routing"].url
        async with httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
            features = feature_collection(grids())["features"]
            made = await client.post("/v1/areas/versions", json={"label": "bench"})
            made.raise_for_status()
            version = made.json()["version_id"]
            for start in range(0, len(features), 200):
                body = {"type": "FeatureCollection", "features": features[start : start + 200]}
                (await client.post(f"/v1/areas/versions/{version}/features", json=body)).raise_for_status()
            (await client.post(f"/v1/areas/versions/{version}/activate", json={})).raise_for_status()
        await asyncio.sleep(2.5)

    async def close(self) -> None:
        """Give its connections back."""
        await self.admin.close()
        await self.intake.close()

    async def until_told(self, count: int) -> None:
        """Wait until that many messages are committed, with a progress bar."""
        deadline_s = clock.monotonic_s() + SETTLE_S
        start = self.total
        with Progress(console=self.console, transient=True) as progress:
            bar = progress.add_task("五跳 / five hops", total=count - start)
            while (told := await self.admin.fetchval(SQL_COUNT_MESSAGES) - self.there_before) < count:
                progress.update(bar, completed=told - start)
                self.suite.check()
                if clock.monotonic_s() > deadline_s:
                    counts = dict(await self.admin.fetchrow(SQL_COUNTS) or {})
                    raise SystemExit(f"only {told} of {count} events arrived within {SETTLE_S:.0f} s: {counts}")
                await asyncio.sleep(0.5)  # counting costs the server; the end is read from commit times
        self.total = count

    async def throughput(self, rider_ids: Sequence[UUID]) -> tuple[float, dict[str, float]]:
        """Events per second through all hops, and the CPU each process spent per event in µs."""
        rows = reports(rider_ids, seed=self.total + 1)
        before = self._cpu_s()
        began_s = await commit_at_once(self.intake, rows)
        await self.until_told(self.total + len(rows))
        spent = {name: (s - before[name]) / len(rows) * 1e6 for name, s in self._cpu_s().items()}
        last = await self.admin.fetchval(SQL_LAST_TOLD)
        return len(rows) / (last - began_s), spent

    async def paced(self, offered: float, per_second: float, rider_ids: Sequence[UUID]) -> Paced:
        """Latency at a steady offered load."""
        rows = reports(rider_ids, seed=self.total + 1)
        sent = await commit_paced(self.intake, rows, per_second, rider_ids)
        await self.until_told(self.total + len(rows))
        latencies = await self._latencies_ms(sent)
        quantiles = statistics.quantiles(latencies, n=100)
        return Paced(offered, quantiles[49], quantiles[98])

    async def _latencies_ms(self, sent: Sequence[Sent]) -> list[float]:
        told = await self.admin.fetch(SQL_LATENCY, [s.rider_id for s in sent])
        at = {row["rider_id"]: row["told_s"] for row in told}
        return [(at[s.rider_id] - s.at_s) * 1000 for s in sent]

    async def batch_sizes(self) -> dict[str, float]:
        """Mean records of a batch by consumed topic, over the whole run: small batches are what costs."""
        found: dict[str, float] = {}
        async with httpx.AsyncClient(trust_env=False) as client:
            for name, process in self.suite.services.items():
                text = (await client.get(f"{process.url}/metrics")).text
                for family in text_string_to_metric_families(text):
                    if family.name == "beegrid_consumer_batch_records":
                        found |= {f"{name} ← {topic}": mean for topic, mean in _means(family.samples).items()}
        return found

    def _cpu_s(self) -> dict[str, float]:
        processes = {name: process.pid for name, process in self.suite.services.items()}
        infra = self.suite.installation.infra
        processes |= {
            "kafka": infra.kafka.pid if infra.kafka else 0,
            "postgres": infra.postgres.pid if infra.postgres else 0,
        }
        return {name: _cpu_of(pid) for name, pid in processes.items() if pid}

    async def reconcile(self) -> dict[str, object]:
        """All counts of the run, and whether each is what it must be."""
        row = await self.admin.fetchrow(SQL_COUNTS)
        counts: dict[str, object] = dict(row) if row is not None else {}
        leftovers = {}
        for service in HOPS:
            leftovers[f"{service}.outbox"] = await self.admin.fetchval(f"SELECT count(*) FROM {service}.outbox")  # noqa: S608 own names
            leftovers[f"{service}.dead"] = await self.admin.fetchval(f"SELECT count(*) FROM {service}.dead_letters")  # noqa: S608 own names
        equal = all(counts.get(name) == self.total for name in ("routed", "in_cases", "told"))
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.suite.operator_token()}"}) as client:
            answer = await client.get(f"{self.suite.services['points'].url}/ops/points/status")
            tallies = answer.json()["tallies"]
        counts |= {
            "accepted": self.total,
            **leftovers,
            "imbalance": tallies["imbalance"],
            "ledger_sum": tallies["ledger_sum"],
        }
        balanced = tallies["imbalance"] == 0 and tallies["ledger_sum"] == 0
        return {"reconciled": equal and balanced and not any(leftovers.values()), "counts": counts}


def _means(samples: Sequence[Sample]) -> dict[str, float]:
    sums = {s.labels["topic"]: s.value for s in samples if s.name.endswith("_sum")}
    counts = {s.labels["topic"]: s.value for s in samples if s.name.endswith("_count")}
    return {topic: round(sums[topic] / n, 1) for topic, n in counts.items() if n}


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process and all its children, those that have ended included."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(t.user + t.system + t.children_user + t.children_system for t in (p.cpu_times() for p in family))
    except psutil.NoSuchProcess:
        return 0.0


async def begin(suite: Suite, options: argparse.Namespace, console: Console) -> tuple[Bench, Pool, list[UUID]]:
    """A warm suite with a map; the benchmark, what registers riders, and riders to report."""
    installation = suite.installation
    postgres = installation.infra.postgres
    if postgres is None:
        raise SystemExit("the benchmark needs servers of its own: unset BEEGRID_POSTGRES_ADMIN_URL")
    base = installation.infra.postgres_admin_url.rsplit("/", 1)[0]
    admin = await asyncpg.create_pool(f"{base}/{installation.name}", min_size=1, max_size=2)
    intake = await asyncpg.create_pool(installation.dsn("intake"), min_size=2, max_size=4, init=prepare_connection)
    tellers = await asyncpg.create_pool(installation.dsn("riders"), min_size=1, max_size=2, init=prepare_connection)
    bench = Bench(suite, admin, intake, console)
    bench.there_before = await admin.fetchval(SQL_COUNT_MESSAGES)
    known = await admin.fetchval("SELECT count(*) FROM points.accounts")
    await bench.put_in_city()
    people = riders(options.reports)
    warm = riders(3_000)
    suite.add("riders")
    await register(tellers, [*people, *warm])
    await until_known(bench, known + len(people) + len(warm))
    suite.services["riders"].stop()
    del suite.services["riders"]
    console.print("warm-up …")
    await bench.throughput(warm)
    return bench, tellers, people


async def measure_all(suite: Suite, options: argparse.Namespace, console: Console) -> dict[str, object]:
    """The whole benchmark; returns what bench.json holds."""
    bench, tellers, people = await begin(suite, options, console)
    admin, installation = bench.admin, suite.installation
    postgres = installation.infra.postgres
    assert postgres is not None  # asked for at the beginning
    runs = []
    spent: dict[str, float] = {}
    for start in range(0, options.reports, options.reports // options.rounds):
        yard = await asyncio.to_thread(measure, postgres, options.seconds)
        console.print("streaming …")
        rate, spent = await bench.throughput(people[start : start + options.reports // options.rounds])
        console.print(f"  Y {yard.y_tps:,.0f}/s   five hops {rate:,.0f}/s   ratio {rate / yard.y_tps:.2f}")
        runs.append((yard, rate))
    yard, rate = sorted(runs, key=lambda run: run[1] / run[0].y_tps)[len(runs) // 2]
    paced = [] if options.only_throughput else await _paced(bench, yard, options, tellers, admin, console)
    result = await bench.reconcile()
    result["storage"] = await storage(admin, installation, HOPS, bench.total)
    result["sweep_rows_per_s"] = round(await sweep_rate(suite))
    return {
        "yardstick": {"y_tps": round(yard.y_tps), "l_ms": yard.l_ms},
        "five_hops": {
            "ratio": round(rate / yard.y_tps, 3),
            "per_second": round(rate),
            "records_per_batch": await bench.batch_sizes(),
            "cpu_us_per_event": {name: round(value, 1) for name, value in spent.items()},
        },
        "paced": [
            {
                "offered": p.offered,
                "p50_ms": round(p.p50_ms, 1),
                "p99_ms": round(p.p99_ms, 1),
                "p99_over_l": round(p.p99_ms / yard.l_ms, 1),
            }
            for p in paced
        ],
        **result,
    }


async def _paced(
    bench: Bench, yard: Yardstick, options: argparse.Namespace, tellers: Pool, admin: Pool, console: Console
) -> list[Paced]:
    found = []
    for offered in OFFERED:
        people = riders(int(offered * yard.y_tps * options.seconds))
        known = await admin.fetchval("SELECT count(*) FROM points.accounts")
        bench.suite.add("riders")
        await register(tellers, people)
        await until_known(bench, known + len(people))
        bench.suite.services["riders"].stop()
        del bench.suite.services["riders"]
        paced = await bench.paced(offered, offered * yard.y_tps, people)
        p99_over_l = paced.p99_ms / yard.l_ms
        console.print(f"  paced {offered}·Y: p50 {paced.p50_ms:.0f} ms, p99 {paced.p99_ms:.0f} ms = {p99_over_l:.0f}·L")
        found.append(paced)
    return found


async def until_known(bench: Bench, count: int) -> None:
    """Wait until points and notifications know so many riders."""
    deadline_s = clock.monotonic_s() + SETTLE_S
    for table in ("points.accounts", "notifications.riders"):
        query = f"SELECT count(*) FROM {table}"  # noqa: S608 own names
        while (known := await bench.admin.fetchval(query)) < count:
            bench.suite.check()
            if clock.monotonic_s() > deadline_s:
                raise SystemExit(f"{table} has only {known} of {count} riders after {SETTLE_S:.0f} s")
            await asyncio.sleep(0.1)


def show(result: dict[str, object], console: Console) -> None:
    """The table."""
    table = Table(title="五跳基准 / five hops on real Kafka")
    for title in ("what", "value", "goal"):
        table.add_column(title)
    five: dict[str, object] = result["five_hops"]  # type: ignore[assignment]  # built above
    table.add_row("throughput / Y", str(five["ratio"]), f"≥ {RATIO_GOAL}")
    for paced in result["paced"]:  # type: ignore[attr-defined]  # built above
        table.add_row(f"p99 / L at {paced['offered']}·Y", str(paced["p99_over_l"]), f"≤ {GOALS[paced['offered']]:.0f}")
    for name, spent in five["cpu_us_per_event"].items():  # type: ignore[attr-defined]  # built above
        table.add_row(f"CPU µs an event: {name}", str(spent), "")
    for topic, mean in five["records_per_batch"].items():  # type: ignore[attr-defined]  # built above
        table.add_row(f"records a batch: {topic}", str(mean), "")
    table.add_row("reconciled", str(result["reconciled"]), "True")
    console.print(table)


def main() -> int:
    """Exit status 1 when counts don't reconcile or a goal is missed by `--strict`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, help=f"default {REPORTS:,}; with --aged of each turn, {TURN_REPORTS:,}")
    parser.add_argument(
        "--rounds", type=int, help=f"default {ROUNDS}; with --aged turns of each side, 1 of few reports"
    )
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only-throughput", action="store_true")
    parser.add_argument("--aged", type=int, default=0, help="compare with a suite that has so many reports")
    parser.add_argument("--ground", type=Path, help="where that suite's data are, or are to stay for the next time")
    parser.add_argument("--setting", action="append", default=[], help="NAME=VALUE, tried for all services' roles")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    options = parser.parse_args()
    options.reports = options.reports or (TURN_REPORTS if options.aged else REPORTS)
    options.rounds = options.rounds or (ROUNDS if not options.aged or options.aged >= MANY else 1)
    console = Console()
    if options.aged:
        try:
            return third_year.run(options, console, begin)
        except InfraError as error:
            console.print(f"[red]{error}")
            return 1
    with (
        tempfile.TemporaryDirectory(prefix="beegrid-bench-") as folder,
        start_infra(postgres_settings={"track_commit_timestamp": "on"}) as infra,
    ):
        installation = Installation(infra, Path(folder) / "state", name="bench")
        installation.set_up()
        logs = options.out.parent / "bench-logs"
        logs.mkdir(parents=True, exist_ok=True)
        suite = Suite(installation, infra.guard or Guard(), logs)
        suite.start(HOPS)
        try:
            result = asyncio.run(measure_all(suite, options, console))
        except InfraError as error:
            console.print(f"[red]{error}")
            return 1
        finally:
            suite.stop()
    with whole_text(options.out) as target:
        target.write(json.dumps(result, indent=1, ensure_ascii=False, default=str))
    show(result, console)
    console.print(f"{result['counts']}\nwritten: {options.out}")
    return 0 if result["reconciled"] else 1


if __name__ == "__main__":
    sys.exit(main())
