"""The guard of signed requests has its connections in time, and another one where the first was dead. Real Postgres."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from shared.kit.auth import ReplayGuard
from shared.kit.postgres import db
from shared.kit.postgres.db import Pool
from shared.kit.problems import ServiceBusy
from tests.kit.auth.test_signed_requests import ANSWER, claimed, request_of


class Corpse:
    """A pooled connection whose server has died unnoticed: each first statement finds it out."""

    async def fail(self, *args: Any, **kw: Any) -> Any:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    fetch = fetchval = execute = fail

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.fail()
        yield


class OneDead:
    """A pool of which one connection is dead."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.dead = True

    @contextlib.asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator[Any]:  # noqa: ASYNC109 asyncpg's own name
        dead, self.dead = self.dead, False
        if dead:
            yield Corpse()
            return
        async with self.pool.acquire(timeout=timeout) as conn:
            yield conn


async def test_a_connection_that_was_dead_already_costs_no_request_and_no_answer(pool: Pool) -> None:
    lending = OneDead(pool)
    guard = ReplayGuard(lambda: cast(Pool, lending))
    await guard.start()
    try:
        claim = await claimed(guard, request_of())
        lending.dead = True
        await guard.finish(claim, ANSWER)
        assert await guard.begin(request_of()) == ANSWER
    finally:
        await guard.stop()


async def test_no_request_waits_for_ever_for_a_connection(
    pool: Pool, guards: list[ReplayGuard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "ACQUIRE_TIMEOUT_S", 0.2)
    async with contextlib.AsyncExitStack() as held, asyncio.timeout(20):
        for _ in range(pool.get_max_size()):
            await held.enter_async_context(pool.acquire())
        with pytest.raises(ServiceBusy):
            await guards[0].begin(request_of())
