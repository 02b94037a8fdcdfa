"""Who is cancelled or runs out of time never waits for Postgres to roll back; the connection is cured or replaced."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.postgres.db import GIVE_BACK_S, Pool, create_pool
from tests.promises.support.proxy import Mode, Proxy
from tests.support import settings_of

PATIENCE_S = 0.3
SQL_WRITE = "INSERT INTO inbox (event_id) VALUES ('00000000-0000-0000-0000-0000000000aa') RETURNING pg_backend_pid()"
SQL_WRITTEN = "SELECT count(*) FROM inbox WHERE event_id = '00000000-0000-0000-0000-0000000000aa'"
SQL_PID = "SELECT pg_backend_pid()"


@pytest.fixture
def proxy(installation: Installation) -> Iterator[Proxy]:
    """Between the pool and Postgres."""
    made = Proxy(urlsplit(installation.dsn("routing")).port)
    yield made
    made.close()


@pytest.fixture
async def pool(installation: Installation, proxy: Proxy) -> AsyncIterator[Pool]:
    """The kit's pool through the proxy; all tests here ask for one connection at a time."""
    parts = urlsplit(installation.dsn("routing"))
    account = parts.netloc.rpartition("@")[0]
    dsn = parts._replace(netloc=f"{account}@127.0.0.1:{proxy.port}").geturl()
    made = await create_pool(settings_of(installation, "routing", postgres_dsn=dsn, postgres_pool_max=2), "test")
    yield made
    proxy.set(Mode.PASS)
    await made.close()


async def write_and_wait(pool: Pool, waiting: str, hole: Proxy | None = None) -> int:
    """A transaction that runs out of time in its second statement; the server's process that it had."""
    pid = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE_S), pool.acquire() as conn, conn.transaction():
            pid = await conn.fetchval(SQL_WRITE)
            if hole is not None:
                hole.set(Mode.HOLE)
            await conn.execute(waiting)
    return pid


async def test_a_user_out_of_time_leaves_at_once_and_nothing_is_written(pool: Pool) -> None:
    started_s = clock.monotonic_s()
    pid = await write_and_wait(pool, "SELECT pg_sleep(60)")
    assert clock.monotonic_s() - started_s < PATIENCE_S + 1
    async with asyncio.timeout(GIVE_BACK_S + 1):
        pids: set[int] = set()
        while pid not in pids:
            async with pool.acquire() as one, pool.acquire() as other:
                pids = {await one.fetchval(SQL_PID), await other.fetchval(SQL_PID)}
    assert await pool.fetchval(SQL_WRITTEN) == 0, "the same connection is back, and was rolled back"


async def test_a_black_hole_holds_nobody_and_the_connection_is_replaced(pool: Pool, proxy: Proxy) -> None:
    started_s = clock.monotonic_s()
    pid = await write_and_wait(pool, "SELECT 1", proxy)
    assert clock.monotonic_s() - started_s < PATIENCE_S + 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await pool.fetchval(SQL_PID)
    await asyncio.sleep(GIVE_BACK_S + 0.5)  # until it is cut: nothing in the pool shows that
    proxy.set(Mode.PASS)
    async with asyncio.timeout(5), pool.acquire() as one, pool.acquire() as other:
        assert pid not in {await one.fetchval(SQL_PID), await other.fetchval(SQL_PID)}
        assert await one.fetchval(SQL_WRITTEN) == 0


async def test_a_connection_that_was_given_up_answers_once_before_the_next_has_it(pool: Pool, proxy: Proxy) -> None:
    """Also where nothing was open: it is not in the pool while it leads into a hole."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE_S), pool.acquire() as conn:
            pid = await conn.fetchval(SQL_PID)
            proxy.set(Mode.HOLE)
            await asyncio.sleep(60)
    await asyncio.sleep(GIVE_BACK_S + 0.5)
    proxy.set(Mode.PASS)
    async with asyncio.timeout(5), pool.acquire() as one, pool.acquire() as other:
        assert pid not in {await one.fetchval(SQL_PID), await other.fetchval(SQL_PID)}


async def test_an_ordinary_failure_is_rolled_back_on_the_spot(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(ValueError, match="mistake"):
            async with conn.transaction():
                await conn.fetchval(SQL_WRITE)
                raise ValueError("mistake")
        assert await conn.fetchval(SQL_WRITTEN) == 0
