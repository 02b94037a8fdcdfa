"""A ledger of the test's own: real Postgres, the service's role, empty tables."""

from collections.abc import AsyncIterator

import pytest

from shared.devtools.installation import Installation
from tests.services.points.ledger import Ledger, empty
from tests.support import owner_of


@pytest.fixture
async def ledger(installation: Installation, pool_for) -> AsyncIterator[Ledger]:
    """Emptied before and after the test by the owner, since the service's own role can't."""
    async with owner_of(installation, "points") as owner:
        await empty(owner)
        yield Ledger(await pool_for("points"))
        await empty(owner)
