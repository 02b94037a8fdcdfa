"""HTTP in: operators of the city read what is under suspicion and why, decide, and set the thresholds.

Whose reports are farmed no area can see for itself: riders, photos and rings go across areas.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.screening import problems, usecases
from services.screening.domain import Finding, Limits, limits_at, words
from services.screening.store import suspicions as store
from services.screening.store.suspicions import Suspicion
from shared.events.common import AnyZone
from shared.events.outside import Words
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND
from shared.kit.service import CurrentService, Reading

router: APIRouter = policy_router(tags=["screening"])
FIRST = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
"""Before this nothing is in a queue."""
Shown = Literal["raised", "cleared", "confirmed"]
Score = Annotated[int, Field(ge=0, le=1_000)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Percent = Annotated[int, Field(ge=1, le=100)]


class FindingOut(Answer):
    """One thing that looks wrong, for people."""

    reason: str
    score: int
    measured: int
    allowed: int
    zh: str
    en: str
    other_report: UUID | None = Field(description="the report that it was compared with, where it was one")
    other_rider: UUID | None
    other_person: str | None = Field(description="who verified the cases, where it is about them")


class SuspicionOut(Answer):
    """A report under suspicion, and all that was found of it."""

    report_id: UUID
    rider_id: UUID
    state: Shown
    changed_at: datetime
    decided_by: str | None
    note: str
    findings: list[FindingOut]


class DecisionIn(Body):
    """What an operator decides of some reports, and why; they read it later."""

    reports: Annotated[list[UUID], Field(min_length=1, max_length=200)]
    decision: Literal["cleared", "confirmed"]
    note: Annotated[Words, Field(min_length=3, max_length=500)]


class DecisionOut(Answer):
    """The suspicions as they are now, by report; one that was decided before stays as it was."""

    items: list[SuspicionOut]


class Thresholds(BaseModel):
    """What each detector allows, and how much what it finds counts; a score of 0 switches it off."""

    raise_at: Annotated[int, Field(ge=1, le=10_000, description="sum of scores from which points wait")]
    velocity_minutes: Annotated[int, Field(ge=1, le=1_440)]
    velocity_reports: Count
    velocity_score: Score
    day_reports: Count
    day_score: Score
    slow_kmh: Count
    fast_kmh: Count
    travel_least_m: Count
    travel_score: Score
    photo_score: Score
    similar_bits: Annotated[int, Field(ge=0, le=3, description="of 64; more would not be found")]
    similar_score: Score
    pair_days: Annotated[int, Field(ge=1, le=60)]
    pair_cases: Count
    pair_percent: Percent
    pair_excess: Percent
    pair_score: Score
    quick_minutes: Annotated[int, Field(ge=1, le=1_440)]
    quick_cases: Count
    quick_score: Score
    ring_days: Annotated[int, Field(ge=1, le=60)]
    ring_cases: Count
    ring_percent: Percent
    ring_score: Score


class LimitsIn(Thresholds, Body):
    """New thresholds, all of them. `after_version` is the newest version the caller has seen."""

    after_version: int = Field(ge=1, le=1_000_000)
    effective_from: AnyZone | None = Field(None, description="not in the past; null: now")
    reason: Words = Field(min_length=3, max_length=500)


class LimitsOut(Thresholds, Answer):
    """Thresholds from an instant on; see LimitsIn."""

    version: int
    effective_from: datetime
    set_by: str
    reason: str


class AllLimitsOut(Page[LimitsOut]):
    """All thresholds there are, by version, and those in force."""

    current: LimitsOut


@router.get("/v1/screening/suspicions")
@allow(CityOperator)
async def read_queue(
    conn: Reading,
    asked: Asked,
    state: Annotated[Shown, Query(description="raised: what waits for a decision")] = "raised",
) -> Page[SuspicionOut]:
    """Suspicions in a state, those that wait longest first."""
    found = await store.queue(conn, state, asked.after(datetime, UUID) or FIRST, asked.rows)
    shown = {one.report_id: one for one in await _shown(conn, found[: asked.limit])}
    return asked.page(found, lambda one: shown[one.report_id], lambda one: (one.changed_at, one.report_id))


@router.get("/v1/screening/riders/{rider_id}")
@allow(CityOperator)
async def read_rider(rider_id: UUID, conn: Reading, asked: Asked) -> Page[SuspicionOut]:
    """One rider's reports that were ever under suspicion, by report."""
    found = await store.of_rider(conn, rider_id, asked.after(UUID) or UUID(int=0), asked.rows)
    shown = {one.report_id: one for one in await _shown(conn, found[: asked.limit])}
    return asked.page(found, lambda one: shown[one.report_id], lambda one: one.report_id)


