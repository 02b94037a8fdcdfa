"""Who breaks things: a schedule drawn from a seed, carried out by one thread, shown on failure."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shared.kit import clock


@dataclass(frozen=True, slots=True)
class Fault:
    """`pause_s` of quiet, then the action of this name."""

    pause_s: float
    name: str


def schedule(rng: random.Random, counts: Mapping[str, int], quiet_s: tuple[float, float]) -> list[Fault]:
    """So many faults of each name, shuffled, with quiet times between the two limits before each."""
    names = [name for name, count in counts.items() for _ in range(count)]
    rng.shuffle(names)
    return [Fault(rng.uniform(*quiet_s), name) for name in names]


@dataclass
class Nemesis:
    """Carries a schedule out. `done` says what was done when (seconds from the start), for the failure's message."""

    faults: list[Fault]
    actions: Mapping[str, Callable[[], object]]
    done: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Carry it out in a thread beside the block, and wait for its end. Raises what an action has raised: that comes
        first, with what the block has raised behind it, since nothing can be said of a system that was left broken."""
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(self.run)
            try:
                yield
            finally:
                running.result()

    def run(self) -> None:
        """Returns when the last fault has been healed; every action heals what it has broken."""
        started_s = clock.monotonic_s()
        for fault in self.faults:
            time.sleep(fault.pause_s)
            begun_s = clock.monotonic_s() - started_s
            what = self.actions[fault.name]() or ""
            ended_s = clock.monotonic_s() - started_s
            self.done.append(f"{begun_s:.1f}–{ended_s:.1f} s: {fault.name} {what}".strip())
