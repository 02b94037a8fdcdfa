"""What the tracking service does: follow every report, pass cases on to the city."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.tracking import metrics
from services.tracking.domain import CaseReport, CaseState, CaseStep, Journey, Movement, ReceivedReport, Routing
from services.tracking.store import ended, figures, journeys, projections
from services.tracking.store import outbound as outbound_store
from services.tracking.store.figures import CasesAtAGlance, Progress
from services.tracking.store.journeys import ExportRow
from services.tracking.usecases.outbound import body_of, note_steps
from shared.catalog import Catalogue
from shared.events.account_changed import AccountChanged
from shared.events.case_changed import CaseChanged
from shared.events.outbound_reports import OutboundReport
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED, PublicCaseChanged
from shared.events.report_received import ReportReceived
from shared.events.report_routed import ReportRouted
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection, Pool, reading
from shared.kit.privacy.masking import masked_each

EXPORT_PAGE_ROWS = 500
CHART_ROWS = 10
LATEST_ROWS = 12
RETIRED_AT_ONCE = 500
ENDED = frozenset({"closed", "invalid"})
PLACE_DECIMALS = 4
"""About 10 m: near enough to find the thing, too coarse to show who stood where."""


async def follow_reports(work: Work, events: Sequence[Event[ReportReceived]]) -> None:
    """Remember reports that intake accepted."""
    rows = [
        ReceivedReport(
            body.report_id,
            body.company,
            body.external_id,
            body.rider_id,
            body.kind,
            body.level,
            body.lng,
            body.lat,
            body.occurred_at,
            event.occurred_at,
            body.by_company,
        )
        for event in events
        for body in (event.data,)
    ]
    await projections.add_reports(work.conn, rows)
    await outbound_store.due(work.conn, [one.report_id for one in rows if one.by_company])


async def follow_routings(work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Remember where reports belong."""
    rows = [
        Routing(
            body.report_id,
            event.version,
            body.company,
            body.outcome,
            body.reason,
            body.grid_code,
            body.grid_name,
            bool(body.alternatives) and body.outcome == "routed",
            body.department,
            event.occurred_at,
        )
        for event in events
        for body in (event.data,)
    ]
    await projections.add_routings(work.conn, rows)
    await outbound_store.due(work.conn, {one.report_id for one in rows})


