"""Work that comes again by the clock: at once while it does something, else after a pause.

A process that has nothing to do should do nothing. So work that others cause (verdicts to carry out, messages to send)
is looked for often while something happens in this process, and seldom otherwise: see `Pulse`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.kit import clock
from shared.kit.measuring import LEADER_POLL_S
from shared.kit.messaging.work import Work

Piece = Callable[[Work], Awaitable[int | None]]
"""A bounded piece of work in one transaction. How much it did, or whether there is more: 0, False, None: nothing."""
Turn = Callable[[], Awaitable[int | None]]
"""The same for what begins its own transactions, or none."""

# A beat may come before the commit that it announces, and whoever looks too early finds nothing. No transaction of a
# service lives for more than 30 s (transaction_timeout of its role), so looks until then see what it leaves.
AWAKE_S = 35.0


class Pulse:
    """Whether something happens in this process: a batch was handled, a transaction committed.

    It is a hint for when to look, never the only way to hear of work: what a process left that died, or what falls due
    by itself, is found by the slow looks.
    """

    def __init__(self) -> None:
        self._awake_until_s = 0.0
        self._sleepers: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        """Something happened: whoever rests for long looks now, and often for a while."""
        self._awake_until_s = clock.monotonic_s() + AWAKE_S
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    @property
    def awake(self) -> bool:
        """Whether something happened in the last AWAKE_S."""
        return clock.monotonic_s() < self._awake_until_s

    async def rest(self, pause_s: float, idle_s: float) -> None:
        """Wait so long, with jitter: `idle_s` while nothing happens, and then only until something does.

        While something does, no beat cuts the pause: under load there are many in a second.
        """
        if self.awake or idle_s <= pause_s:
            await asyncio.sleep(clock.jittered(pause_s))
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait((sleeper,), timeout=clock.jittered(idle_s))
        finally:
            self._sleepers.discard(sleeper)


@dataclass(frozen=True)
class Recurring:
    """One kind of work. `leads` None: any process does it; else the one of which that is true."""

    turn: Turn
    pulse: Pulse
    seconds: float
    idle_s: float
    leads: Callable[[], bool] | None = None
    held_up: Callable[[], bool] = bool
    """Whether it must wait for now: the pauses go on."""

    async def run(self) -> None:
        """Work until cancelled; errors are the caller's, which starts it again after a growing pause."""
        while True:
            if self.leads is not None and not self.leads():
                await asyncio.sleep(LEADER_POLL_S)
            elif self.held_up() or not await self.turn():
                await self.pulse.rest(self.seconds, self.idle_s)
            else:
                await asyncio.sleep(0)  # others' turn, also where nothing was waited for


def name_of(work: Callable[..., object]) -> str:
    """`end-due-keys` of a function `end_due_keys`, also of one that has some of its arguments already."""
    name: str = getattr(work, "func", work).__name__
    return name.strip("_").replace("_", "-")
