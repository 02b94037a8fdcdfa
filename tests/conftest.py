"""Real servers once per test session, and an isolated installation of the suite on them."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.infra.suite import Infra, start_infra
from shared.devtools.installation import Installation
from shared.kit.db import Pool, prepare_connection

PoolFor = Callable[[str], Awaitable[Pool]]


@pytest.fixture(scope="session")
def infra() -> Iterator[Infra]:
    """Postgres, Kafka and Valkey, started for this session or taken from the environment."""
    with start_infra() as running:
        yield running


@pytest.fixture(scope="session")
def installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A database, topic prefix, users and Redis number of this run's own, migrated and provisioned."""
    folder: Path = tmp_path_factory.mktemp("installation")
    made = Installation(infra, folder, name=f"t{secrets.token_hex(4)}", redis_number=secrets.randbelow(15) + 1)
    made.set_up()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
async def pool_for(installation: Installation) -> AsyncIterator[PoolFor]:
    """Pools under the services' own roles."""
    pools: dict[str, Pool] = {}

    async def pool_of(service: str) -> Pool:
        if service not in pools:
            pools[service] = await asyncpg.create_pool(
                installation.dsn(service), min_size=1, max_size=8, init=prepare_connection
            )
        return pools[service]

    async with contextlib.AsyncExitStack() as stack:
        yield pool_of
        for pool in pools.values():
            stack.push_async_callback(pool.close)
