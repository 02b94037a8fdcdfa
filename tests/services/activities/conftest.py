"""Activities of the test's own: real Postgres, the service's role, empty tables."""

import pytest

from shared.devtools.installation import Installation
from tests.conftest import PoolFor
from tests.services.activities.club import Club
from tests.support import emptied, owner_of

TABLES = ("activities", "signups", "check_ins", "feedback", "photos", "known_riders", "idempotency_keys")
"""And with them what refers to them: seeds, teams, who is on photos."""


@pytest.fixture
async def club(installation: Installation, pool_for: PoolFor) -> Club:
    await emptied(installation, "activities", *TABLES)
    async with owner_of(installation, "activities") as owner:
        await owner.execute("DELETE FROM templates WHERE set_by <> 'beegrid'")
    return Club(await pool_for("activities"))
