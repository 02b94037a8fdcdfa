"""What screening hears, made as the suite would say it: reports of riders in a street, and steps of their cases."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.screening.store import reports as report_store
from services.screening.store import suspicions as store
from services.screening.usecases import cases, reports
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.common import Actor, Photo
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.suspicion_changed import SUSPICION_CHANGED, SuspicionChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from shared.known.knowing import Riders, follow_riders
from tests.support import event_of, hear, published

ZONE = ZoneInfo("Asia/Shanghai")
LNG, LAT = 120.3, 30.3
KM = 1 / 111.32
"""In degrees of latitude."""


def noon(days_ago: int = 1) -> datetime:
    """Noon in the city, some days ago."""
    day = clock.now().astimezone(ZONE) - timedelta(days=days_ago)
    return day.replace(hour=12, minute=0, second=0, microsecond=0)


def report(
    rider: UUID, at: datetime, north_km: float = 0.0, *, grid: str | None = "G1", photos: tuple[Photo, ...] = (),
    version: int = 1, report_id: UUID | None = None,
) -> Event[ReportRouted]:  # fmt: skip
    """A report, so many kilometres up the street."""
    body = ReportRouted(
        report_id=report_id or new_id(), rider_id=rider, company="suda", kind="part-01001", level="hazard", lng=LNG,
        lat=LAT + north_km * KM, accuracy_m=5, text="", photos=photos, occurred_at=at, received_at=at, grid_code=grid,
        outcome="routed" if grid else "unroutable",
    )  # fmt: skip
    return event_of(REPORT_ROUTED, body, version, at=at)


def photo(sha256: str, phash: int) -> Photo:
    """A picture's digests; the first is padded."""
    return Photo(photo_id=str(new_id()), sha256=sha256.ljust(64, "0"), phash=f"{phash:016x}")


class Case:
    """The events of one case."""

    def __init__(self, opened_at: datetime, grid: str = "G1") -> None:
        self.id, self.opened_at, self.grid, self.version = new_id(), opened_at, grid, 0
        self.reports: list[CaseReport] = []

    def joined(self, rider: UUID) -> Event[CaseChanged]:
        """Opened by the first, joined by others."""
        made = CaseReport(report_id=new_id(), rider_id=rider, company="suda", ordinal=len(self.reports) + 1)
        self.reports.append(made)
        return self._step("attached" if len(self.reports) > 1 else "opened", "open", self.opened_at, made)

    def verified(self, by: str, minutes: float = 240) -> Event[CaseChanged]:
        """Somebody was there, so many minutes after it was opened."""
        at = self.opened_at + timedelta(minutes=minutes)
        return self._step("verified", "verified", at, None, Actor(id=by, name=by, role="verifier"))

    def _step(
        self, transition: str, state: str, at: datetime, made: CaseReport | None, actor: Actor | None = None
    ) -> Event[CaseChanged]:
        self.version += 1
        values: dict[str, Any] = {
            "case_id": self.id, "state": state, "transition": transition, "kind": "part-01001", "level": "hazard",
            "grid_code": self.grid, "department": None, "lng": LNG, "lat": LAT, "report": made,
            "report_count": len(self.reports), "actor": actor, "changed_at": at, "opened_at": self.opened_at,
            "due_at": at,
        }  # fmt: skip
        return event_of(CASE_CHANGED, CaseChanged.model_validate(values), self.version, at=at)


class Screen:
    """The service's use cases on one pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def hears(self, *events: Event[Any]) -> None:
        """One batch a topic, each its own transaction."""
        for topic, use_case in (
            (RIDER_CHANGED, partial(follow_riders, Riders(also=report_store.keep_vehicles))),
            (REPORT_ROUTED, partial(reports.follow_reports, ZONE)),
            (CASE_CHANGED, cases.follow_cases),
        ):
            if batch := [one for one in events if one.topic == topic.name]:
                await hear(self.pool, use_case, *batch)

    async def found(self) -> dict[UUID, set[str]]:
        """Report → reasons, of all that was found."""
        rows = await self.pool.fetch("SELECT report_id, array_agg(reason) AS reasons FROM findings GROUP BY report_id")
        return {row["report_id"]: set(row["reasons"]) for row in rows}

    async def said(self, report_id: UUID | None = None) -> list[tuple[int, SuspicionChanged]]:
        """(version, event) in the order of the outbox."""
        found = await published(self.pool, SUSPICION_CHANGED, report_id)
        return [(one["version"], SuspicionChanged.model_validate(one)) for one in found]

    async def tallies(self) -> dict[str, int]:
        """Suspicions by state; as history has them."""
        async with self.pool.acquire() as conn, conn.transaction():
            assert await counters.differences(conn) == []
            return await store.tallies(conn)
