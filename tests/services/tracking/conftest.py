"""An empty tracking schema, and the events of one small city to fill it."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from services.tracking import usecases
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.case_changed import CASE_CHANGED, CaseChanged
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.events.topic import Topic
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection, Pool, prepare_connection
from shared.provision.postgres import owner_role
from tests.support import UseCase, event_of, hear

T0 = datetime(2026, 3, 1, 8, tzinfo=UTC)
COMPANY = "feima"
TABLES = ("reports", "routings", "cases", "case_steps", "case_reports", "movements")
QUEUES = ("outbound_due", "outbound_crowds")
Batch = tuple[str, Sequence[Event[Any]]]
State = dict[str, list[tuple[Any, ...]]]


def event(topic: Topic[Any], body: Any, version: int, seconds: float) -> Event[Any]:
    return event_of(topic, body, version, at=T0 + timedelta(seconds=seconds))


class Story:
    """One report and what happened to it, as events per topic."""

    def __init__(
        self,
        external_id: str = "F-1",
        company: str = COMPANY,
        start_s: float = 0,
        *,
        seen: datetime = T0,
        by_company: bool = True,
    ) -> None:
        self.report_id, self.rider_id, self.case_id = new_id(), new_id(), new_id()
        self.company = company
        self.start_s = start_s
        self.place = {"lng": 120.3012345, "lat": 30.3054321}
        self.common = {
            "report_id": self.report_id,
            "rider_id": self.rider_id,
            "company": company,
            "kind": "part-01001",
            "level": "hazard",
            "accuracy_m": 10,
            "text": "井盖破损",
            "occurred_at": seen,
            "received_at": T0,
            **self.place,
        }
        body = ReportReceived.model_validate({**self.common, "external_id": external_id, "by_company": by_company})
        self.received = event(REPORT_RECEIVED, body, 1, start_s)

    def routed(self, version: int = 1, seconds: float = 0.1, **changes: Any) -> Event[ReportRouted]:
        values = {"outcome": "routed", "grid_code": "330114001002003", "grid_name": "第三网格"} | changes
        body = ReportRouted.model_validate({**self.common, **values})
        return event(REPORT_ROUTED, body, version, self.start_s + seconds)

    def case(self, version: int, transition: str, state: str, seconds: float, **changes: Any) -> Event[CaseChanged]:
        report = {"report_id": self.report_id, "rider_id": self.rider_id, "company": self.company, "ordinal": 1}
        values: dict[str, Any] = {
            "case_id": self.case_id,
            "state": state,
            "transition": transition,
            "kind": "part-01001",
            "level": "hazard",
            "grid_code": "330114001002003",
            "department": "water",
            "report": report if transition == "opened" else None,
            "report_count": 1,
            "actor": None if transition == "opened" else {"id": "w1", "name": "王芳", "role": "grid_worker"},
            "changed_at": T0,
            "opened_at": T0,
            "due_at": T0 + timedelta(hours=6),
            **self.place,
        }
        body = CaseChanged.model_validate(values | changes)
        return event(CASE_CHANGED, body, version, self.start_s + seconds)

    def points(self, version: int, movement: str, amount: int, seconds: float) -> Event[AccountChanged]:
        body = AccountChanged.model_validate(
            {
                "rider_id": self.rider_id,
                "entry_id": new_id(),
                "movement": movement,
                "source": "report",
                "source_id": self.report_id,
                "company": self.company,
                "amount": amount,
                "pending": 0,
                "available": 0,
                "changed_at": T0,
            }
        )
        return event(ACCOUNT_CHANGED, body, version, self.start_s + seconds)

    def whole(self) -> list[Batch]:
        """Batches per topic, each topic in its own order."""
        steps = [("opened", "open"), ("claimed", "claimed"), ("handled", "handled"), ("verified", "verified")]
        cases = [self.case(n + 1, *step, 0.2 + n) for n, step in enumerate([*steps, ("closed", "closed")])]
        waiting = self.routed(1, 0.05, outcome="unroutable", grid_code=None, grid_name=None, reason="outside")
        return [
            ("reports", [self.received]),
            ("routings", [waiting]),
            ("routings", [self.routed(2)]),
            ("cases", cases[:1]),
            ("cases", cases[1:]),
            ("points", [self.points(1, "held", 50, 0.3)]),
            ("points", [self.points(2, "posted", 50, 5)]),
        ]


class Tracking:
    """The use cases against the real schema, each batch in a transaction of its own."""

    def __init__(self, pool: Pool, owner: Pool) -> None:
        self.pool = pool
        self.owner = owner
        self.follow: dict[str, UseCase] = {
            "reports": usecases.follow_reports,
            "routings": usecases.follow_routings,
            "cases": partial(usecases.follow_cases, Catalogue.load()),
            "points": usecases.follow_points,
        }

    async def hear(self, *batches: Batch) -> None:
        for batch in batches:
            await self._hear(self.pool, batch)

    async def _hear(self, conn: Connection | Pool, batch: Batch) -> None:
        await hear(conn, self.follow[batch[0]], *batch[1])

    async def empty(self, conn: Connection) -> None:
        """Take away whatever other tests have left."""
        await conn.execute(f"TRUNCATE counters, dead_letters, erased_riders, {', '.join((*TABLES, *QUEUES))}")

    async def state_after(self, story: Story, batches: Sequence[Batch]) -> State:
        """The state when the batches are all that was ever heard; undone afterwards."""
        async with self.owner.acquire() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                await self.empty(conn)
                for batch in batches:
                    await self._hear(conn, batch)
                assert await counters.differences(conn) == []
                return await self.state(conn, story)
            finally:
                await transaction.rollback()

    async def state(self, conn: Connection | Pool, story: Story) -> State:
        """All rows of a story, to be compared."""
        where = f"report_id = '{story.report_id}'"
        of_case = f"case_id = '{story.case_id}'"
        found = {}
        for table in TABLES:
            condition = of_case if table in ("cases", "case_steps") else where
            rows = await conn.fetch(f"SELECT * FROM {table} t WHERE {condition} ORDER BY t::text")
            found[table] = [tuple(row) for row in rows]
        return found


@pytest.fixture
async def pool(pool_for: Callable[[str], Any]) -> Pool:
    pool: Pool = await pool_for("tracking")
    return pool


@pytest.fixture
async def tracking(pool: Pool, installation: Installation) -> AsyncIterator[Tracking]:
    dsn = installation.dsn("tracking", owner_role)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, init=prepare_connection) as owner:
        yield Tracking(pool, owner)
