"""What a service keeps by area: counted before a new map comes into force, carried over to successors afterwards."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog

from shared.kit.areas.following import KnownAreas
from shared.kit.areas.tree import AreaTree
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection, is_transient

log = structlog.get_logger(__name__)
CARRY_EVERY_S = 10.0
LOOKS_UNTIL_STEADY = 60
"""Looks in a row that find nothing, after which what the map moves counts as carried: ten minutes."""
STEADY_EVERY = 30
"""From then on every so many turns, each five minutes: areas that vanished stay known for good, and so would the looks.
What comes late under their codes is its successors' to see and to be notified of all the while."""

Count = Callable[[Connection, Sequence[str]], Awaitable[dict[str, dict[str, int]]]]
"""What is kept under each of these codes: number by code, by the name of the thing."""
Carry = Callable[[Work], Awaitable[int]]
"""Carries a bounded number of rows to the successors of their areas; how many. 0: none is left."""


Begin = Callable[[], AbstractAsyncContextManager[Work]]
"""Begins a transaction with an outbox."""


@dataclass(frozen=True)
class ByArea:
    """A service's two answers. `carry` finds by itself what lies in an area that vanished, so it may stop anywhere,
    be repeated, and finds also what came late."""

    count: Count
    carry: Carry | None = None


class Looks:
    """Whether to look in a turn: each time after a new map or a find, seldom once nothing was found for a while."""

    def __init__(self) -> None:
        self._tree: AreaTree | None = None
        self._empty = 0
        self._turns = 0

    def due(self, tree: AreaTree) -> bool:
        """Whether this turn looks; it is due until `seen`."""
        if tree is not self._tree:
            self._tree, self._empty = tree, 0
        self._turns += 1
        return tree.vanished and (self._empty < LOOKS_UNTIL_STEADY or self._turns >= STEADY_EVERY)

    def seen(self, moved: int) -> None:
        """A look has ended and moved so many."""
        self._empty = 0 if moved else self._empty + 1
        self._turns = 0


async def carry_forever(
    by_area: ByArea,
    known: KnownAreas,
    leading: Callable[[], bool],
    work: Callable[[], AbstractAsyncContextManager[Work]],
) -> None:
    """Carry over in the one process that leads, a batch a transaction, until nothing is left; then look again.

    Often after a new map, later every few minutes for what comes late.
    """
    looks = Looks()
    while True:
        await asyncio.sleep(CARRY_EVERY_S)
        if not leading():
            looks = Looks()  # whoever led meanwhile may have stopped halfway
            continue
        if not looks.due(known.tree):
            continue
        try:
            moved = await carry_all(by_area, work)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("areas_not_carried", error=type(error).__name__)
        else:
            looks.seen(moved)
            if moved:
                log.info("areas_carried", rows=moved)


async def carry_all(by_area: ByArea, work: Begin) -> int:
    """Batch after batch until one is empty; how many rows in all."""
    total = 0
    while by_area.carry is not None:
        async with work() as unit:
            moved = await by_area.carry(unit)
        if not moved:
            break
        total += moved
    return total
