"""The intake schema under the service's own role, emptied before each test, and events to feed it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.intake.domain import Submission, Waits
from services.intake.usecases import reports
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS, ReportSubmission
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.messaging.work import Event, Rejection, Work
from shared.kit.postgres.db import Pool
from shared.known.knowing import Riders, follow_companies, follow_riders
from tests.support import COMPANY, company_is, emptied, event_of, hear, published, rider_is, work_on

SEALER = Sealer("a" * 43 + "=")


class Intake:
    """The service's transactions against the real schema."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.catalogue = Catalogue.load()
        # nothing waits for its rider here: test_waiting.py is about that
        self._on_report = partial(reports.take_events, self.catalogue, waits=Waits(seconds=0))

    def work(self) -> AbstractAsyncContextManager[Work]:
        return work_on(self.pool)

    async def company(self, code: str = COMPANY, version: int = 1, **changes: Any) -> None:
        await hear(self.pool, follow_companies, company_is(code, version, **changes))

    async def rider(self, number: str = "r1", version: int = 1, company: str = COMPANY, **changes: Any) -> None:
        state = rider_is(number, version, company=company, **changes)
        await hear(self.pool, partial(follow_riders, Riders(numbers=True)), state)

    async def take(self, events: Sequence[Event[Any]]) -> list[Rejection]:
        return (await hear(self.pool, self._on_report, *events)).rejections

    async def receive(self, *submissions: Submission) -> list[reports.Outcome]:
        async with self.work() as work:
            return await reports.receive(self.catalogue, work, submissions)

    async def published(self) -> list[dict[str, Any]]:
        """The reports that were accepted."""
        return await published(self.pool, REPORT_RECEIVED)


@pytest.fixture
async def intake(installation: Installation, pool_for: Callable[[str], Any]) -> Intake:
    await emptied(installation, "intake", "known_companies", "known_riders", "reports", "photos", "waiting_reports")
    made = Intake(await pool_for("intake"))
    await made.company()
    await made.rider()
    return made


def report(number: str = "n1", company: str = COMPANY, **changes: Any) -> Event[ReportSubmission]:
    values: dict[str, Any] = {
        "external_id": number,
        "rider": "r1",
        "kind": "part-01001",
        "place": {"lng": 121.531541859215, "lat": 31.17530398364597, "datum": "gcj02"},
        "occurred_at": "2026-11-20T16:00:00+08:00",
        "text": "井盖破损",
        **changes,
    }
    return event_of(INBOUND_REPORTS, ReportSubmission.model_validate(values), 0, company=company)


def later(minutes: int) -> str:
    return (clock.now() + timedelta(minutes=minutes)).isoformat()
