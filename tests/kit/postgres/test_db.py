"""Which errors of the database pass by themselves, and which are the record's own fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from shared.kit.postgres.db import Pool, begun, is_transient


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.InterfaceError("connection is closed"),
        # seen when Postgres was killed between a connection's last answer and its next use
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        ConnectionRefusedError("111"),
        TimeoutError(),
    ],
)
def test_an_outage_passes_by_itself(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InternalClientError("unexpected number of attributes"),
        ValueError("poison"),
    ],
)
def test_a_defect_does_not(error: Exception) -> None:
    assert not is_transient(error)


class Dead:
    """A pool of which so many connections are dead: the first statement finds it out, after `late_s`."""

    def __init__(self, dead: int, error: Exception, late_s: float = 0.0) -> None:
        self.dead, self.error, self.late_s = dead, error, late_s
        self.lent = self.given_back = self.ended = 0

    @contextlib.asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator["Dead"]:  # noqa: ASYNC109 asyncpg's own name
        self.lent += 1
        try:
            yield self
        finally:
            self.given_back += 1

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        if self.lent <= self.dead:
            await asyncio.sleep(self.late_s)
            raise self.error
        try:
            yield
        finally:
            self.ended += 1


GONE = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def test_one_dead_connection_costs_no_transaction() -> None:
    pool = Dead(1, GONE)
    async with begun(cast(Pool, pool)) as conn:
        assert conn is cast(Any, pool) and pool.given_back == 1 and pool.ended == 0
    assert (pool.lent, pool.given_back, pool.ended) == (2, 2, 1)


@pytest.mark.parametrize("pool", [Dead(2, GONE), Dead(1, ValueError("ours")), Dead(1, GONE, late_s=0.2)])
async def test_an_outage_and_a_defect_are_not_tried_for_ever(pool: Dead) -> None:
    with pytest.raises(type(pool.error)):
        async with begun(cast(Pool, pool)):
            pytest.fail("begun")
    assert pool.lent == pool.given_back == min(pool.dead, 2) and pool.ended == 0


async def test_what_fails_after_its_begin_is_never_done_twice() -> None:
    pool = Dead(0, GONE)
    with pytest.raises(type(GONE)):
        async with begun(cast(Pool, pool)):
            raise GONE
    assert (pool.lent, pool.given_back, pool.ended) == (1, 1, 1)
