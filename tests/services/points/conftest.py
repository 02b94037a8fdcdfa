"""A ledger of the test's own: real Postgres, the service's role, empty tables."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.provision.postgres import owner_role
from tests.services.points.ledger import Ledger, empty


@pytest.fixture
async def ledger(installation: Installation, pool_for) -> AsyncIterator[Ledger]:
    """Emptied before and after the test by the owner, since the service's own role can't."""
    owner = await asyncpg.connect(installation.dsn("points", owner_role))
    try:
        await empty(owner)
        yield Ledger(await pool_for("points"))
        await empty(owner)
    finally:
        await owner.close()
