"""The whole run: floor and suite in turn on the same servers, then everything that is measured of the suite alone."""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from shared.devtools.bench import figures
from shared.devtools.bench.figures import Round, Turn
from shared.devtools.bench.floor.running import floor_process
from shared.devtools.bench.hot_offer import hot_offer
from shared.devtools.bench.hottest import hottest
from shared.devtools.bench.http_load import (
    Posted,
    Request,
    company_secret,
    intake_knows,
    post_all,
    post_paced,
    requests,
)
from shared.devtools.bench.latency import WAY, paced, quantile_ms
from shared.devtools.bench.latency import commits as commits_of
from shared.devtools.bench.load import WARM, Sent, riders, settle_riders
from shared.devtools.bench.locating import located
from shared.devtools.bench.machine import machine
from shared.devtools.bench.postings import postings
from shared.devtools.bench.resting import rest
from shared.devtools.bench.sides import HOPS, Bench, Side, of_roles, pools_of
from shared.devtools.bench.storage import storage
from shared.devtools.bench.sweeping import sweep_rate
from shared.devtools.bench.yardstick import Yardstick, measure
from shared.devtools.infra.process import ManagedProcess
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite
from shared.provision.postgres import APP_SETTINGS

SHARES = (0.15, 0.5, 0.8)
BOTH_SHARE = 0.5
"""Of the suite's capacity: the load at which the floor's latency is measured too, for a ratio that travels."""
HTTP_SHARE = 0.5
"""Of what came through over HTTP: the load at which its latency is measured."""
OVERRIDES = {"BEEGRID_RATE_LIMIT_PER_MINUTE": "10000000"}
"""One company sends all that comes over HTTP."""
FLOOR, SUITE, TRIED = "floor", "suite", "tried"
"""TRIED: the suite again, its roles with other settings of Postgres than they are delivered with."""
Post = Callable[[list[Request]], Awaitable[list[Posted]]]


@dataclass
class Sides:
    """Both sides on one set of servers, of which one runs at a time: an idle suite takes a tenth of a core."""

    infra: Infra
    logs: Path
    floor: Side
    suite: Bench
    processes: dict[str, ManagedProcess]
    tried: Mapping[str, str]
    running: str = ""
    batch_sizes: dict[str, float] = field(default_factory=dict)
    """Of the suite's last turn; its services start again for each."""

    @classmethod
    async def begin(cls, infra: Infra, folder: Path, logs: Path, console: Console, tried: Mapping[str, str]) -> "Sides":
        """Set up databases and topics of both; nothing runs yet. `tried`: settings of Postgres by name."""
        made = {name: Installation(infra, folder / name, name=f"bench{name}") for name in (FLOOR, SUITE)}
        for one in made.values():
            await asyncio.to_thread(one.set_up)
        processes: dict[str, ManagedProcess] = {}
        bare = Side(made[FLOOR], *await pools_of(made[FLOOR]), console, processes)
        whole = Suite(made[SUITE], infra.guard or Guard(), logs, overrides=OVERRIDES)
        return cls(infra, logs, bare, Bench(whole, *await pools_of(made[SUITE]), console), processes, tried)

    def of(self, name: str) -> Side:
        """The side."""
        return self.floor if name == FLOOR else self.suite

    async def switch(self, name: str, warm: int) -> None:
        """Let this side run and the other one not; a side that has just started takes some events to warm up."""
        if self.running == name:
            return
        await self.stop()
        guard = self.infra.guard or Guard()
        if name == FLOOR:
            self.processes[FLOOR] = floor_process(self.floor.installation, guard, self.logs)
            await asyncio.to_thread(self.processes[FLOOR].start)
        else:
            for statement in of_roles(self.suite.installation, self.tried if name == TRIED else delivered(self.tried)):
                await self.suite.admin.execute(statement)
            self.suite.run_on(Suite(self.suite.installation, guard, self.logs, overrides=OVERRIDES))
            await asyncio.to_thread(self.suite.suite.start, HOPS)
            await self.suite.put_in_city()
        self.running = name
        people = riders(warm)
        await settle_riders(self.of(name).installation, people)
        await self.of(name).throughput(people)

    async def stop(self) -> None:
        """Let neither run."""
        if self.running == FLOOR:
            await asyncio.to_thread(self.processes[FLOOR].stop)
            self.processes.clear()
        elif self.running:
            await asyncio.to_thread(self.suite.suite.stop)
        self.running = ""

    async def close(self) -> None:
        """Stop what runs, give connections back."""
        await self.stop()
        await self.floor.close()
        await self.suite.close()


