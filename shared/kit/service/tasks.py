"""What a process does beside hearing and answering: named tasks that are started again when they fail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from shared.kit import clock
from shared.kit.postgres.db import is_transient

log = structlog.get_logger(__name__)

Task = Callable[[], Awaitable[None]]
CANCEL_AGAIN_S = 1.0  # how long a task may take to end before it is asked once more
OWN_TASKS = frozenset({"relay", "measure", "sweep-old-rows", "roll-inbox", "certificates"})
PAUSE_MOST_S = 30.0
STEADY_S = 60.0


class Tasks:
    """The tasks of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.kept: dict[str, Task] = {}
        self.running: dict[str, asyncio.Task[None]] = {}

    def keep(self, name: str, task: Task) -> None:
        """Have a coroutine run for as long as the process lives; when it fails, again with growing pauses.

        Raises:
            ValueError: the name is taken; the other task would never run.
        """
        if name in self.kept or name in OWN_TASKS:
            raise ValueError(f"{self._service} has a background task {name} already")
        self.kept[name] = task

    def start(self, own: Mapping[str, Task]) -> None:
        """Start what is kept, and the kit's own."""
        for name, task in {**self.kept, **own}.items():
            self.spawn(name, _again(name, task))

    def spawn(self, name: str, task: Task) -> None:
        """Start a task whose end is an end: liveness says so."""

        async def run() -> None:
            await task()

        self.running[name] = asyncio.create_task(run(), name=name)

    def ended(self) -> dict[str, str]:
        """Those that run no longer, for liveness."""
        return {name: "ended" for name, task in self.running.items() if task.done()}

    async def cancel(self) -> None:
        """End all of them, and wait for that."""
        tasks = left = set(self.running.values())
        self.running = {}
        while left:
            for task in left:
                task.cancel()
            # a library may swallow the first one, as aiokafka does while it makes a producer
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(*tasks, return_exceptions=True)


def _again(name: str, task: Task) -> Task:
    async def run() -> None:
        failures = 0
        while True:
            started_s = clock.monotonic_s()
            try:
                await task()
            except Exception as error:
                if is_transient(error):
                    log.warning("background_failed", task=name, error=type(error).__name__)  # it passes by itself
                else:
                    log.exception("background_failed", task=name)
            failures = failures + 1 if clock.monotonic_s() - started_s < STEADY_S else 1
            await asyncio.sleep(clock.jittered(min(PAUSE_MOST_S, 0.5 * 2.0 ** min(failures, 6))))

    return run
