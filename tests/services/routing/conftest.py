"""Routing as a real service: HTTP in this process, Kafka and Postgres real, its tables emptied before each test."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
import shapely

from services.routing.app import build
from services.routing.settings import Settings
from services.routing.usecases.current_map import CurrentMap
from services.routing.usecases.reports import Router
from shared.catalog import Catalogue
from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.events.report_routed import REPORT_ROUTED
from shared.events.topic import Topic
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.service import Service
from shared.kit.service.tasks import Task
from shared.synthetic.city import Area, feature_collection
from tests.support import client_of, emptied, event_of, published, settings_of

TABLES = (
    "known_areas", "known_map", "current_map", "activations", "areas", "area_versions", "responsibilities",
    "unroutable", "routes", "inbox",
)  # fmt: skip


@pytest.fixture(scope="module")
def own_installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh installation for these tests: a running routing service would disturb others' topics."""
    with Installation.fresh(infra, tmp_path_factory.mktemp("routing"), "r") as made:
        yield made


class Routing:
    """The running service and people who call it."""

    def __init__(
        self, service: Service, http: httpx.AsyncClient, installation: Installation, drop_drafts: Task
    ) -> None:
        self.service = service
        self.http = http
        self.installation = installation
        self.drop_drafts = drop_drafts

    def router(self) -> Router:
        """By the map that the process has now."""
        return Router(self.service.provided.get(CurrentMap).value, self.service.provided.get(Catalogue))

    def headers(self, *roles: str, areas: Sequence[str] = ()) -> dict[str, str]:
        token = self.installation.identity.token("u1", "李工", list(roles), areas=tuple(areas))
        return {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 200, **who: Any) -> Any:
        """As an operator unless `roles` says otherwise; the parsed answer."""
        headers = self.headers(*who.get("roles", ("operator",)), areas=who.get("areas", ()))
        answer = await self.http.request(method, path, json=body, headers=headers, params=who.get("params"))
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def draft(self, **changes: Any) -> str:
        body = {"label": "test", **changes}
        version: str = (await self.call("POST", "/v1/areas/versions", body, status=201))["version_id"]
        return version

    async def upload(self, version: str, areas: Sequence[Area], *, status: int = 200) -> Any:
        return await self.call(
            "POST", f"/v1/areas/versions/{version}/features", feature_collection(areas), status=status
        )

    async def activate(self, version: str, *, status: int = 200, **wanted: Any) -> Any:
        """Areas may vanish, unless a test asks for more than that."""
        body = wanted or {"accept": True}
        return await self.call("POST", f"/v1/areas/versions/{version}/activate", body, status=status)

    async def put_in_force(self, areas: Sequence[Area]) -> str:
        version = await self.draft()
        for start in range(0, len(areas), 500):
            await self.upload(version, areas[start : start + 500])
        await self.activate(version)
        return version

    async def published(self, topic: Topic[Any] = REPORT_ROUTED) -> list[dict[str, Any]]:
        """The relay is stopped in these tests."""
        return await published(self.service.pool, topic)


@pytest.fixture
async def routing(own_installation: Installation) -> AsyncIterator[Routing]:
    """The whole service, except that its relay leaves the outbox to the test."""
    await emptied(own_installation, "routing", *TABLES)
    service = build(settings(own_installation))
    service.relay.run = _idle  # type: ignore[method-assign]  # else the rows would leave before the test reads them
    drop_drafts = service.tasks.kept.pop("drop-abandoned")  # a test says when
    async with client_of(service) as http:
        yield Routing(service, http, own_installation, drop_drafts)


async def _idle() -> None:
    return None


def settings(installation: Installation) -> Settings:
    """As a process of the service would read them, only faster, and drafts leave sooner."""
    found: Settings = settings_of(installation, "routing", map_poll_s=0.1, draft_kept_days=3)
    return found


def box(code: str, west: float, south: float, side: float = 0.01, **changes: Any) -> Area:
    """A square area of about a kilometre."""
    polygon = shapely.box(west, south, west + side, south + side)
    return Area(code, changes.get("name", code), changes.get("level", "grid"), changes.get("parent_code"), polygon)


def report(lng: float, lat: float, accuracy_m: float | None = 10, kind: str = "part-01001") -> ReportReceived:
    now = clock.now()
    return ReportReceived(
        report_id=new_id(),
        rider_id=new_id(),
        company="sf-express",
        external_id=new_id().hex,
        kind=kind,
        level="hazard",
        lng=lng,
        lat=lat,
        accuracy_m=accuracy_m,
        text="井盖丢失",
        occurred_at=now,
        received_at=now,
    )


def event(body: ReportReceived, event_id: UUID | None = None) -> Event[ReportReceived]:
    made = event_of(REPORT_RECEIVED, body, at=body.received_at)
    made.id = event_id or made.id
    return made
