"""A city's day: companies stream reports, people handle them, riders earn points and take gifts at two stations.

Then all is counted: the hops, what stations are owed against the ledger, the ledger against its public seal.

make demo            leaves the suite up until Ctrl-C
make demo KEEP=0     ends after the reconciliation, with its exit status
REPORTS=20000 RATE=400 PORT=8080 change the size, the reports a second and the front door's port.
BEEGRID_URL=http://… holds the same day on a suite that runs already, e.g. in containers; see target.py.
"""

import asyncio
import shutil
import sys
import threading
from collections.abc import Callable

import httpx
from confluent_kafka import KafkaException
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from shared.cli.client import CliError
from shared.devtools.demo import ending, live, reconcile
from shared.devtools.demo.target import browser_url, target_from_environment, target_of
from shared.devtools.infra.errors import InfraError
from shared.devtools.suite import running_suite
from shared.devtools.up import STATE, addresses, stop_on_signals, watch
from shared.kit import clock
from shared.synthetic import farmed, gifts, opening, outings, reports, staff, stations
from shared.synthetic.door import Door, DoorError, Target
from shared.synthetic.streams import Streams

SEED = 330114
# What the pages say of a city whose cells are invented.
INVENTED = {
    "BEEGRID_CITY_NAME_ZH": "演示城市",
    "BEEGRID_CITY_NAME_EN": "Demo city",
    "BEEGRID_BOUNDARIES_FICTIONAL": "true",
}
SETTLE_S = 240.0


