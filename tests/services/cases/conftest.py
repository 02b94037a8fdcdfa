"""An empty cases schema, and routed reports to fill it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from services.cases import domain, usecases
from services.cases.duplicates import DuplicateRule
from services.cases.usecases import Rules, likeness
from shared.catalog import Catalogue
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection, Pool
from shared.kit.refusals import Refusal
from tests.support import event_of, hear, published, work_on

SEEN_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
METRE_NORTH = 1 / 111_320
Routed = Callable[..., Event[ReportRouted]]


class Cases:
    """The use cases against the real schema, each call in a transaction of its own."""

    def __init__(self, pool: Pool, rules: Rules) -> None:
        self.pool = pool
        self.rules = rules

    async def report(self, *events: Event[ReportRouted]) -> Work:
        return await hear(self.pool, partial(usecases.take_routed_reports, self.rules), *events)

    async def take(self, person: domain.Person, *wishes: usecases.Wish) -> list[domain.Taken | Refusal]:
        async with work_on(self.pool) as work:
            return await usecases.take_steps(work, self.rules, person, wishes)

    async def published(self) -> list[dict[str, Any]]:
        return await published(self.pool)


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
        return event_of(REPORT_ROUTED, ReportRouted.model_validate({**values, **changes}), at=SEEN_AT)

    return make
