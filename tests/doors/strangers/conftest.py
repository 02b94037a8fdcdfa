"""Every service as it runs, on real servers behind real HTTP, and callers of each kind."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import uvicorn

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.kit.auth import signed_headers
from shared.provision.services import service_names
from shared.provision.topology import provision_company
from tests.support import service_of, wait_until

COMPANY = "doors"


@dataclass
class Doors:
    """Running services by name, and who knocks."""

    installation: Installation
    clients: dict[str, httpx.Client]
    documents: dict[str, dict[str, Any]]
    rider_id: str
    secret: bytes = b""

    def send(self, service: str, caller: str, request: httpx.Request) -> httpx.Response:
        """Sends a request in the name of an operator, a rider or a company."""
        if caller == "company":
            parts = urlsplit(str(request.url))
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            body = request.read()
            sign = {"company": COMPANY, "secret": self.secret, "method": request.method, "target": target, "body": body}
            request.headers.update(signed_headers(**sign))
        else:
            who = ("operator", "运维") if caller == "operator" else (self.rider_id, "骑手")
            token = self.installation.identity.token(*who, [caller])
            request.headers["authorization"] = f"Bearer {token}"
        return self.clients[service].send(request)

    def post(self, service: str, caller: str, path: str, content: bytes, kind: str, **headers: str) -> httpx.Response:
        """Sends these very bytes. An empty `kind`: no content type."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()} | {"content-type": kind}
        given = {name: value for name, value in headers.items() if value}
        return self.send(
            service, caller, self.clients[service].build_request("POST", path, content=content, headers=given)
        )

    def ask(self, service: str, caller: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Sends JSON, with escapes: half of a surrogate pair has no UTF-8 and comes as \\ud800."""
        content = (
            {"content": json.dumps(body).encode(), "headers": {"content-type": "application/json"}} if body else {}
        )
        return self.send(service, caller, self.clients[service].build_request(method, path, **content))


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """An app in a thread of its own, with its own loop; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="package")
def own_installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of their own: running services would work on what other tests put into their tables."""
    with Installation.fresh(infra, tmp_path_factory.mktemp("doors"), "d") as made:
        yield made


@pytest.fixture(scope="package")
def doors(own_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """All services, a company with a key, and a rider of its own; they end with the tests of this folder."""
    installation = own_installation
    photos = tmp_path_factory.mktemp("photos")
    provision_company(installation.cluster, COMPANY, "company-password")  # topics exist before who listens
    with contextlib.ExitStack() as stack:
        clients, documents = {}, {}
        for name in service_names(ROOT):
            changed = {"photo_store_url": f"file://{photos}", "rate_limit_per_minute": 1_000_000}
            app = service_of(installation, name, **changed).app()
            documents[name] = app.openapi()
            clients[name] = stack.enter_context(httpx.Client(base_url=stack.enter_context(served(app)), timeout=40))
        made = Doors(installation, clients, documents, str(uuid4()))
        answer = made.ask("riders", "operator", "POST", "/v1/companies", {"code": COMPANY, "name": "门户"})
        assert answer.status_code == 201, answer.text
        made.secret = base64.b64decode(answer.json()["key"]["secret"].removeprefix("whsec_"))
        rider = {"external_id": "r1", "name": "王小哥", "consent_at": "2026-01-01T00:00:00Z"}
        answer = made.ask("riders", "company", "POST", "/v1/riders:batch", {"items": [rider]})
        made.rider_id = answer.json()["items"][0]["rider_id"]
        first = {
            "external_id": "first", "rider": "r1", "kind": "part-01001", "occurred_at": "2026-05-01T12:00:00Z",
            "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"},
        }  # fmt: skip
        wait_until(
            lambda: made.ask("intake", "company", "POST", "/v1/reports", first).status_code in (200, 201),
            "intake knows company and rider",
        )
        yield made
