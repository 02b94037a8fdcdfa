"""A steady rate, whatever the receiver does."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

from shared.kit import clock

T = TypeVar("T")
TICK_S = 0.02


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
