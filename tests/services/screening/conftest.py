"""Screening of the test's own: real Postgres, the service's role, empty tables, the shipped thresholds."""

from collections.abc import AsyncIterator

import pytest

from shared.devtools.installation import Installation
from tests.conftest import PoolFor
from tests.services.screening.street import Screen
from tests.support import emptied, owner_of

TABLES = ("sightings", "vehicles", "photos", "meetings", "verdicts", "suspicions", "findings", "known_riders")


@pytest.fixture
async def screen(installation: Installation, pool_for: PoolFor) -> AsyncIterator[Screen]:
    """Emptied before and after."""
    await _emptied(installation)
    yield Screen(await pool_for("screening"))
    await _emptied(installation)


async def _emptied(installation: Installation) -> None:
    await emptied(installation, "screening", *TABLES)
    async with owner_of(installation, "screening") as owner:
        await owner.execute("DELETE FROM limits WHERE version > 1")