def delivered(tried: Mapping[str, str]) -> dict[str, str | None]:
    """What the services' roles have of these settings."""
    return {name: APP_SETTINGS.get(name) for name in tried}


async def measure_all(infra: Infra, folder: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Everything; returns what bench.json holds."""
    if infra.postgres is None or infra.kafka is None:
        raise SystemExit("the benchmark needs servers of its own: unset BEEGRID_POSTGRES_ADMIN_URL and the like")
    logs = options.out.parent / "bench-logs"
    logs.mkdir(parents=True, exist_ok=True)
    tried = dict(one.partition("=")[::2] for one in options.setting)
    sides = await Sides.begin(infra, folder, logs, console, tried)
    try:
        found = await _measure(sides, options, console)
    finally:
        await sides.close()
    if not options.only_floor and not options.only_throughput:
        with tempfile.TemporaryDirectory(prefix="beegrid-rest-") as resting:
            found |= await _rest(Path(resting), console)
    return found


async def _measure(sides: Sides, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    each = options.reports // options.rounds
    people = [riders(each) for _ in range(options.rounds)]
    found: dict[str, Any] = {"machine": machine(), **located()}
    bare = found["machine"]["python"]
    console.print(f"Python {bare['version']}, PGO {bare['pgo']}, LTO {bare['lto']}")
    if options.only_floor:
        turns = [await _turn(sides, FLOOR, some, console) for some in people]
        reconciled = await sides.floor.reconcile()
        found |= {"five_hops": {"floor": figures.floor(turns)}, **reconciled}
        return {**found, **await _against_naive(sides, options, console)}
    rounds = await _rounds(sides, people, options, console)
    found["five_hops"] = figures.five_hops(rounds)
    if (changed := figures.tried(rounds, sides.tried)) is not None:
        found["tried"] = changed
        console.print(f"with {sides.tried}: {changed}")
    yard = rounds[-1].yard
    found["yardstick"] = {"y_tps": round(yard.y_tps), "l_ms": yard.l_ms}
    await sides.switch(SUITE, min(WARM, each))
    found["five_hops"]["records_per_batch"] = sides.batch_sizes
    found["paced"] = []
    capacity = found["five_hops"]["per_second"]
    if not options.only_throughput:
        found["paced"] = await _paced(sides.suite, capacity, yard, options, console)
        found["http"] = await _http(sides.suite, capacity, options, console)
    found |= await sides.suite.reconcile()
    found["sweep_rows_per_s"] = round(await sweep_rate(sides.suite.suite))
    if not options.only_throughput:  # from here on the suite is stopped
        found["five_hops"]["floor"]["paced"] = await _paced_floor(sides, capacity, options, console)
    bare_counts = await sides.floor.reconcile()
    found["counts"] = {SUITE: found["counts"], FLOOR: bare_counts["counts"]}
    found["reconciled"] = bool(found["reconciled"]) and bool(bare_counts["reconciled"])
    for side, into in ((sides.suite, found), (sides.floor, found["five_hops"]["floor"])):
        into["storage"] = await storage(side.admin, side.installation, HOPS, side.total)
    found["growth"] = figures.growth(_aged(options.out))
    if not options.only_throughput:
        found |= await _against_naive(sides, options, console)
    return found


async def _rounds(
    sides: Sides, people: Sequence[Sequence[UUID]], options: argparse.Namespace, console: Console
) -> list[Round]:
    """Floor, suite, suite, floor, floor …: a slow minute of the machine meets both."""
    assert sides.infra.postgres is not None  # asked for at the beginning
    rounds = []
    for number, some in enumerate(people):
        yard = await asyncio.to_thread(measure, sides.infra.postgres, options.seconds)
        names = (FLOOR, SUITE, TRIED) if sides.tried else (FLOOR, SUITE)
        turns = {name: await _turn(sides, name, some, console) for name in names[:: 1 - 2 * (number % 2)]}
        rounds.append(Round(turns[FLOOR], turns[SUITE], yard, turns.get(TRIED)))
        one = rounds[-1]
        console.print(
            f"  Y {yard.y_tps:,.0f}/s   share of the floor {one.share:.2f}   CPU {one.cpu_ratio:.2f} × the floor's"
        )
    return rounds


async def _turn(sides: Sides, name: str, some: Sequence[UUID], console: Console) -> Turn:
    await sides.switch(name, min(WARM, len(some)))
    people = riders(len(some)) if name == TRIED else some
    await settle_riders(sides.of(name).installation, people)
    turn = Turn(*await sides.of(name).throughput(people))
    if name == SUITE:
        sides.batch_sizes = await sides.suite.batch_sizes()
    console.print(f"{name}: {turn.per_second:,.0f} events/s, {turn.cpu_us:,.0f} µs of CPU an event")
    return turn


async def _paced(
    bench: Bench, capacity: float, yard: Yardstick, options: argparse.Namespace, console: Console
) -> list[dict[str, Any]]:
    found = []
    for share in SHARES:
        per_second = share * capacity
        people = riders(max(2, int(per_second * (options.settle_seconds + options.paced_seconds))))
        await settle_riders(bench.installation, people)
        one = await paced(bench, share, per_second, people, options.settle_seconds)
        console.print(f"  at {share:.0%} of the capacity: p50 {one.p50_ms:.0f} ms, p99 {one.p99_ms:.0f} ms")
        found.append({**asdict(one), "per_second": round(per_second), "p99_over_l": round(one.p99_ms / yard.l_ms, 1)})
    return found


async def _paced_floor(sides: Sides, capacity: float, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """How long the same load takes through the bare hops."""
    await sides.switch(FLOOR, WARM)
    per_second = BOTH_SHARE * capacity
    people = riders(max(2, int(per_second * (options.settle_seconds + options.paced_seconds))))
    await settle_riders(sides.floor.installation, people)
    one = await paced(sides.floor, BOTH_SHARE, per_second, people, options.settle_seconds)
    console.print(f"  the floor at that half: p50 {one.p50_ms:.0f} ms, p99 {one.p99_ms:.0f} ms")
    return {**asdict(one), "per_second": round(per_second)}


async def _http(bench: Bench, capacity: float, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """As many as come through while intake is asked as fast as it answers; then the latency at half of that."""
    secret, url = await company_secret(bench), bench.suite.services["intake"].url
    people = riders(max(2, options.reports // 4))
    posted, through = await _posted(bench, people, lambda ready: post_all(url, ready), url, secret)
    rate = len(posted) / (max(through.values()) - min(one.at_s for one in posted))
    half = HTTP_SHARE * rate
    some = riders(max(2, int(half * options.paced_seconds / 2)))
    calm, through = await _posted(bench, some, lambda ready: post_paced(url, ready, half), url, secret)
    found = {
        "per_second": round(rate),
        "share_of_five_hops": round(rate / capacity, 3),
        "p99_ms": quantile_ms([through[one.rider_id] - one.at_s for one in calm], 99),
        "answer_p99_ms": quantile_ms([one.answered_s for one in calm], 99),
    }
    console.print(f"HTTP POST: {rate:,.0f}/s through all hops, {found['share_of_five_hops']:.2f} of them without it")
    return found


async def _posted(
    bench: Bench, people: Sequence[UUID], post: Post, url: str, secret: bytes
) -> tuple[list[Posted], dict[UUID, float]]:
    """Post a report of each; what was posted, and when each rider's message was committed."""
    await settle_riders(bench.installation, people)
    await intake_knows(bench.installation, people)
    ready = requests(url, secret, people, seed=bench.total + 1)
    posted = await post(ready)
    await bench.until_notified(bench.total + len(people))
    at_s = await commits_of(bench, [Sent(one.rider_id, one.rider_id, one.at_s) for one in posted], WAY[-1:])
    return posted, at_s[WAY[-1]]


async def _against_naive(sides: Sides, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """In the floor's database, where nobody works any more."""
    await sides.stop()
    people = riders(max(800, min(20_000, options.reports // 2)))
    ledger = await postings(sides.floor.installation, people, max(100, len(people) // 20))
    ledger |= await hottest(sides.floor.installation, people, min(1_000_000, 50 * options.reports))
    offer = await hot_offer(sides.floor.installation, max(200, min(8_000, options.reports // 8)))
    console.print(f"postings in batches {ledger['ratio_to_single']:.1f} × one by one")
    console.print(
        f"the hottest account with {ledger['hottest_entries']:,} entries {ledger['hottest_to_young']:.2f} × a young one"
    )
    console.print(f"a hot offer {offer['ratio_to_row_lock']:.1f} × a row lock")
    return {"postings": ledger, "hot_offer": offer}


async def _rest(folder: Path, console: Console) -> dict[str, Any]:
    found = await asyncio.to_thread(rest, folder)
    cores, pss_mib = found["idle"]["cores"], found["idle"]["pss_mib"]
    console.print(f"started in {found['start_s']:.1f} s; idle: {cores:.3f} cores and {pss_mib:.0f} MiB of all services")
    return found


def _aged(out: Path) -> dict[str, Any] | None:
    file = out.with_name("bench-aged.json")
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found
