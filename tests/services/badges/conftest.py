"""Badges of the test's own: real Postgres, the service's role, empty tables, the shipped thresholds."""

from collections.abc import AsyncIterator

import pytest

from shared.devtools.installation import Installation
from tests.conftest import PoolFor
from tests.services.badges.hive import Hive
from tests.support import emptied, owner_of

TABLES = ("standings", "hidden", "deeds", "days", "awards", "levels")


@pytest.fixture
async def hive(installation: Installation, pool_for: PoolFor) -> AsyncIterator[Hive]:
    """Emptied before and after."""
    await _emptied(installation)
    yield Hive(await pool_for("badges"))
    await _emptied(installation)


async def _emptied(installation: Installation) -> None:
    await emptied(installation, "badges", *TABLES)
    async with owner_of(installation, "badges") as owner:
        await owner.execute("DELETE FROM rules WHERE version > 1 OR set_by <> 'beegrid'")
