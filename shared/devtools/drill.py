"""`python -m shared.devtools.drill [--reports N] [--rate N]`: a city is lost in the middle of its day, and comes back.

A suite is at work and is backed up meanwhile; then all of it is gone. New, empty servers; topics, users and schemas
from the declarations; `beegrid restore`; new Kafka passwords for companies. They send their whole day once more, as
whoever doesn't know what has arrived does; people go on with the cases that they had. At the end every sum must be
right: what came after the backup is there, for it was sent again, and nothing counts twice.

Prints how long each step took, and the time per million rows. Exit status 1 where a sum is wrong.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shared.cli.backup.manifest import Manifest, read_manifest
from shared.cli.backup.places import Places
from shared.cli.backup.returning import check_files, check_target, put_back
from shared.cli.backup.taking import take
from shared.devtools.demo import live, reconcile
from shared.devtools.demo.target import target_of
from shared.devtools.suite import Suite, local_settings, running_suite
from shared.kit import clock
from shared.provision.postgres import other_database
from shared.provision.topology import provision_company
from shared.synthetic import opening, reports, staff
from shared.synthetic.door import Door
from shared.synthetic.people import Company
from shared.synthetic.reports import Planned
from shared.synthetic.streams import Streams

SEED = 330114
LOOK_EVERY_S = 0.5
SETTLE_S = 300.0
# A record that is sent badly twice is refused twice: that equation is about one day only.
OF_ONE_DAY = "应退回"


@dataclass
class Day:
    """What companies and the operator keep in their own heads while the city is lost."""

    companies: list[Company] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    rate: float = 0.0


@dataclass
class Outcome:
    """Seconds of each step, what the backup held, what was unread in it, and the equations at the end."""

    seconds: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    unread: int = 0
    kept: int = 0
    """Reports in the backup."""
    accepted_before: int = 0
    """Reports accepted by the time of the loss."""
    lines: list[reconcile.Line] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every equation holds."""
        return bool(self.lines) and all(line.holds for line in self.lines)

    def show(self, console: Console) -> None:
        """Both tables."""
        table = Table(title="恢复演练 / restore drill", title_justify="left")
        for title in ("step", "s", "s per million rows"):
            table.add_column(title, justify="left" if title == "step" else "right")
        for step, seconds in self.seconds.items():
            by_rows = f"{seconds / self.rows * 1e6:,.0f}" if step in BY_ROWS else ""
            table.add_row(step, f"{seconds:.1f}", by_rows)
        console.print(table)
        before = f"of {self.accepted_before:,} reports before the loss the backup had {self.kept:,}"
        console.print(f"{self.rows:,} rows, {self.unread:,} unread records; {before}")
        reconcile.show(self.lines, [], console)


BY_ROWS = ("backup", "restore")


def places_of(suite: Suite, state: Path) -> Places:
    """What `beegrid backup` finds beside a suite."""
    made = suite.installation
    url = other_database(made.infra.postgres_admin_url, made.name)
    return Places(url, made.cluster, local_settings(state)["BEEGRID_PHOTO_STORE_URL"])


@asynccontextmanager
async def opened(suite: Suite) -> AsyncIterator[Door]:
    """The suite's front door."""
    door = Door(target_of(suite))
    try:
        yield door
    finally:
        await door.close()


