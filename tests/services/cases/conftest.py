"""An empty cases schema, and routed reports to fill it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson
import pytest

from services.cases import domain, usecases
from services.cases.duplicates import DuplicateRule
from services.cases.usecases import Rules, likeness
from shared.catalog import Catalogue
from shared.events.report_routed import ReportRouted
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Record, Work, begin, insert_outbox
from shared.kit.postgres.db import Connection, Pool
from shared.kit.refusals import Refusal

SEEN_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
METRE_NORTH = 1 / 111_320
Routed = Callable[..., Event[ReportRouted]]


class Cases:
    """The use cases against the real schema, each call in a transaction of its own."""

    def __init__(self, pool: Pool, rules: Rules) -> None:
        self.pool = pool
        self.rules = rules

    async def report(self, *events: Event[ReportRouted]) -> Work:
        async with self.pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            await usecases.take_routed_reports(self.rules, work, events)
            await insert_outbox(conn, work.rows)
            return work

    async def take(self, person: domain.Person, *wishes: usecases.Wish) -> list[domain.Taken | Refusal]:
        async with self.pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            results = await usecases.take_steps(work, self.rules, person, wishes)
            await insert_outbox(conn, work.rows)
            return results

    async def published(self) -> list[dict[str, Any]]:
        """Bodies of the outbox with their version, in order."""
        rows = await self.pool.fetch("SELECT version, key, payload FROM outbox ORDER BY id")
        return [{"version": row["version"], "key": row["key"], **orjson.loads(row["payload"])} for row in rows]


@pytest.fixture
async def pool(pool_for: Callable[[str], Any]) -> AsyncIterator[Pool]:
    pool: Pool = await pool_for("cases")
    await truncate(pool)  # other tests of the same database have left theirs
    yield pool
    await truncate(pool)


async def truncate(conn: Connection | Pool) -> None:
    """The app role may not delete steps: tests empty what they can and look only at their own cases."""
    await conn.execute("DELETE FROM cases")
    await conn.execute("DELETE FROM case_reports")
    await conn.execute("DELETE FROM outbox")


@pytest.fixture
def cases(pool: Pool) -> Cases:
    duplicates = DuplicateRule(30, 48, 0.6, likeness)
    return Cases(pool, Rules(Catalogue.load(), duplicates, timedelta(hours=24), timedelta(days=7)))


@pytest.fixture
def routed() -> Routed:
    """Makes events; `metres` north of one place, so that 100 is another thing."""
    offsets = count()

    def make(metres: float = 0, **changes: Any) -> Event[ReportRouted]:
        values: dict[str, Any] = {
            "report_id": new_id(),
            "rider_id": new_id(),
            "company": "feima",
            "kind": "part-01001",
            "level": "hazard",
            "lng": 120.3,
            "lat": 30.3 + metres * METRE_NORTH,
            "accuracy_m": 10,
            "text": "",
            "occurred_at": SEEN_AT,
            "received_at": SEEN_AT,
            "outcome": "routed",
            "grid_code": "330114001002003",
            "department": "water",
        }
        body = ReportRouted.model_validate({**values, **changes})
        record = Record("routing.report-routed.v1", 0, next(offsets), str(body.report_id).encode(), b"", ())
        return Event(new_id(), body, str(body.report_id), 1, SEEN_AT, record)

    return make
