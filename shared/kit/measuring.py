"""Gauges that cost a query or a file: measured rarely, and by one process of a service."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Gauge

from shared.kit import clock, metrics, tls
from shared.kit.postgres.db import Connection, Pool, reading

Measure = Callable[[Connection], Awaitable[None]]
# A measurement that takes longer comes more rarely: at most a fiftieth of one connection's time.
COST_SHARE_MAX = 1 / 50
LEADER_POLL_S = 2.0
CERTIFICATES_EVERY_S = 60.0


@dataclass(frozen=True)
class Measuring:
    """One repeated measurement of the whole schema.

    All processes would measure the same, so only the relay's leader does. Whoever leads no longer forgets its values:
    a stale one would keep an alert firing.
    """

    leads: Callable[[], bool]
    pool: Callable[[], Pool]
    measure: Measure
    gauges: Sequence[Gauge]
    every_s: float

    async def run(self) -> None:
        """Measure until cancelled; errors are the caller's, which starts again."""
        while True:
            if not self.leads():
                forget(self.gauges)
                await asyncio.sleep(LEADER_POLL_S)
                continue
            began_s = clock.monotonic_s()
            async with reading(self.pool()) as conn:
                await self.measure(conn)
            took_s = clock.monotonic_s() - began_s
            await self._rest(max(self.every_s, took_s / COST_SHARE_MAX))

    async def _rest(self, pause_s: float) -> None:
        until_s = clock.monotonic_s() + pause_s
        while self.leads() and (left_s := until_s - clock.monotonic_s()) > 0:  # noqa: ASYNC110 the relay says it by a plain field
            await asyncio.sleep(min(left_s, LEADER_POLL_S))


def forget(gauges: Sequence[Gauge]) -> None:
    """Show no value: no series where there are labels, else NaN, which no comparison matches."""
    for gauge in gauges:
        if gauge._labelnames:  # the library has no public accessor
            gauge.clear()
        else:
            gauge.set(math.nan)


async def watch_certificates(files: Sequence[Path] = ()) -> None:
    """Show when the authorities expire that this process trusts now, and take new ones where a file has changed.

    `files`: of those that are read again at each connection, so that what they hold is what is used.
    """
    while True:
        for context in list(tls.IN_USE):
            await asyncio.to_thread(context.refresh)
            metrics.CERTIFICATE_NOT_AFTER.labels(file=str(context.file)).set(context.not_after_s)
        for file in files:
            metrics.CERTIFICATE_NOT_AFTER.labels(file=str(file)).set(await asyncio.to_thread(tls.not_after_s, file))
        await asyncio.sleep(CERTIFICATES_EVERY_S)
