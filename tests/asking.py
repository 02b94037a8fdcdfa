"""Asking a running suite, at its front door, for what takes a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.devtools.suite import check_suites
from shared.kit import clock
from shared.synthetic.door import DoorError

ANSWER_WITHIN_S = 60.0


async def soon(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], what: str = "a good answer") -> Any:
    """The answer, as soon as it is good; refusals count as not yet. A service that died meanwhile is named at once."""
    deadline_s = clock.monotonic_s() + ANSWER_WITHIN_S
    last: Any = None
    while clock.monotonic_s() < deadline_s:
        check_suites()
        try:
            last = await ask()
            if good(last):
                return last
        except DoorError as not_yet:
            last = not_yet
        await asyncio.sleep(0.1)
    pytest.fail(f"not within {ANSWER_WITHIN_S:.0f} s: {what}; last answer {str(last)[:500]}")
