"""The only reader of the clock. Everything else is handed `now` or asks here."""

import os
import random
import time
from datetime import UTC, datetime, timedelta

# A replica whose clock is wrong must not corrupt anything: fault tests set this offset (seconds) on one process.
_OFFSET = timedelta(seconds=float(os.environ.get("BEEGRID_CLOCK_OFFSET_S", "0")))


def now() -> datetime:
    """The current instant, timezone-aware, in UTC."""
    return datetime.now(UTC) + _OFFSET


def monotonic_s() -> float:
    """Seconds from an arbitrary start that never run backwards: for durations and deadlines inside one process."""
    return time.monotonic()


def unix_s() -> float:
    """The current instant in seconds since 1970."""
    return now().timestamp()


def jittered(pause_s: float, least: float = 0.5, most: float = 1.0) -> float:
    """A pause of `least` to `most` times its length, so that processes don't come back in step."""
    return pause_s * random.uniform(least, most)  # noqa: S311 spreads load, guards nothing


def thread_cpu_s() -> float:
    """Seconds of CPU that this thread has had: what else the machine does is not in it."""
    return time.thread_time()
