"""The same events on an empty suite and on one with three years of reports: no event, no statement costs more.

Both suites lie on one Postgres and one Kafka, and run in turn: empty, aged, aged, empty … So whatever the machine does
beside it meets both. Work beside it makes an event cost more, never less: each side's cheapest turn is compared.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress

from shared.cli.whole_files import whole_text
from shared.devtools.aged.ground import Ground, installation, prepare, servers
from shared.devtools.bench import slow_calls
from shared.devtools.bench.asking import Asked, Rush, ask
from shared.devtools.bench.load import WARM, riders, settle_riders
from shared.devtools.bench.sides import HOPS, SQL_COUNT_MESSAGES, Bench, of_roles, pools_of
from shared.devtools.bench.slow_calls import Calls
from shared.devtools.capacity.third_year import section
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite
from shared.provision.postgres import drop_database

DEARER_MAX = 0.15
LISTED = 15
PAGE_MS_MAX = 50.0
EMPTY, AGED = "empty", "aged"
# Services that no hop needs, for what they ask of their tables.
OTHERS = ("riders", "rewards")
# What services' own roles ran on the aged ground.
SQL_LONGEST = """
SELECT r.rolname AS role, s.queryid AS id, left(regexp_replace(s.query, '\\s+', ' ', 'g'), 160) AS statement, s.calls,
       s.max_exec_time AS max_ms, s.mean_exec_time AS mean_ms
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND r.rolname LIKE '%\\_app'
ORDER BY s.max_exec_time DESC
"""
SQL_COUNTED = """
SELECT (SELECT sum(n) FROM routing.counters WHERE what = 'outcome')::bigint AS routed,
       (SELECT sum(n) FROM cases.counters WHERE what = 'reports')::bigint AS in_cases,
       (SELECT sum(n) FROM points.counters WHERE what = 'holds report')::bigint AS held,
       (SELECT sum(n) FROM notifications.counters WHERE what = 'messages')::bigint AS notified,
       (SELECT count(*) FROM routing.dead_letters WHERE status IN ('dead', 'parked', 'rejected'))
           + (SELECT count(*) FROM cases.dead_letters WHERE status IN ('dead', 'parked', 'rejected'))
           + (SELECT count(*) FROM points.dead_letters WHERE status IN ('dead', 'parked', 'rejected'))
           + (SELECT count(*) FROM notifications.dead_letters WHERE status IN ('dead', 'parked', 'rejected')) AS dead
