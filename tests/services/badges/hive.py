"""What badges hear, made as points would say it."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.badges.store import standings as store
from services.badges.usecases import crediting
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.badge_awarded import BADGE_AWARDED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from tests.support import event_of, hear, published

ZONE = ZoneInfo("Asia/Shanghai")
GRID = "330114001001001"


class Deed:
    """One report's points, step by step."""

    def __init__(self, rider: UUID, points: int = 50, company: str = "suda", grid: str = GRID) -> None:
        self.rider, self.points, self.company, self.grid, self.id = rider, points, company, grid, new_id()

    def says(self, movement: str, at: datetime | None = None, source: str = "report") -> Event[AccountChanged]:
        """One movement; the versions don't matter here."""
        body = AccountChanged.model_validate(
            {
                "rider_id": self.rider, "entry_id": new_id(), "movement": movement, "source": source,
                "source_id": self.id, "case_id": new_id(), "company": self.company, "grid_code": self.grid,
                "amount": -self.points if movement == "reversed" else self.points, "pending": 0, "available": 0,
                "changed_at": at or clock.now(),
            }
        )  # fmt: skip
        return event_of(ACCOUNT_CHANGED, body)

    def credited(self, at: datetime | None = None) -> tuple[Event[AccountChanged], Event[AccountChanged]]:
        """Held and posted at once."""
        return self.says("held", at), self.says("posted", at)


class Hive:
    """The service's use cases on one pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def hears(self, *events: Event[Any]) -> None:
        """One batch."""
        await hear(self.pool, partial(crediting.follow_points, ZONE), *events)

    async def standing(self, rider: UUID) -> Any:
        """A rider's totals."""
        async with self.pool.acquire() as conn:
            return await store.standing(conn, rider)

    async def badges(self, rider: UUID) -> dict[str, bool]:
        """Code → whether it is valid."""
        async with self.pool.acquire() as conn:
            return {one.code: one.valid for one in await store.awards(conn, rider)}

    async def said(self) -> list[tuple[int, str, str]]:
        """(version, rider, code) of what was published."""
        return [(one["version"], one["rider_id"], one["code"]) for one in await published(self.pool, BADGE_AWARDED)]

    async def sound(self) -> dict[str, int]:
        """The kept numbers, which are history's, as the days' are the standings'."""
        async with self.pool.acquire() as conn, conn.transaction():
            assert await counters.differences(conn) == []
            days = await conn.fetchrow("SELECT coalesce(sum(points), 0) AS p, coalesce(sum(reports), 0) AS r FROM days")
            figures = await store.tallies(conn)
        assert (figures["points"], figures["reports"]) == (days["p"], days["r"])
        return figures
