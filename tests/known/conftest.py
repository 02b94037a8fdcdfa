"""What intake knows, which is everything: its schema emptied before each test, and events to feed it."""

import io
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from shared.devtools.installation import Installation
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit.messaging.tombstones import minding
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool
from shared.kit.telemetry.log import configure_logging
from shared.known import riders as store
from shared.known.domain import Rider
from shared.known.knowing import Riders, follow_companies, follow_riders, retire_riders
from tests.support import COMPANY, emptied, hear, rider_id, work_on


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logging("test", "WARNING", io.StringIO())


class Schema:
    """What a service has in its schema, and what it hears; each call is a batch in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.left: list[UUID] = []
        self.kept = Riders(numbers=True, left=self._leave)

    def work(self) -> AbstractAsyncContextManager[Work]:
        return work_on(self.pool)

    async def hear_riders(self, *events: Event[Any]) -> None:
        """As a consumer hands them on, tombstones among them."""
        handle = minding(RIDER_CHANGED, partial(follow_riders, self.kept), partial(retire_riders, self.kept))
        await hear(self.pool, handle, *events)

    async def hear_companies(self, *events: Event[Any]) -> None:
        await hear(self.pool, follow_companies, *events)

    async def rider(self, number: str = "r1") -> Rider | None:
        """By id."""
        async with self.pool.acquire() as conn:
            return (await store.by_id(conn, [rider_id(number)])).get(rider_id(number))

    async def numbered(self, *numbers: str) -> dict[str, Rider]:
        """By their company's numbers."""
        async with self.pool.acquire() as conn:
            found = await store.by_number(conn, [(COMPANY, number) for number in numbers])
        return {number: rider for (_, number), rider in found.items()}

    async def _leave(self, _conn: Any, riders: Sequence[UUID]) -> None:
        self.left += riders


@pytest.fixture
async def schema(installation: Installation, pool_for: Callable[[str], Awaitable[Pool]]) -> Schema:
    await emptied(installation, "intake", "known_companies", "known_riders")
    return Schema(await pool_for("intake"))
