"""Whose photo is decoded next: one caller's photos, however slow, leave room and processes for everybody else's."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.intake import metrics
from shared.kit import clock

ORDINARY_S = 1.0
"""What a photo may take that nobody is charged for."""
CHARGED_MAX_S = 20.0
"""A caller who owes more is refused until it is forgiven."""
FORGIVEN_PER_S = 0.1
COMPANY_FORGIVEN_PER_S = 1.0
_COMPANY = "company:"
_CALLERS_MAX = 20_000


class PhotoQueueFull(Exception):
    """As many photos as may be in memory are being worked on, or as many of one caller."""


class PhotosTooSlow(Exception):
    """The caller's photos took too long lately; `retry_after_s` whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Turns:
    """At most `workers` at once and `present_max` present, of which a person has a quarter, a company half.

    Turns are in the order of arrival. What a photo takes beyond ORDINARY_S is charged to its caller and forgiven as
    time passes; who owes something leaves one worker to others.
    """

    def __init__(self, workers: int, present_max: int) -> None:
        self._workers = workers
        self._present_max = present_max
        self._present: Counter[str] = Counter()
        self._working: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._owed: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def present(self) -> int:
        """Photos being worked on or waiting."""
        return self._present.total()

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits for the caller's turn, and has it until the end of the block.

        Raises:
            PhotoQueueFull, PhotosTooSlow: at once.
        """
        if (over := self.owed_s(caller) - CHARGED_MAX_S) > 0:
            raise PhotosTooSlow(1 + int(over / _forgiven_per_s(caller)))
        share = self._present_max // (2 if caller.startswith(_COMPANY) else 4)
        if self.present >= self._present_max or self._present[caller] >= max(1, share):
            raise PhotoQueueFull
        self._present[caller] += 1
        mine = (caller, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        metrics.PHOTOS_IN_WORK.set(self.present)
        self._next()
        try:
            await mine[1]
            yield
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                _less(self._working, caller)
            _less(self._present, caller)
            metrics.PHOTOS_IN_WORK.set(self.present)
            self._next()

    def charge(self, caller: str, seconds: float) -> None:
        """What one photo took."""
        owed = self.owed_s(caller) + max(0.0, seconds - ORDINARY_S)
        self._owed.pop(caller, None)
        if owed:
            self._owed[caller] = (owed, clock.monotonic_s())
        if len(self._owed) > _CALLERS_MAX:
            self._owed.popitem(last=False)

    def owed_s(self, caller: str) -> float:
        """Seconds that the caller's photos took too long and that are not forgiven yet."""
        owed, at_s = self._owed.get(caller, (0.0, 0.0))
        return max(0.0, owed - _forgiven_per_s(caller) * (clock.monotonic_s() - at_s))

    def _next(self) -> None:
        for one in tuple(self._waiting):
            caller, mine = one
            if self._working.total() >= self._workers:
                return
            if self._working[caller] < max(1, self._workers - (self.owed_s(caller) > 0)):
                self._waiting.remove(one)
                self._working[caller] += 1
                if not mine.done():  # done: its caller has gone, and gives the turn back
                    mine.set_result(None)


def _forgiven_per_s(caller: str) -> float:
    return COMPANY_FORGIVEN_PER_S if caller.startswith(_COMPANY) else FORGIVEN_PER_S


def _less(counter: Counter[str], caller: str) -> None:
    counter[caller] -= 1
    if not counter[caller]:
        del counter[caller]
