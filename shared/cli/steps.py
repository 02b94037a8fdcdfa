"""A check that goes step by step: each is shown as it ends, with its time, and the first that fails ends the check."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shared.cli.client import CliError
from shared.cli.screen import Screen, shown
from shared.kit import clock

T = TypeVar("T")
PAUSE_S = 0.3
STEP_S = 60.0
"""How long a step may take: much longer than any hop of a suite that is well."""


class Steps:
    """Shows steps on a screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """One step. What the block puts into the list is shown beside it. Raises CliError from the block, marked."""
        started_s = clock.monotonic_s()
        found: list[str] = []
        try:
            yield found
        except CliError:
            self._line("red", "✗", started_s, name, found)
            raise
        self._line("green", "✓", started_s, name, found)

    def _line(self, colour: str, mark: str, started_s: float, name: str, found: list[str]) -> None:
        took_s = clock.monotonic_s() - started_s
        self._screen.print(
            f"[{colour}]{mark}[/{colour}] {took_s:5.1f} s  {name}{'：' if found else ''}{shown('; '.join(found))}",
            highlight=False,
            soft_wrap=True,
        )


def until(ask: Callable[[], T | None], what: str, hint: str, wait_s: float = STEP_S, pause_s: float = PAUSE_S) -> T:
    """What `ask` answers, as soon as that isn't None. Raises CliError after `wait_s`."""
    deadline_s = clock.monotonic_s() + wait_s
    while (found := ask()) is None:
        if clock.monotonic_s() > deadline_s:
            raise CliError("没有等到 / It didn't come", f"{what} within {wait_s:.0f} s", hint=hint)
        time.sleep(pause_s)
    return found
