"""How fast load comes: at a steady rate, whatever the receiver does, or as in a rush hour."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

from shared.kit import clock

T = TypeVar("T")
TICK_S = 0.02
STEP_S, HOUR_S = 10, 3600


async def paced(
    items: Iterable[T], per_second: float, *, tick_s: float = TICK_S, most: int | None = None
) -> AsyncIterator[list[T]]:
    """The items as they fall due, those of a tick together; what is late comes at once, nothing is left out.

    `most`: the length of a part at most.
    """
    left, given, began_s = iter(items), 0, clock.monotonic_s()
    while True:
        due = int((clock.monotonic_s() - began_s) * per_second) + 1 - given
        while due > 0:
            part = list(islice(left, min(due, most or due)))
            if not part:
                return
            given, due = given + len(part), due - len(part)
            yield part
        await asyncio.sleep(tick_s)


def rush(peak: float, mean_to_peak: float) -> list[float]:
    """Reports a second in each step of an hour: a bell around its middle on a flat floor, the given mean and peak."""
    bell = [math.exp(-(((second - HOUR_S / 2) / 300) ** 2)) for second in range(0, HOUR_S, STEP_S)]
    bell_mean = sum(bell) / len(bell)
    floor = max(0.0, (mean_to_peak - bell_mean) / (1 - bell_mean))
    return [peak * (floor + (1 - floor) * value) for value in bell]
