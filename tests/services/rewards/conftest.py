"""A shop of the test's own: real Postgres, the service's role, empty tables."""

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.provision.postgres import owner_role
from tests.services.rewards.shop import Shop


@pytest.fixture
async def shop(installation: Installation, pool_for) -> Shop:
    """Emptied before the test by the owner, since the service's own role can't."""
    owner = await asyncpg.connect(installation.dsn("rewards", owner_role))
    try:
        await owner.execute(
            "TRUNCATE counters, dead_letters, erased_riders, merchants, offers, redemptions, voucher_attempts, outbox, "
            "idempotency_keys, shortages, takings"
        )
    finally:
        await owner.close()
    return Shop(await pool_for("rewards"))