async def follow_cases(catalogue: Catalogue, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Remember every step of cases, and publish each one to the city, without any rider.

    One public event per step with the case's own version: gapless here because it is gapless there. The upsert locks
    the case's row, so its events leave in the order of their versions.
    """
    latest: dict[UUID, CaseState] = {}
    for event in events:
        known = latest.get(event.data.case_id)
        if known is None or known.version < event.version:
            latest[event.data.case_id] = _case_state(event)
    await projections.upsert_cases(work.conn, list(latest.values()))
    if over := [case for case in latest.values() if case.state in ENDED]:
        await ended.add(work.conn, over)
    notes = await masked_each(event.data.note for event in events)
    await projections.add_steps(work.conn, [_case_step(event, note) for event, note in zip(events, notes, strict=True)])
    await projections.add_case_reports(work.conn, [link for event in events if (link := _case_report(event))])
    await note_steps(work, events)
    for event in events:
        public = _public(event.data, catalogue)
        # when the case changed, not when it is published here
        work.publish(PUBLIC_CASE_CHANGED, public, version=event.version, cause=event, occurred_at=event.occurred_at)
    metrics.PUBLIC_EVENTS.inc(len(events))


async def retire_cases(work: Work, days: int) -> int:
    """Take cases that ended so many days ago off the public topic; how many were looked at, at most RETIRED_AT_ONCE.

    The tombstone has the version of the state that leaves: a case that is reopened goes on from there.
    """
    looked_at, leaving = await ended.take(work.conn, days, RETIRED_AT_ONCE)
    for case_id, version in leaving:
        work.retire(PUBLIC_CASE_CHANGED, case_id, version=version)
    metrics.CASES_RETIRED.inc(len(leaving))
    return looked_at


async def follow_points(work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Remember what became of reports' points; redemptions are no report's."""
    rows = [
        Movement(
            body.source_id,
            event.version,
            body.company or "",
            body.movement,
            body.amount,
            body.reason,
            event.occurred_at,
        )
        for event in events
        for body in (event.data,)
        if body.source == "report"
    ]
    await projections.add_movements(work.conn, rows)
    await outbound_store.due(work.conn, {one.report_id for one in rows})


async def read_journey(conn: Connection, report_id: UUID) -> Journey | None:
    """A report's journey as of one instant."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return await journeys.journey(conn, report_id)


@dataclass(frozen=True, slots=True)
class Exported:
    """A report in a company's export. `version`, `body`: as its outbound topic has them; 0 and None where that has
    none: of what riders file with their own app, and of erased riders' reports."""

    row: ExportRow
    version: int
    body: OutboundReport | None


async def export(pool: Pool, company: str) -> AsyncIterator[Sequence[Exported]]:
    """All reports of a company in pages, each as of one instant; no connection is held while a page is being sent."""
    after = UUID(int=0)
    while True:
        async with reading(pool) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            page = await journeys.export_page(conn, company, after, EXPORT_PAGE_ROWS)
            known = {one.report_id: one for one in await outbound_store.known(conn, [row.report_id for row in page])}
        if page:
            metrics.EXPORTED.inc(len(page))
            yield [_exported(row, known.get(row.report_id)) for row in page]
            after = page[-1].report_id
        if len(page) < EXPORT_PAGE_ROWS:
            return


@dataclass(frozen=True, slots=True)
class Overview:
    """The city at a glance."""

    progress: Progress
    cases: CasesAtAGlance
    latest: list[CaseState]


async def read_overview(pool_of: Callable[[], Pool]) -> Overview:
    """What the pages show, from kept numbers and the newest cases: costs the same in every year."""
    async with reading(pool_of()) as conn:
        return Overview(
            progress=await figures.progress(conn, None),
            cases=await figures.cases_at_a_glance(conn, CHART_ROWS),
            latest=await figures.latest_cases(conn, LATEST_ROWS),
        )


def _exported(row: ExportRow, known: outbound_store.Known | None) -> Exported:
    return Exported(row, 0, None) if known is None else Exported(row, known.version, body_of(known))


def _case_state(event: Event[CaseChanged]) -> CaseState:
    body = event.data
    return CaseState(
        body.case_id,
        event.version,
        body.state,
        body.kind,
        body.level,
        body.grid_code,
        body.department,
        round(body.lng, PLACE_DECIMALS),
        round(body.lat, PLACE_DECIMALS),
        body.report_count,
        body.opened_at,
        body.due_at,
        body.changed_at,
    )


def _case_step(event: Event[CaseChanged], note: str) -> CaseStep:
    body = event.data
    return CaseStep(
        body.case_id,
        event.version,
        body.transition,
        body.state,
        body.actor.name if body.actor else None,
        body.actor.role if body.actor else None,
        body.report.report_id if body.report else None,
        body.grid_code,
        note,
        event.occurred_at,
        UUID(body.actor.id) if body.actor and body.actor.role == "rider" else None,
    )


def _case_report(event: Event[CaseChanged]) -> CaseReport | None:
    body = event.data
    if body.report is None:
        return None
    return CaseReport(body.report.report_id, body.case_id, body.report.company, event.version, event.occurred_at)


def public_state(case: CaseState, transition: str, catalogue: Catalogue) -> PublicCaseChanged:
    """What the city saw of a case's latest step, from its row; the place is rounded there already."""
    kind = catalogue.kind(case.kind, case.opened_at)
    return PublicCaseChanged.model_validate(
        {
            **{name: getattr(case, name) for name in PublicCaseChanged.model_fields if hasattr(case, name)},
            "transition": transition,
            "kind_name_zh": kind.name_zh if kind else case.kind,
            "kind_name_en": kind.name_en if kind else case.kind,
        }
    )


def _public(body: CaseChanged, catalogue: Catalogue) -> PublicCaseChanged:
    kind = catalogue.kind(body.kind, body.opened_at)
    return PublicCaseChanged(
        case_id=body.case_id,
        state=body.state,
        transition=body.transition,
        kind=body.kind,
        kind_name_zh=kind.name_zh if kind else body.kind,
        kind_name_en=kind.name_en if kind else body.kind,
        level=body.level,
        grid_code=body.grid_code,
        department=body.department,
        lng=round(body.lng, PLACE_DECIMALS),
        lat=round(body.lat, PLACE_DECIMALS),
        report_count=body.report_count,
        opened_at=body.opened_at,
        due_at=body.due_at,
        changed_at=body.changed_at,
    )