async def before(suite: Suite, state: Path, folder: Path, day: Day, count: int, outcome: Outcome) -> None:
    """Half a day, a backup in its midst, and a bit more of the day that no backup has."""
    async with opened(suite) as door:
        await opening.import_city(door)
        await opening.let_time_be_short(door)
        day.companies = await opening.register_companies(door)
        await opening.register_riders(door, day.companies, lambda _: None)
        day.planned = reports.plan(day.companies, count, list(reports.TEXTS), SEED)
        crew = staff.hire(door, await _streets(door))
        saved = asyncio.Event()
        sending = asyncio.create_task(_in_two_halves(door, day, saved))
        working = asyncio.create_task(crew.work(asyncio.Event()))
        try:
            await _until(door, suite, lambda figures: figures.tally("intake", "accepted") >= count // 3)
            await asyncio.to_thread(folder.mkdir)
            began_s = clock.monotonic_s()
            with Progress(console=Console(quiet=True)) as quiet:
                manifest = await take(places_of(suite, state), folder, quiet)
            outcome.seconds["backup"] = clock.monotonic_s() - began_s
            outcome.rows = sum(facts.rows for _, _, facts in manifest.tables())
            outcome.unread = manifest.kafka.records
            outcome.kept = manifest.schemas["intake"].tables["reports"].rows
            saved.set()
            await _until(door, suite, lambda figures: figures.tally("intake", "accepted") > outcome.kept + count // 10)
            outcome.accepted_before = (await live.look(door)).tally("intake", "accepted")
        finally:
            for task in (sending, working):
                task.cancel()
            await asyncio.gather(sending, working, return_exceptions=True)


async def _in_two_halves(door: Door, day: Day, saved: asyncio.Event) -> None:
    """Send half of the day, and the rest once the backup is there: something always comes after it."""
    half = len(day.planned) // 2
    await Streams(door, day.companies, day.planned[:half], day.rate).run(lambda _: None)
    await saved.wait()
    await Streams(door, day.companies, day.planned[half:], day.rate).run(lambda _: None)


async def after(suite: Suite, state: Path, folder: Path, day: Day, outcome: Outcome) -> None:
    """Restore into the empty suite; the whole day once more; everything comes to its end."""
    began_s = clock.monotonic_s()
    await restore(places_of(suite, state), folder)
    outcome.seconds["restore"] = clock.monotonic_s() - began_s
    for company in day.companies:
        await asyncio.to_thread(provision_company, suite.installation.cluster, company.code, company.kafka_password)
    began_s = clock.monotonic_s()
    async with opened(suite) as door:
        streams = Streams(door, day.companies, day.planned, day.rate)
        finished = asyncio.Event()
        crew = staff.hire(door, await _streets(door))
        working = asyncio.create_task(crew.work(finished))
        try:
            await streams.run(lambda _: None)
            outcome.seconds["the day once more"] = clock.monotonic_s() - began_s
            await _until(
                door, suite, lambda figures: figures.lag == figures.outbox == figures.tally("cases", "live") == 0,
                times=3, give_up=False,
            )  # fmt: skip
            finished.set()
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        found = reconcile.lines(streams.sent, streams.http_refused, await live.look(door))
        outcome.lines = [line for line in found if not line.what.startswith(OF_ONE_DAY)]
    outcome.seconds["until settled"] = clock.monotonic_s() - began_s


async def restore(places: Places, folder: Path) -> Manifest:
    """As `beegrid restore` does."""
    manifest = read_manifest(folder)
    with Progress(console=Console(quiet=True)) as quiet:
        check_files(folder, manifest, quiet)
        await check_target(places, manifest)
        await put_back(places, folder, manifest, quiet)
    return manifest


async def _streets(door: Door) -> list[str]:
    found = await door.get("/v1/areas", level="street", limit=200)
    return [area["code"] for area in found["items"]]


async def _until(
    door: Door, suite: Suite, good: Callable[[live.Figures], bool], *, times: int = 1, give_up: bool = True
) -> None:
    """Until `good` says so of the figures `times` times in a row; without `give_up` the equations say what is wrong."""
    deadline_s, seen = clock.monotonic_s() + SETTLE_S, 0
    while seen < times:
        suite.check()
        figures = await live.look(door)
        seen = seen + 1 if good(figures) else 0
        if clock.monotonic_s() > deadline_s:
            if give_up:
                raise TimeoutError(f"not within {SETTLE_S:.0f} s")
            return
        await asyncio.sleep(LOOK_EVERY_S)


def drill(home: Path, count: int, rate: float, console: Console) -> Outcome:
    """Both lives of the city below a folder. Raises what a server or a service fails with."""
    first, second, folder = home / "first", home / "second", home / "backup"
    day, outcome = Day(rate=rate), Outcome()
    with running_suite(first, console.print, persistent=False) as suite:
        asyncio.run(before(suite, first, folder, day, count, outcome))
    console.print("全部丢失 / all of it is lost: servers, logs, topics; kept apart were the backup and the secrets")
    second.mkdir()
    shutil.copy(first / "secrets.json", second)
    shutil.copytree(first / "identity", second / "identity")
    with running_suite(second, console.print, persistent=False) as suite:
        assert suite.start_s is not None, "running_suite says how long it took"
        outcome.seconds["empty servers, topics, schemas, services"] = suite.start_s
        asyncio.run(after(suite, second, folder, day, outcome))
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a sum is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=400.0, help="reports a second")
    options = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="beegrid-drill-") as name:
        outcome = drill(Path(name), options.reports, options.rate, console)
    outcome.show(console)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