"""


@dataclass
class Side:
    """One of the two suites: CPU µs an event by process and events a second of each turn; what it answered."""

    spent: list[dict[str, float]] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    rush: Rush | None = None

    @property
    def cost(self) -> dict[str, float]:
        """CPU µs an event by process, of the cheapest turn."""
        return min(self.spent, key=lambda turn: sum(turn.values()))


@dataclass
class Comparison:
    """Both sides, and the longest statements on the aged one. `reconciled`: every report of the run arrived once."""

    ground: Ground
    empty: Side
    aged: Side
    statements: list[dict[str, Any]] = field(default_factory=list)
    reconciled: bool = True
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def dearer(self) -> float:
        """By which part an event costs more on the aged side, over all processes."""
        return sum(self.aged.cost.values()) / sum(self.empty.cost.values()) - 1

    @property
    def offenders(self) -> list[dict[str, Any]]:
        """Statements that took too long, whatever the disk did."""
        return [one for one in self.statements if one["too_long"]]

    @property
    def slow_pages(self) -> list[Asked]:
        """What people open and waited too long for; Prometheus, asked ten times here, may wait."""
        opened = [one for one in self.aged.asked if one.service == "tracking" and one.path != "/metrics"]
        return [one for one in opened if one.p99_ms > PAGE_MS_MAX]

    @property
    def good(self) -> bool:
        """Whether all goals are met; one turn of each side says nothing of a few percent."""
        costly = len(self.aged.spent) > 1 and self.dearer > DEARER_MAX
        return self.reconciled and not costly and not self.offenders and not self.slow_pages

    def facts(self) -> dict[str, Any]:
        """What bench-aged.json holds."""
        return {
            "ground": asdict(self.ground),
            "cpu_us_per_event": {EMPTY: self.empty.cost, AGED: self.aged.cost},
            "turns": {
                name: [
                    {"cpu_us": sum(spent.values()), "per_second": rate}
                    for spent, rate in zip(side.spent, side.per_second, strict=True)
                ]
                for name, side in ((EMPTY, self.empty), (AGED, self.aged))
            },
            "dearer": self.dearer,
            "statements": self.statements,
            "asked": {EMPTY: [asdict(one) for one in self.empty.asked], AGED: [asdict(one) for one in self.aged.asked]},
            "rush": None if self.aged.rush is None else asdict(self.aged.rush),
            "reconciled": self.reconciled,
            "settings": self.settings,
            "good": self.good,
        }


async def begin(suite: Suite, options: argparse.Namespace, console: Console) -> tuple[Bench, list[UUID]]:
    """A warm suite with a map, for one turn of a comparison; the benchmark, and riders to report."""
    if suite.installation.infra.postgres is None:
        raise SystemExit("the benchmark needs servers of its own: unset BEEGRID_POSTGRES_ADMIN_URL")
    bench = Bench(suite, *await pools_of(suite.installation), console)
    bench.there_before = await bench.admin.fetchval(SQL_COUNT_MESSAGES)
    await bench.put_in_city()
    people, warm = riders(options.reports), riders(WARM)
    await settle_riders(suite.installation, [*people, *warm])
    console.print("warm-up …")
    await bench.throughput(warm)
    return bench, people


def run(options: argparse.Namespace, console: Console) -> int:
    """Load or find the ground, compare, write bench-aged.json; exit status 1 where a goal is missed."""
    with _folder(options.ground) as folder:
        with Progress(console=console) as progress:
            bar = progress.add_task(f"{options.aged:,} 条上报 / reports", total=None)
            ground = prepare(folder, options.aged, lambda done, all_: progress.update(bar, completed=done, total=all_))
        console.print(f"ground: {ground.reports:,} reports until {ground.until}, loaded in {ground.took_s:.0f} s")
        with servers(folder, {"track_commit_timestamp": "on", **slow_calls.SETTINGS}) as infra:
            found = asyncio.run(_Turns(options, console, infra, folder).compare(ground))
    file = options.out.with_name("bench-aged.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_text(file) as target:
        target.write(json.dumps(found.facts(), indent=1, ensure_ascii=False))
    show(found, console)
    console.print(f"written: {file}")
    return 0 if found.good else 1


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="beegrid-ground-") as folder:
        # Postgres never runs as root, and must be able to enter
        Path(folder).chmod(0o755)
        yield Path(folder)


class _Turns:
    """The suites of both sides, one of which runs at a time."""

    def __init__(self, options: argparse.Namespace, console: Console, infra: Infra, folder: Path) -> None:
        self.options = options
        self.console = console
        self.infra = infra
        self.logs: Path = options.out.parent / "bench-logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        empty = Installation(infra, folder / "empty", name=EMPTY)
        # of a run that ended before its time
        drop_database(infra.postgres_admin_url, empty.name, list(empty.services), empty.role_prefix)
        self.installations = {EMPTY: empty, AGED: installation(infra, folder)}
        self.settings = dict(one.partition("=")[::2] for one in options.setting)

    async def compare(self, ground: Ground) -> Comparison:
        """Take the turns."""
        found = Comparison(ground, Side(), Side(), settings=self.settings)
        sides = {EMPTY: found.empty, AGED: found.aged}
        # what an earlier run tried on a ground that stays; `set_up` then says again what is delivered
        await self._set(AGED, {"ALL": None})
        for name, made in self.installations.items():
            await asyncio.to_thread(made.set_up)
            await self._set(name, self.settings)
        for name in self.installations:
            await self._sql(name, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await self._sql(AGED, "SELECT pg_stat_statements_reset()")
        began_at = self._log.stat().st_size
        turns = [name for number in range(self.options.rounds) for name in (EMPTY, AGED)[:: 1 - 2 * (number % 2)]]
        for number, name in enumerate(turns):
            last = name not in turns[number + 1 :]
            found.reconciled &= await self._turn(name, sides[name], last)
        aged, empty = [await self._sql(name, SQL_LONGEST) for name in (AGED, EMPTY)]
        found.statements = _beside(aged, empty, await asyncio.to_thread(self._slow_calls, began_at))
        await asyncio.to_thread(self.installations[EMPTY].remove)
        return found

    async def _turn(self, name: str, side: Side, last: bool) -> bool:
        """One side's hops, measured; in its last turn everything else starts as well, and is asked."""
        made = self.installations[name]
        suite = Suite(made, self.infra.guard or Guard(), self.logs)
        try:
            await asyncio.to_thread(suite.start, HOPS)
            before = (await self._sql(name, SQL_COUNTED))[0]
            bench, people = await begin(suite, self.options, self.console)
            rate, spent = await bench.throughput(people)
            after = (await self._sql(name, SQL_COUNTED))[0]
            side.per_second.append(round(rate, 1))
            side.spent.append(spent)
            self.console.print(f"{name}: {rate:,.0f} events/s, {sum(spent.values()):,.0f} µs of CPU an event")
            if last:
                for other in OTHERS:
                    suite.add(other)
                side.asked, side.rush = await ask(suite, bench.admin, suite.operator_token())
            await bench.close()
            came = [after[what] - (before[what] or 0) for what in ("routed", "in_cases", "held", "notified")]
            return after["dead"] == 0 and set(came) == {bench.total}
        finally:
            await asyncio.to_thread(suite.stop)

    @property
    def _log(self) -> Path:
        """Postgres's."""
        assert self.infra.postgres is not None  # servers() has started it
        return self.infra.postgres.spec.log

    def _slow_calls(self, began_at: int) -> dict[tuple[str, int], Calls]:
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(began_at)
            return slow_calls.read(log)

    async def _set(self, name: str, settings: Mapping[str, str | None]) -> None:
        for statement in of_roles(self.installations[name], settings):
            await self._sql(name, statement)

    async def _sql(self, name: str, statement: str) -> list[asyncpg.Record]:
        made = self.installations[name]
        base = self.infra.postgres_admin_url.rsplit("/", 1)[0]
        conn = await asyncpg.connect(f"{base}/{made.name}", command_timeout=None)
        try:
            return await conn.fetch(statement)
        finally:
            await conn.close()


