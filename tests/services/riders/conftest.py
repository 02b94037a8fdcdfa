"""The riders schema under the service's own role, emptied before each test, and events from companies."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.devtools.installation import Installation
from shared.events.inbound_riders import INBOUND_RIDERS, RiderSubmission
from shared.events.topic import Topic
from shared.kit.auth import Sealer
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool
from tests.support import emptied, event_of, published, work_on

SEALER = Sealer("a" * 43 + "=")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
Submit = Callable[..., Event[RiderSubmission]]


class Riders:
    """The service's transactions against the real schema."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def work(self) -> AbstractAsyncContextManager[Work]:
        return work_on(self.pool)

    async def published(self, topic: Topic[Any]) -> list[dict[str, Any]]:
        return await published(self.pool, topic)


@pytest.fixture
async def riders(installation: Installation, pool_for: Callable[[str], Any]) -> Riders:
    await emptied(installation, "riders", "companies", "company_keys", "outlets", "riders", "rider_names")
    return Riders(await pool_for("riders"))


@pytest.fixture
def submit() -> Submit:
    """Makes consumed registrations."""

    def make(external_id: str = "r1", company: str = "sf-express", **changes: Any) -> Event[RiderSubmission]:
        values = {"external_id": external_id, "name": "王小哥", "consent_at": NOW, **changes}
        return event_of(INBOUND_RIDERS, RiderSubmission.model_validate(values), 0, at=NOW, company=company)

    return make
