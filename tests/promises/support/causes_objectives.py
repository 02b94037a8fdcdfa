"""Causes of alerts: promised qualities that are missed, then kept so often that the missed ones hardly count."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson

from shared.events.report_received import REPORT_RECEIVED
from tests.promises.support.kafka import Raw, RawProducer, wait_consumed
from tests.promises.support.raw_events import closed_case, event, points_moved, received
from tests.promises.support.watched import PATIENCE_S, Watched, locked, repeated

LATE = timedelta(minutes=1)
# So few that they are in time on a busy machine too.
GOOD_AT_ONCE = 150
SLOW_S = 1.0
SLOW_AT_ONCE = 10


@asynccontextmanager
async def intake_refuses_and_is_slow(watched: Watched) -> AsyncIterator[None]:
    """Somebody locks intake's table: requests wait, and get 503 where it takes long."""
    town, reports = watched.town, watched.owner("intake")

    async def turn() -> None:
        bodies = [orjson.dumps(town.report()) for _ in range(SLOW_AT_ONCE)]
        async with town.intake() as client:
            async with locked(reports, "reports"):
                # One after the other: a rate sees only what comes after the first.
                for _ in range(2):
                    await town.post(client, bodies[0])
            async with locked(reports, "reports"):
                waiting = [asyncio.create_task(town.post(client, body)) for body in bodies]
                await asyncio.sleep(SLOW_S)
            await asyncio.gather(*waiting)

    async with repeated(turn, every_s=15.0):
        yield
    for alert in ("IntakeAvailabilityBurn", "IntakeLatencyBurn"):
        await watched.outweigh(alert, lambda: town.repeat(GOOD_AT_ONCE))


@asynccontextmanager
async def riders_are_notified_late(watched: Watched) -> AsyncIterator[None]:
    """Points that are held a minute after their report's acceptance."""
    async with _late(watched, "TimeToNotifiedBurn", "notifications", points_moved):
        yield


@asynccontextmanager
async def reports_are_routed_late(watched: Watched) -> AsyncIterator[None]:
    """Reports that routing hears of a minute after their acceptance."""
    async with _late(watched, "TimeToRoutedBurn", "routing", lambda ago: event(REPORT_RECEIVED, received(ago=ago))):
        yield


@asynccontextmanager
async def points_are_posted_late(watched: Watched) -> AsyncIterator[None]:
    """Cases that points hears of a minute after their closing."""
    async with _late(watched, "PointsPostedBurn", "points", closed_case):
        yield


@asynccontextmanager
async def _late(
    watched: Watched, alert: str, service: str, made: Callable[[timedelta], Raw | list[Raw]]
) -> AsyncIterator[None]:
    """Late events; afterwards so many in time that the share of late ones is small again."""
    producer = RawProducer(watched.home)

    async def send(count: int, ago: timedelta) -> None:
        raws = [raw for _ in range(count) for raw in _flat(made(ago))]
        await asyncio.to_thread(producer.send_all, raws)
        await asyncio.to_thread(wait_consumed, watched.home, service, [raws[0].topic], PATIENCE_S)

    async with repeated(lambda: send(10, LATE), every_s=2.0):
        yield
    await watched.outweigh(alert, lambda: send(GOOD_AT_ONCE, timedelta()))


def _flat(made: Raw | list[Raw]) -> list[Raw]:
    return made if isinstance(made, list) else [made]
