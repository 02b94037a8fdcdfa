"""Gauges that cost a query or a file: measured rarely, and by one process of a service."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from prometheus_client import Gauge

from shared.kit import clock, metrics
from shared.kit.postgres.db import Connection, Pool, reading

Measure = Callable[[Connection], Awaitable[None]]
# A measurement that takes longer comes more rarely: at most a fiftieth of one connection's time.
COST_SHARE_MAX = 1 / 50
LEADER_POLL_S = 2.0
CERTIFICATES_EVERY_S = 3600.0


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


def not_after_s(file: Path) -> float:
    """When the first of a PEM file's certificates expires, in seconds since 1970.

    Raises:
        ValueError: there is no certificate in it.
        OSError: it can't be read.
    """
    certificates = x509.load_pem_x509_certificates(file.read_bytes())
    return min(one.not_valid_after_utc.timestamp() for one in certificates)


async def watch_certificates(file: str) -> None:
    """Show when a file's certificates expire; the file is read again every hour, for it is replaced in place."""
    while True:
        metrics.CERTIFICATE_NOT_AFTER.labels(file=file).set(await asyncio.to_thread(not_after_s, Path(file)))
        await asyncio.sleep(CERTIFICATES_EVERY_S)
