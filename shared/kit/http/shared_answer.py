"""One answer for everybody who asks at the same time, so that a flood of questions costs what one does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.kit import clock
from shared.kit.postgres.db import AT_ONCE_S, is_transient

T = TypeVar("T")
FAILURE_S = 1.0


class SharedAnswer(Generic[T]):
    """Asks at most once at a time; an answer serves for `fresh_s` seconds, a failure for one at most.

    A transient failure that comes at once is no answer yet: everybody would be refused for one dead connection.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_s: float = 1.0) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._asking: asyncio.Task[T] | None = None
        self._until_s = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether `get` asks nothing: the question is being asked, or its answer still serves."""
        return self._asking is not None and not (self._asking.done() and clock.monotonic_s() >= self._until_s)

    async def get(self) -> T:
        """The answer, at most `fresh_s` old. Raises what asking raised; a caller who leaves ends nobody's question."""
        asking = self._asking
        if asking is None or not self.is_fresh:
            asking = self._asking = asyncio.create_task(self._keep())
        return await asyncio.shield(asking)

    async def _keep(self) -> T:
        fresh_s = min(self._fresh_s, FAILURE_S)
        try:
            answer = await self._asked()
            fresh_s = self._fresh_s
            return answer
        finally:
            self._until_s = clock.monotonic_s() + fresh_s

    async def _asked(self) -> T:
        began_s = clock.monotonic_s()
        try:
            return await self._ask()
        except Exception as error:
            if not is_transient(error) or clock.monotonic_s() - began_s > AT_ONCE_S:
                raise
        return await self._ask()
