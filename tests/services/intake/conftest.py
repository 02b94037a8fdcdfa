"""The intake schema under the service's own role, emptied before each test, and events to feed it."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import orjson
import pytest

from services.intake.domain import Submission
from services.intake.usecases import reports
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.company_changed import CompanyChanged
from shared.events.inbound_reports import ReportSubmission
from shared.events.rider_changed import RiderChanged
from shared.events.topic import EventModel
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Record, Rejection, Work, begin, insert_outbox
from shared.kit.postgres.db import Pool
from shared.known.knowing import Riders, follow_companies, follow_riders
from shared.provision.postgres import owner_role

SEALER = Sealer("a" * 43 + "=")
SPACE = UUID(int=7)
OFFSETS = count()


def event(body: EventModel, key: str, version: int = 0, company: str | None = None) -> Event[Any]:
    record = Record("some.topic.v1", 0, next(OFFSETS), key.encode(), b"", ())
    return Event(new_id(), body, key, version, clock.now(), record, company)


def rider_id(external_id: str, company: str = "sf-express") -> UUID:
    return uuid5(SPACE, f"{company}/{external_id}")


class Intake:
    """The service's transactions against the real schema."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.catalogue = Catalogue.load()
        self._on_report = partial(reports.take_events, self.catalogue)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        async with self.pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            yield work
            await insert_outbox(conn, work.rows)

    async def company(self, code: str = "sf-express", version: int = 1, **changes: Any) -> None:
        values = {"company_id": uuid5(SPACE, code), "code": code, "name": code, "active": True, "keys": (), **changes}
        async with self.work() as work:
            body = CompanyChanged.model_validate(values)
            await follow_companies(work, [event(body, str(body.company_id), version)])

    async def rider(self, number: str = "r1", version: int = 1, company: str = "sf-express", **changes: Any) -> None:
        values: dict[str, Any] = {"rider_id": rider_id(number, company), "company": company, "external_id": number}
        values |= {"kind": "courier", "consent": True, "locale": "zh", "active": True, **changes}
        async with self.work() as work:
            body = RiderChanged.model_validate(values)
            await follow_riders(Riders(numbers=True), work, [event(body, str(body.rider_id), version)])

    async def take(self, events: Sequence[Event[Any]]) -> list[Rejection]:
        async with self.work() as work:
            await self._on_report(work, events)
        return work.rejections

    async def receive(self, *submissions: Submission) -> list[reports.Outcome]:
        async with self.work() as work:
            return await reports.receive(self.catalogue, work, submissions)

    async def published(self) -> list[dict[str, Any]]:
        """Bodies of the outbox with version and key, in order."""
        rows = await self.pool.fetch("SELECT version, key, payload FROM outbox ORDER BY id")
        return [{"version": row["version"], "key": row["key"], **orjson.loads(row["payload"])} for row in rows]


@pytest.fixture
async def intake(installation: Installation, pool_for: Callable[[str], Any]) -> Intake:
    owner = await asyncpg.connect(installation.dsn("intake", owner_role))
    try:
        await owner.execute(
            "TRUNCATE counters, dead_letters, erased_riders, known_companies, known_riders, reports, photos, outbox"
        )
    finally:
        await owner.close()
    made = Intake(await pool_for("intake"))
    await made.company()
    await made.rider()
    return made


def report(number: str = "n1", company: str = "sf-express", **changes: Any) -> Event[ReportSubmission]:
    values: dict[str, Any] = {
        "external_id": number,
        "rider": "r1",
        "kind": "part-01001",
        "place": {"lng": 121.531541859215, "lat": 31.17530398364597, "datum": "gcj02"},
        "occurred_at": "2026-11-20T16:00:00+08:00",
        "text": "井盖破损",
        **changes,
    }
    return event(ReportSubmission.model_validate(values), number, company=company)


def later(minutes: int) -> str:
    return (clock.now() + timedelta(minutes=minutes)).isoformat()
