"""The kit's consumer in this process: the routing service's subscription with a handler that can be made to fail."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from shared.kit.messaging.work import Event, Work
from shared.kit.service import Service
from shared.provision.postgres import owner_role
from tests.kit.messaging.conftest import running
from tests.promises.support.kafka import RawProducer, wait_consumed
from tests.promises.support.poison import Effect, Letter, Place, Planned
from tests.support import settings_of

FLAKY_FAILURES = 3
SQL_TABLES = """
CREATE TABLE IF NOT EXISTS effects (
    id bigint GENERATED ALWAYS AS IDENTITY, key text, version int, occurred_at timestamptz, at timestamptz
);
TRUNCATE effects, inbox, outbox, dead_letters, parked_keys, letter_allowances
"""
SQL_EFFECT = "INSERT INTO effects (key, version, occurred_at, at) VALUES ($1, $2, $3, clock_timestamp())"
SQL_EFFECTS = "SELECT key, version, extract(epoch FROM at - occurred_at)::float8 AS late_s FROM effects ORDER BY id"
SQL_LETTERS = """
SELECT topic, partition, record_offset, convert_from(key, 'utf8') AS key, status, code, detail FROM dead_letters
"""


@dataclass
class Hearer:
    """`broken`: records that say so raise. A flaky one raises three times when it is alone, then never again."""

    service: Service
    installation: Installation
    broken: bool = True
    failures: Counter[str] = field(default_factory=Counter)

    async def handle(self, work: Work, events: Sequence[Event[Any]]) -> None:
        """Effects count only if the transaction commits."""
        for event in events:
            if self.broken and event.data.text == "raises":
                raise ValueError("raises always")
            if self.broken and event.data.text == "flaky" and self.failures[event.key] < FLAKY_FAILURES:
                self.failures[event.key] += len(events) == 1
                raise ValueError("raises three times")
        rows = [(event.key, event.version, event.occurred_at) for event in events]
        await work.conn.executemany(SQL_EFFECT, rows)

    async def send(self, planned: Sequence[Planned], per_second: float) -> tuple[list[tuple[int, int]], list[bytes]]:
        """Produce at a steady rate; partition and offset, and content, of each."""
        return await asyncio.to_thread(_send, self.installation, planned, per_second)

    async def settle(self, limit_s: float) -> None:
        """Wait until everything is consumed and what follows from it is published."""
        await asyncio.to_thread(wait_consumed, self.installation, "routing", [REPORT_RECEIVED.name], limit_s)
        deadline_s = clock.monotonic_s() + limit_s
        while await self.service.pool.fetchval("SELECT count(*) FROM outbox"):
            assert clock.monotonic_s() < deadline_s, "the outbox doesn't get empty"
            await asyncio.sleep(0.05)

    async def effects(self) -> list[Effect]:
        """All effects, in the order of their commits per key."""
        return [Effect(*row) for row in await self.service.pool.fetch(SQL_EFFECTS)]

    async def letters(self) -> dict[Place, Letter]:
        """The table of dead letters; each says why."""
        rows = await self.service.pool.fetch(SQL_LETTERS)
        assert all(row["detail"] for row in rows)
        return {
            (row["topic"], row["partition"], row["record_offset"]): Letter(row["key"], row["status"], row["code"])
            for row in rows
        }


def _send(
    installation: Installation, planned: Sequence[Planned], per_second: float
) -> tuple[list[tuple[int, int]], list[bytes]]:
    producer = RawProducer(installation)
    started_s = clock.monotonic_s()
    sent, values = [], []
    for n, one in enumerate(planned):
        time.sleep(max(0.0, started_s + n / per_second - clock.monotonic_s()))
        raw = one.raw()
        values.append(raw.value)
        sent.append(producer.send(raw))
    producer.flush()
    return [future.result(0) for future in sent], values


@contextlib.asynccontextmanager
async def hearing(installation: Installation, **settings: Any) -> AsyncIterator[Hearer]:
    """The service without its HTTP server, its tables empty."""
    owner = await asyncpg.connect(installation.dsn("routing", owner_role))
    await owner.execute(SQL_TABLES)
    await owner.close()
    service = Service("routing", settings_of(installation, "routing", **settings), title="hearer")
    hearer = Hearer(service, installation)
    service.consumes(REPORT_RECEIVED, hearer.handle)
    async with running(service):
        yield hearer
