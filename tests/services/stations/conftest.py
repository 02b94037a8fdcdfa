"""Stations of the test's own: real Postgres, the service's role, empty tables."""

from collections.abc import AsyncIterator

import pytest

from shared.devtools.installation import Installation
from tests.conftest import PoolFor
from tests.services.stations.street import Street
from tests.support import emptied, settings_of

TABLES = (
    "stations", "keepers", "special_days", "periods", "spells", "sightings", "visits", "station_days",
    "service_lists", "feedback", "donations", "known_riders",
)  # fmt: skip


@pytest.fixture
async def street(installation: Installation, pool_for: PoolFor) -> AsyncIterator[Street]:
    """Emptied before and after."""
    await emptied(installation, "stations", *TABLES)
    yield Street(await pool_for("stations"), settings_of(installation, "stations"))
    await emptied(installation, "stations", *TABLES)
