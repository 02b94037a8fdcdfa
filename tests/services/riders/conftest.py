"""The riders schema under the service's own role, emptied before each test, and events from companies."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import asyncpg
import orjson
import pytest

from shared.devtools.installation import Installation
from shared.events.inbound_riders import RiderSubmission
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Record, Work, begin, insert_outbox
from shared.kit.postgres.db import Pool
from shared.provision.postgres import owner_role

SEALER = Sealer("a" * 43 + "=")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
Submit = Callable[..., Event[RiderSubmission]]


class Riders:
    """The service's transactions against the real schema."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        async with self.pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            yield work
            await insert_outbox(conn, work.rows)

    async def published(self, topic: str) -> list[dict[str, Any]]:
        """Bodies of the outbox with their version, in order; of a tombstone the version alone."""
        rows = await self.pool.fetch("SELECT version, payload FROM outbox WHERE topic = $1 ORDER BY id", topic)
        return [{"version": row["version"], **orjson.loads(row["payload"] or b"{}")} for row in rows]


@pytest.fixture
async def riders(installation: Installation, pool_for: Callable[[str], Any]) -> Riders:
    owner = await asyncpg.connect(installation.dsn("riders", owner_role))
    try:
        await owner.execute(
            "TRUNCATE counters, dead_letters, erased_riders, companies, company_keys, outlets, riders, rider_names, "
            "outbox CASCADE"
        )
    finally:
        await owner.close()
    return Riders(await pool_for("riders"))


@pytest.fixture
def submit() -> Submit:
    """Makes consumed registrations."""
    offsets = count()

    def make(external_id: str = "r1", company: str = "sf-express", **changes: Any) -> Event[RiderSubmission]:
        values = {"external_id": external_id, "name": "王小哥", "consent_at": NOW, **changes}
        record = Record(f"inbound.{company}.riders.v1", 0, next(offsets), external_id.encode(), b"", ())
        body = RiderSubmission.model_validate(values)
        return Event(new_id(), body, external_id, 0, NOW, record, company)

    return make
