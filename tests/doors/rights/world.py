"""A running service, the map around it, and whose the objects are that its routes are asked about: all in grid G10."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast
from uuid import UUID

import httpx
from fastapi import FastAPI

from shared.devtools.identity import Identity
from shared.kit import clock
from shared.kit.areas import KnownArea
from shared.kit.areas import store as known_store
from shared.kit.areas.store import KeptArea
from shared.kit.ids import new_id
from shared.kit.postgres.db import Pool
from shared.kit.service import Service

GRID = "G10"
OWN, NEIGHBOUR, DISTRICT, CITY, OTHER_DISTRICT = GRID, "G1", "330102", "3301", "330105"
COMPANY = "feima"
"""Whose reports, photos and riders all are."""
AREAS = [
    KnownArea(CITY, "city", (), True),
    KnownArea(DISTRICT, "district", (CITY,), True),
    KnownArea(OTHER_DISTRICT, "district", (CITY,), True),
    KnownArea(OWN, "grid", (CITY, DISTRICT), True),
    KnownArea(NEIGHBOUR, "grid", (CITY, DISTRICT), True),
    KnownArea("G100", "grid", (CITY, OTHER_DISTRICT), True),
]
_places = count()


@dataclass
class World:
    """A running service and whose its objects are."""

    service: Service
    client: httpx.AsyncClient
    identity: Identity
    rider: UUID = field(default_factory=new_id)
    merchant: UUID = field(default_factory=new_id)
    number: str = ""
    """The company's own of the last rider made."""

    @property
    def app(self) -> FastAPI:
        """That the client calls."""
        transport = self.client._transport
        assert isinstance(transport, httpx.ASGITransport)
        return cast(FastAPI, transport.app)

    @property
    def pool(self) -> Pool:
        return self.service.pool

    async def settle(self) -> None:
        """Let the service know the map, until it stops: other tests share its schema and know none."""
        async with self.pool.acquire() as conn, conn.transaction():
            await known_store.keep(conn, [KeptArea(area, 1_000) for area in AREAS])
        await self.service.known_areas.refresh()

    def facts(self, report_id: UUID) -> dict[str, Any]:
        """A report of the world's rider, at a place of its own."""
        now = clock.now()
        return {
            "report_id": report_id, "rider_id": self.rider, "company": "feima", "kind": "part-01001",
            "level": "hazard", "lng": 120.3 + 0.01 * next(_places), "lat": 30.3, "accuracy_m": 10, "text": "井盖",
            "occurred_at": now, "received_at": now,
        }  # fmt: skip