@router.post("/v1/screening/suspicions:decide")
@allow(CityOperator, refuses=(NOT_FOUND,), writes=True)
async def decide(body: DecisionIn, caller: Caller, service: CurrentService) -> DecisionOut:
    """Clear reports, whose points go on, or confirm that they were farmed: their points are voided or taken back.

    All or none; again changes nothing.
    """
    by = caller.name or caller.id
    async with service.work() as work:
        found = await usecases.decide(work, sorted({*body.reports}), body.decision, by, masked(body.note))
        return DecisionOut(items=await _shown(work.conn, found))


@router.get("/v1/screening/limits")
@allow(CityOperator)
async def read_limits(conn: Reading, asked: Asked) -> AllLimitsOut:
    """Thresholds by version, and those in force."""
    found = await store.limits_page(conn, asked.after(int) or 0, asked.rows)
    return await _limits(conn, found[: asked.limit], asked.next(found, lambda one: one.version))


@router.put("/v1/screening/limits")
@allow(CityOperator, refuses=(problems.LIMITS_IN_THE_PAST, problems.LIMITS_MOVED_ON))
async def set_limits(body: LimitsIn, caller: Caller, service: CurrentService) -> AllLimitsOut:
    """Add thresholds. What was found stays found: they can't begin in the past."""
    async with service.work() as work:
        effective_from = body.effective_from or work.now
        if effective_from < work.now:
            raise problems.LIMITS_IN_THE_PAST()
        said = body.model_dump(exclude={"after_version", "effective_from", "reason"})
        limits = Limits(
            version=body.after_version + 1, effective_from=effective_from, set_by=caller.name or caller.id,
            reason=masked(body.reason), **said,
        )  # fmt: skip
        await usecases.set_limits(work, limits)
        return await _limits(work.conn, await store.limits_page(work.conn, body.after_version, 1), None)


async def _shown(conn: Connection, found: Sequence[Suspicion]) -> list[SuspicionOut]:
    reasons = await store.findings(conn, [one.report_id for one in found])
    return [
        SuspicionOut.model_validate(
            {
                "report_id": one.report_id, "rider_id": one.rider_id, "state": one.state, "changed_at": one.changed_at,
                "decided_by": one.decided_by, "note": one.note,
                "findings": [_finding(finding) for finding in reasons.get(one.report_id, ())],
            }
        )
        for one in found
    ]  # fmt: skip


def _finding(one: Finding) -> FindingOut:
    zh, en = words(one)
    return FindingOut(
        reason=one.reason, score=one.score, measured=one.measured, allowed=one.allowed, zh=zh, en=en,
        other_report=one.other_report, other_rider=one.other_rider, other_person=one.other_person,
    )  # fmt: skip


async def _limits(conn: Connection, page: Sequence[Limits], cursor: str | None) -> AllLimitsOut:
    current = limits_at(await store.limits(conn), clock.now())  # process clock: shown only
    shown = [LimitsOut.model_validate(one) for one in page]
    return AllLimitsOut(items=shown, cursor=cursor, current=LimitsOut.model_validate(current))
