"""The intake schema under the service's own role, emptied before each test, and events to feed it."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from services.intake.domain import Submission, Waits
from services.intake.usecases import reports
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS, ReportSubmission
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from shared.kit.auth import Sealer, signed_headers
from shared.kit.messaging.work import Event, Rejection, Work
from shared.kit.postgres.db import Pool
from shared.kit.service import Service
from shared.known.knowing import Riders, follow_companies, follow_riders
from shared.provision.topology import provision_company
from tests.support import (
    COMPANY,
    client_of,
    company_is,
    emptied,
    event_of,
    hear,
    published,
    rider_is,
    service_of,
    until,
    work_on,
)

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


CODE = "feima"
REPORT = {
    "external_id": "n1",
    "rider": "r1",
    "kind": "local-gas-smell",
    "place": {"lng": 120.2, "lat": 30.3, "datum": "gcj02"},
    "occurred_at": "2026-11-20T08:00:00Z",
}


class Suite:
    """The riders and intake services, and a company that signs."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.services: dict[str, Service] = {}
        self.secret = b""

    async def serve(self, stack: contextlib.AsyncExitStack, service: Service) -> None:
        self.services[service.name] = service
        self.clients[service.name] = await stack.enter_async_context(client_of(service))

    async def signed(self, service: str, method: str, path: str, body: Any = None, **changes: Any) -> httpx.Response:
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sign = {"company": CODE, "secret": self.secret, "method": method, "target": path, "body": raw, **changes}
        headers = {"content-type": "application/json", **signed_headers(**sign)}
        return await self.clients[service].request(method, path, content=raw, headers=headers)

    async def person(
        self, service: str, method: str, path: str, sub: str, roles: list[str], *areas: str, **options: Any
    ) -> httpx.Response:
        token = self.installation.identity.token(sub, "某人", roles, areas)
        headers = {"authorization": f"Bearer {token}", **options.pop("headers", {})}
        return await self.clients[service].request(method, path, headers=headers, **options)

    async def operator(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.person("riders", method, path, "op1", ["operator"], **options)


@pytest.fixture(scope="module")
async def suite(
    installation: Installation, pool_for: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Suite]:
    await emptied(installation, "riders", "companies", "company_keys", "outlets", "riders", "rider_names")
    await emptied(installation, "intake", "known_companies", "known_riders", "reports", "photos", "waiting_reports")
    folder: Path = tmp_path_factory.mktemp("photos")
    # a company's topics exist before its first record
    await asyncio.to_thread(provision_company, installation.cluster, CODE, "company-password")
    made = Suite(installation)
    async with contextlib.AsyncExitStack() as stack:
        await made.serve(stack, service_of(installation, "riders"))
        photos = {"photo_store_url": f"file://{folder}", "photos_per_minute": 40}
        await made.serve(stack, service_of(installation, "intake", **photos))
        answer = await made.operator("POST", "/v1/companies", json={"code": CODE, "name": "飞马"})
        assert answer.status_code == 201, answer.text
        made.secret = base64.b64decode(answer.json()["key"]["secret"].removeprefix("whsec_"))
        riders = [{"external_id": "r1", "name": "王小哥", "consent_at": "2026-01-01T00:00:00Z"}]
        answer = await made.signed("riders", "POST", "/v1/riders:batch", {"items": [*riders, {"external_id": "r2"}]})
        assert [item["status"] for item in answer.json()["items"]] == ["created", "refused"], answer.text
        assert answer.json()["items"][1]["problem"]["field"] == "name"
        intake = made.services["intake"].pool
        await until(
            lambda: intake.fetchval("SELECT count(*) FROM known_riders r JOIN known_companies c ON c.code = r.company")
        )
        yield made
