"""The kit's own tables in a database of the module's own, and what remembers signed requests there."""

import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from shared.devtools.infra.suite import Infra
from shared.kit.auth import ReplayGuard
from shared.kit.postgres.db import Pool
from shared.kit.postgres.schema import KIT_MIGRATIONS
from shared.provision.migrate import migrate
from shared.provision.postgres import app_role, database_url, drop_database, owner_role, provision_postgres


@pytest.fixture(scope="module")
def dsns(infra: Infra) -> Iterator[dict[str, str]]:
    """Of the schema's owner and of the service's role."""
    name = f"kit{secrets.token_hex(4)}"
    prefix, admin = f"{name}_", infra.postgres_admin_url
    passwords = {"kit_owner": "owner", "kit_app": "app"}
    provision_postgres(admin, name, ["kit"], passwords, role_prefix=prefix)
    made = {
        "owner": database_url(admin, name, owner_role("kit", prefix), "owner"),
        "app": database_url(admin, name, app_role("kit", prefix), "app"),
    }
    migrate(made["owner"], "kit", [KIT_MIGRATIONS])
    yield made
    drop_database(admin, name, ["kit"], prefix)


@pytest.fixture(scope="module")
def dsn(dsns: dict[str, str]) -> str:
    return dsns["app"]


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=8) as made:
        await made.execute("DELETE FROM request_ids")
        await made.execute("DELETE FROM idempotency_keys")
        yield made


@pytest.fixture
async def guards(pool: Pool) -> AsyncIterator[list[ReplayGuard]]:
    """Two replicas of a service."""
    made = [ReplayGuard(lambda: pool), ReplayGuard(lambda: pool)]
    for guard in made:
        await guard.start()
    yield made
    for guard in made:
        await guard.stop()