class Options(BaseSettings):
    """What the environment asks for: REPORTS, RATE, PORT and KEEP."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    reports: int = 20_000
    rate: float = 400.0
    """Reports a second."""
    port: int | None = None
    keep: bool = True


class Interrupted(Exception):
    """Ctrl-C in the middle of the day."""


async def day(
    target: Target,
    options: Options,
    console: Console,
    stop: threading.Event,
    check: Callable[[], None] = lambda: None,
) -> bool:
    """The whole day; True when everything reconciles. `check` raises when a process that the day needs has died."""
    door = Door(target)
    try:
        work = asyncio.create_task(_day(door, options, console))
        while not work.done():
            await asyncio.wait({work}, timeout=0.3)
            if stop.is_set():
                work.cancel()
                raise Interrupted
            try:
                check()
            except InfraError:
                work.cancel()
                raise
        return work.result()
    finally:
        await door.close()


async def _day(door: Door, options: Options, console: Console) -> bool:
    grids = await opening.import_city(door)
    console.print(f"演示城市 / demo city: 钱塘 {grids} 个网格 / grids（虚构边界 / invented cells）")
    companies = await opening.register_companies(door)
    await opening.let_time_be_short(door)
    with console.status("登记骑手 / registering riders …") as status:
        riders = await opening.register_riders(
            door, companies, lambda n: status.update(f"登记骑手 / registering riders: {n:,}")
        )
    console.print(f"{len(companies)} 家企业、{riders:,} 名小哥 / companies, riders")
    await stations.import_stations(door, stations.plan())
    shop, shoppers = await gifts.open_shop(door), await gifts.shoppers(door, companies)
    planned = reports.plan(companies, options.reports, list(reports.TEXTS), SEED)
    streams = Streams(door, companies, planned, options.rate)
    one_picture = await farmed.file(door, shoppers)
    streams.sent.accepted += len(one_picture)
    streets = await _streets(door)
    crew = staff.hire(door, streets)
    finished = asyncio.Event()
    with live.Board(console, len(planned)) as board:
        working = asyncio.create_task(crew.work(finished))
        sending = asyncio.create_task(streams.run(lambda sent: board.sent(sent.total)))
        try:
            await _until_settled(door, board, sending, working)
            decided = await farmed.review(door, one_picture[-1])
            taken = await gifts.redeem(door, shop, shoppers)
            outing = await outings.hold(door, streets[0], shoppers)
            await ending.until_sealed(door)
            await _until_quiet(door, board, lambda figures: figures.tally("rewards", "requested") == 0)
            finished.set()
            await working
        finally:
            for task in (sending, working):
                task.cancel()
            await asyncio.gather(sending, working, return_exceptions=True)
    console.print()
    console.print("退回与死信是演示里故意发送的坏上报 / what was refused or is dead was sent badly on purpose")
    console.print(f"网格与部门的动作 / people's steps: {dict(crew.steps)}")
    console.print(f"可疑上报的复核 / suspicions decided: {dict(decided)}")
    console.print(f"兑换 / redemptions: {taken}")
    there, is_open = await stations.open_now(door)
    console.print(
        f"驿站 / stations: {there}（特色 / special {stations.SPECIAL}），现在开放 / open now {is_open}: /stations"
    )
    console.print(f"活动 / an activity of {outings.PLACES} places, {outing.wishes} wishes: {dict(outing.states)}")
    settled, sealed = await ending.settle(door, shop), await ending.verify(door, shoppers)
    figures = await live.look(door)
    ending.show(settled, sealed, figures, console)
    hops = (await door.get("/v1/tracking/hops"))["hops"]
    found = reconcile.lines(streams.sent, streams.http_refused, figures)
    found += ending.lines(settled, sealed, figures) + ending.decisions(decided, figures)
    found += ending.places(outing, figures)
    return reconcile.show(found, hops, console)


async def _streets(door: Door) -> list[str]:
    found = await door.get("/v1/areas", level="street", limit=200)
    return [area["code"] for area in found["items"]]


async def _until_settled(
    door: Door, board: live.Board, sending: "asyncio.Task[reports.Sent]", working: "asyncio.Task[None]"
) -> None:
    """Until everything was sent, no case is open and nothing is on its way."""
    while not sending.done():
        await asyncio.sleep(live.LOOK_EVERY_S)
        board.show(await live.look(door))
        if working.done():
            working.result()
    sent = sending.result()

    def settled(figures: live.Figures) -> bool:
        if working.done():
            working.result()
        return figures.tally("cases", "live") == 0 and figures.tally("intake", "accepted") >= sent.accepted

    await _until_quiet(door, board, settled)


async def _until_quiet(door: Door, board: live.Board, settled: Callable[[live.Figures], bool]) -> None:
    """Until nothing is on its way and all is settled at two looks, or too long: the reconciliation says what lacks."""
    deadline_s = clock.monotonic_s() + SETTLE_S
    quiet = 0
    while quiet < 2 and clock.monotonic_s() < deadline_s:
        await asyncio.sleep(live.LOOK_EVERY_S)
        figures = await live.look(door)
        board.show(figures)
        quiet = quiet + 1 if settled(figures) and figures.lag == figures.outbox == 0 else 0


def elsewhere(target: Target, options: Options, console: Console, stop: threading.Event) -> int:
    """The day on a suite that runs already; once only, since the suite keeps its city."""
    began_s = clock.monotonic_s()
    try:
        if asyncio.run(_held(target)):
            console.print(f"演示日已办过 / the day has been held: {browser_url(target)}/")
            return 0
        good = asyncio.run(day(target, options, console, stop))
    except Interrupted:
        return 130
    except (DoorError, CliError, httpx.HTTPError, KafkaException) as error:
        console.print(f"[red]{error}")
        return 1
    console.print(f"{verdict(good)}  ({clock.monotonic_s() - began_s:.0f} s)  {browser_url(target)}/")
    return 0 if good else 1


async def _held(target: Target) -> bool:
    door = Door(target)
    try:
        return (await live.look(door)).tally("intake", "accepted") > 0
    finally:
        await door.close()


def verdict(good: bool) -> str:
    """The last line's beginning."""
    return "[green bold]对账一致 / everything reconciles[/]" if good else "[red bold]对账不符 / does not reconcile[/]"


def _first(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that tasks wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    """0: everything reconciles; 1: it doesn't, or a server or service failed; 130: interrupted."""
    options, console = Options(), Console()
    stop = stop_on_signals()
    target = target_from_environment()
    if target is not None:
        return elsewhere(target, options, console, stop)
    state = STATE / "demo"
    shutil.rmtree(state, ignore_errors=True)
    began_s = clock.monotonic_s()
    try:
        with running_suite(
            state, console.print, port=options.port, overrides=INVENTED, persistent=False, address=STATE
        ) as suite:
            good = asyncio.run(day(target_of(suite), options, console, stop, suite.check))
            console.print(f"{verdict(good)}  ({clock.monotonic_s() - began_s:.0f} s)")
            if options.keep and not stop.is_set():
                addresses(suite, console)
                watch(suite, stop, console)
            console.print("正在停止 / stopping …")
    except Interrupted:
        shutil.rmtree(state, ignore_errors=True)
        console.print("已中断 / interrupted")
        return 130
    except (InfraError, CliError, RuntimeError, ExceptionGroup) as error:
        console.print(f"[red]{_first(error)}\n日志在 / logs are in {state}/logs", markup=True)
        return 1
    if good:
        shutil.rmtree(state, ignore_errors=True)
    else:
        console.print(f"日志留在 / logs stay in {state}/logs")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
