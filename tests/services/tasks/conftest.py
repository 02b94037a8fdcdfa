"""A board of the test's own: real Postgres, the service's role, empty tables."""

from collections.abc import AsyncIterator

import pytest

from shared.devtools.installation import Installation
from tests.conftest import PoolFor
from tests.services.tasks.board import Board
from tests.support import emptied, settings_of

TABLES = ("deeds", "claims", "tasks", "series", "alarms", "teams", "team_members", "known_riders")


@pytest.fixture
async def board(installation: Installation, pool_for: PoolFor) -> AsyncIterator[Board]:
    """Emptied before and after."""
    await emptied(installation, "tasks", *TABLES)
    yield Board(await pool_for("tasks"), settings_of(installation, "tasks"))
    await emptied(installation, "tasks", *TABLES)