def _beside(
    aged: Sequence[asyncpg.Record], empty: Sequence[asyncpg.Record], slow: Mapping[tuple[str, int], Calls]
) -> list[dict[str, Any]]:
    """The longest statements on the aged side, with what they took on the empty one (None: they were not run there)."""
    at_0 = {(row["role"].partition("_")[2], row["statement"]): row for row in empty}
    found = []
    for row in aged[:LISTED]:
        was = at_0.get((row["role"].partition("_")[2], row["statement"]))
        logged = slow.get((row["role"], row["id"]))
        found.append(
            {
                "service": row["role"].removeprefix(f"{AGED}_").removesuffix("_app"),
                "statement": row["statement"],
                "calls": row["calls"],
                "max_ms": row["max_ms"],
                "mean_ms": row["mean_ms"],
                "max_ms_at_0": was and was["max_ms"],
                "mean_ms_at_0": was and was["mean_ms"],
                "own_ms": max(logged.own_ms) if logged else row["max_ms"],
                "too_long": slow_calls.too_many(row["max_ms"], row["calls"], logged),
            }
        )
    return found


def show(found: Comparison, console: Console) -> None:
    """What docs/capacity.md will say, and what has missed its goal."""
    console.print(Markdown(section(found.facts())))
    for slow in found.slow_pages:
        console.print(f"[red]{slow.path}: {slow.p99_ms} ms (p99), more than {PAGE_MS_MAX:.0f}[/red]")
    for one in found.offenders:
        words = f"too long, {one['own_ms']:.1f} ms: {one['service']}: {one['statement']}"
        console.print(words, style="red", markup=False)
