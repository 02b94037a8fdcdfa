"""A street with stations, and what its people do there, by the service's use cases."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.stations.domain.details import Details
from services.stations.domain.living import Found, Period, PeriodKind, Spell
from services.stations.domain.words import Station, visit_code
from services.stations.settings import Settings
from services.stations.store import live
from services.stations.store import stations as store
from services.stations.usecases import keeping, living, visiting
from services.stations.usecases.rules import Rules
from services.stations.usecases.visiting import Place
from shared.events.public_station_changed import PUBLIC_STATION_CHANGED
from shared.kit import clock
from shared.kit.areas import NO_MAP
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from shared.known.knowing import Riders, follow_riders
from tests.support import hear, published, rider_id, rider_is, work_on

GRID = "330114003001002"
LNG, LAT = 120.35, 30.3


def details(code: str = "HC-0001", **values: Any) -> Details:
    """A station that is always open, unless `values` say otherwise."""
    usual: dict[str, Any] = {
        "code": code, "name": f"{code}蜂巢", "kind": "hive", "sponsor": "", "area_code": GRID,
        "address": "学源街 18 号", "lng": LNG, "lat": LAT, "managing_unit": "学源街社区",
        "responsible": "王敏", "phone": "13800138000", "duty_phone": "0571-88886666", "hours": "24/7",
        "open_on_holidays": False, "services": ("rest", "water"),
        "parking_places": None, "photos": (),
    }  # fmt: skip
    return Details(**usual | values)


class Street:
    """The use cases on one pool."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self.pool = pool
        self.rules = Rules.of(settings, lambda: NO_MAP)

    async def makes(self, code: str = "HC-0001", **values: Any) -> Station:
        """A station."""
        async with work_on(self.pool) as work:
            return await keeping.create(self.rules, work, details(code, **values))

    async def knows(self, *numbers: str) -> list[UUID]:
        """Riders who may act."""
        await hear(self.pool, lambda work, events: follow_riders(Riders(), work, events), *map(rider_is, numbers))
        return [rider_id(number) for number in numbers]

    async def sees(self, station: Station, rider: UUID, found: Found, part: str = "") -> Station:
        """A rider says what they found."""
        async with work_on(self.pool) as work:
            return await living.sight(self.rules, work, station.id, rider, found, part)

    async def says(
        self, station: Station, state: str, part: str = "", reason: str = "", until: datetime | None = None
    ) -> Station:
        """A keeper does."""
        async with work_on(self.pool) as work:
            one = await keeping.lock_one(work, station.id)
            return await living.set_state(self.rules, work, one, state, part, reason, until, "merchant", "keeper-1")

    async def period(self, kind: PeriodKind, *, closes: bool, areas: tuple[str, ...] = (), **times: Any) -> Period:
        """A storm that has begun."""
        now = clock.now()
        new = Period(new_id(), kind, closes, areas, "暴雨红色预警", times.get("begins_at", now), times.get("ends_at"))
        async with work_on(self.pool) as work:
            await living.add_period(self.rules, work, new, "op")
        return new

    async def ticks(self) -> int:
        """The clock looks until nothing is due."""
        done = 0
        while True:
            async with work_on(self.pool) as work:
                if not (looked := await living.look_at_due(self.rules, 100, work)):
                    return done
                done += looked

    async def now(self, station: Station) -> Station:
        """As it is kept."""
        async with self.pool.acquire() as conn:
            found = await store.station(conn, station.id)
        assert found is not None
        return found

    async def spells(self, station: Station) -> list[Spell]:
        """Its history, the latest first."""
        async with self.pool.acquire() as conn:
            return await live.history(conn, station.id, (clock.now().replace(year=2999), UUID(int=2**128 - 1)), 100)

    async def visits(self, station: Station, rider: UUID, proof: str | Place | None = None) -> bool:
        """A rider checks in, by the code unless `proof` says otherwise."""
        code = visit_code(self.rules.visit_keys[0], station.id, station.code_epoch)
        async with work_on(self.pool) as work:
            return await visiting.visit(self.rules, work, station.id, rider, proof or code)

    async def said(self, station: Station) -> list[tuple[int, str]]:
        """(version, state) of what was published of a station."""
        found = await published(self.pool, PUBLIC_STATION_CHANGED, station.id)
        return [(one["version"], one.get("state", "gone")) for one in found]

    async def sound(self) -> dict[str, int]:
        """The kept numbers are history's."""
        async with self.pool.acquire() as conn, conn.transaction():
            assert await counters.differences(conn) == []
            return await store.tallies(conn)
