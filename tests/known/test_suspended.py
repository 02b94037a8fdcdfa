"""A company that an operator has suspended gets one answer, wherever it signs and whatever it asks for."""

import base64
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest

from services.intake.usecases import reports
from services.riders import usecases as riders
from shared.catalog import Catalogue
from shared.devtools.gen.files import ROOT
from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS, ReportSubmission
from shared.events.inbound_riders import INBOUND_RIDERS, RiderSubmission
from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.kit.auth.policy import rules
from shared.kit.ids import new_id
from shared.kit.service import Service
from shared.provision.services import service_names
from tests.support import client_of, event_of, hear, service_of, until

Answers = dict[str, tuple[Any, ...]]


class City:
    """Every service that takes companies' signatures, as it runs, and a company that signs."""

    def __init__(self, installation: Installation) -> None:
        self.company = f"c{secrets.token_hex(4)}"
        self.services: dict[str, Service] = {}
        self.clients: dict[str, httpx.AsyncClient] = {}
        self._operator = installation.identity.token("op1", "运维", ["operator"])
        self._secret = b""

    async def serve(self, stack: contextlib.AsyncExitStack, service: Service) -> None:
        self.services[service.name] = service
        self.clients[service.name] = await stack.enter_async_context(client_of(service))

    async def operator(self, method: str, path: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {self._operator}"}
        answer = await self.clients["riders"].request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    async def register(self) -> None:
        made = await self.operator("POST", "/v1/companies", {"code": self.company, "name": "飞马"})
        self._secret = base64.b64decode(made["key"]["secret"].removeprefix("whsec_"))

    async def set_active(self, active: bool) -> None:
        await self.operator("PUT", f"/v1/companies/{self.company}", {"name": "飞马", "active": active})

    async def answers(self) -> Answers:
        """What each signed route of each service answers: status, type and all words of it."""
        found: Answers = {}
        for name, service in self.services.items():
            for path, methods, rule in rules(self.clients[name]._transport.app):  # type: ignore[attr-defined]  # an ASGITransport
                for method in methods if rule.policy.company else ():
                    answer = await self._signed(name, method, re.sub(r"{[^}]+}", str(new_id()), path))
                    body = {} if answer.is_success else answer.json()
                    words = (body.get(word) for word in ("type", "code", "title", "detail"))
                    found[f"{service.name} {method} {path}"] = (answer.status_code, *words)
        return found

    async def _signed(self, service: str, method: str, path: str) -> httpx.Response:
        body = b"" if method in ("GET", "DELETE") else b"{}"
        headers = signed_headers(company=self.company, secret=self._secret, method=method, target=path, body=body)
        headers["content-type"] = "application/json"
        return await self.clients[service].request(method, path, content=body, headers=headers)


@pytest.fixture(scope="module")
async def city(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    photos = tmp_path_factory.mktemp("photos")
    made = City(installation)
    async with contextlib.AsyncExitStack() as stack:
        for name in service_names(ROOT):
            service = service_of(installation, name, photo_store_url=f"file://{photos}")
            if service.key_ring is not None:
                await made.serve(stack, service)
        await made.register()
        yield made


async def test_a_suspended_company_gets_one_answer_everywhere(city: City) -> None:
    async def known() -> bool:
        return {answer[0] for answer in (await city.answers()).values()}.isdisjoint({401, 403})

    async def suspended() -> bool:
        return {answer[0] for answer in (await city.answers()).values()} == {403}

    await until(known, city.answers)
    await city.set_active(False)
    await until(suspended, city.answers)
    answers = await city.answers()
    assert {place.split()[0] for place in answers} == set(city.services)
    assert len(city.services) >= 4
    [answer] = set(answers.values())
    assert answer == (
        403, "/problems/company_suspended", "company_suspended", "企业已停用 / Company suspended",
        "the company is suspended",
    )  # fmt: skip
    _, _, code, _, detail = answer
    assert await refused_on_topics(city) == {(code, detail)}
    await city.set_active(True)
    await until(known, "what is refused has used no id and changed nothing")


async def refused_on_topics(city: City) -> set[tuple[str, str]]:
    """Code and words of the dead letters that a company's records become."""
    said = {"external_id": "n1", "rider": "r1", "kind": "part-01001", "occurred_at": clock.now()}
    report = ReportSubmission.model_validate({**said, "place": {"lng": 120.2, "lat": 30.3, "datum": "wgs84"}})
    found = set()
    rider = RiderSubmission(external_id="r1", name="王")
    for service, topic, handle, body in (
        ("intake", INBOUND_REPORTS, partial(reports.take_events, Catalogue.load()), report),
        ("riders", INBOUND_RIDERS, riders.take_submissions, rider),
    ):
        event = event_of(topic, body, company=city.company)
        [rejection] = (await hear(city.services[service].pool, handle, event)).rejections
        found.add((rejection.code, rejection.detail))
    return found
