"""What intake knows, which is everything: its schema emptied before each test, and events to feed it."""

import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.events.company_changed import COMPANY_CHANGED, CompanyChanged
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.tombstones import minding
from shared.kit.messaging.work import Event, Gone, Record, Work, begin
from shared.kit.postgres.db import Pool
from shared.kit.telemetry.log import configure_logging
from shared.known import riders as store
from shared.known.domain import Rider
from shared.known.knowing import Riders, follow_companies, follow_riders, retire_riders
from shared.provision.postgres import owner_role

SPACE = UUID(int=11)
COMPANY = "sf-express"
OFFSETS = count()


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logging("test", "WARNING", io.StringIO())


def rider_id(number: str) -> UUID:
    """One rider's id, the same in all tests."""
    return uuid5(SPACE, number)


def rider_is(number: str = "r1", version: int = 1, **changes: Any) -> Event[RiderChanged]:
    """A state of a rider."""
    values = {"rider_id": rider_id(number), "company": COMPANY, "external_id": number, "kind": "courier"}
    values |= {"consent": True, "locale": "zh", "active": True, **changes}
    return _event(RIDER_CHANGED, RiderChanged.model_validate(values), version)


def rider_gone(number: str = "r1", version: int = 1) -> Gone:
    """The tombstone that ends a rider's states."""
    key = str(rider_id(number))
    record = Record(RIDER_CHANGED.name, 0, next(OFFSETS), key.encode(), None, ())
    return Gone(new_id(), None, key, version, clock.now(), record)


def company_is(code: str = COMPANY, version: int = 1, **changes: Any) -> Event[CompanyChanged]:
    """A state of a company."""
    values = {"company_id": uuid5(SPACE, code), "code": code, "name": code, "active": True, "keys": (), **changes}
    return _event(COMPANY_CHANGED, CompanyChanged.model_validate(values), version)


def _event(topic: Any, body: Any, version: int) -> Event[Any]:
    key = topic.key_of(body)
    return Event(new_id(), body, key, version, clock.now(), Record(topic.name, 0, next(OFFSETS), key.encode(), b"", ()))


class Schema:
    """What a service has in its schema, and what it hears; each call is a batch in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.left: list[UUID] = []
        self.kept = Riders(numbers=True, left=self._leave)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        async with self.pool.acquire() as conn, conn.transaction():
            yield await begin(conn)

    async def hear_riders(self, *events: Event[Any]) -> None:
        """As a consumer hands them on, tombstones among them."""
        handle = minding(RIDER_CHANGED, partial(follow_riders, self.kept), partial(retire_riders, self.kept))
        async with self.work() as work:
            await handle(work, events)

    async def hear_companies(self, *events: Event[Any]) -> None:
        async with self.work() as work:
            await follow_companies(work, events)

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
    owner = await asyncpg.connect(installation.dsn("intake", owner_role))
    try:
        await owner.execute("TRUNCATE counters, dead_letters, erased_riders, known_companies, known_riders")
    finally:
        await owner.close()
    return Schema(await pool_for("intake"))
