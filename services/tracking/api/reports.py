"""Reports as JSON: one report's journey, a company's export, progress and durations."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field

from services.tracking import domain, problems, usecases
from services.tracking.domain import STATES, Journey, Links
from services.tracking.settings import Settings
from services.tracking.store import figures
from services.tracking.usecases import Exported
from shared.catalog import Catalogue
from shared.events.common import AnyZone, CompanyCode
from shared.events.outbound_reports import ReportStage
from shared.kit import auth
from shared.kit.auth import AnyOf, Caller, CityOperator, Operator, Principal, allow, policy_router
from shared.kit.cells import neutral
from shared.kit.http.models import Answer
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["tracking"])
EXPORT_COLUMNS = (
    "external_id", "report_id", "grid_code", "ambiguous", "case_id", "state", "points", "version", "stage",
)  # fmt: skip
EXPORT_TIMEOUT_S = 600.0


class StepOut(Answer):
    """One step: when, what in both languages, and the named person who did it (none: the system or a rider)."""

    key: str
    at: AwareDatetime
    zh: str
    en: str
    who: str | None
    role: str | None
    note: str


class JourneyOut(Answer):
    """A report and every step it took. `link`: the path of its page, which needs no login: keep it to the reporter."""

    report_id: UUID
    external_id: str
    kind: str
    kind_zh: str
    kind_en: str
    level: str
    occurred_at: AwareDatetime = Field(description="when it was seen")
    received_at: AwareDatetime
    state: str
    state_zh: str
    state_en: str
    stage: ReportStage = Field(description="as on the company's topic `outbound.<company>.reports.v1`")
    version: int = Field(description="as that topic's `ce_aggregateversion`: it rises with all that becomes known")
    grid_code: str | None
    ambiguous: bool
    case_id: UUID | None
    report_count: int = Field(description="reports of the same thing, this one included")
    due_at: AwareDatetime | None
    link: str
    steps: list[StepOut]


class ProgressOut(Answer):
    """Numbers of reports. Settled: no step of the suite is due any more (unroutable ones wait for a person)."""

    received: int
    routed: int
    unroutable: int
    in_case: int
    closed: int
    points_posted: int = Field(description="reports whose points are credited")
    points: int = Field(description="whole points credited")
    settled: int = Field(
        description="at most so many: the smaller of ended cases' reports and of ended points' reports"
    )


class HopOut(Answer):
    """Milliseconds from one stage to the next, over the reports that reached both."""

    hop: str
    reports: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class HopsOut(Answer):
    """All hops in the order of the journey, of the newest 500 reports at most."""

    hops: list[HopOut]


@router.get("/v1/tracking/reports/{report_id}")
@allow(AnyOf(auth.Rider, auth.Company, Operator), refuses=(NOT_FOUND,))
async def read_report(
    report_id: UUID, caller: Caller, conn: Reading, catalogue: Given[Catalogue], links: Given[Links]
) -> JourneyOut:
    """The reporter's one address: every step with its time and who is on it. Somebody else's report looks like none."""
    journey = await usecases.read_journey(conn, report_id)
    if journey is None or not _may_see(caller, journey):
        raise not_found("report")
    kind = catalogue.kind(journey.report.kind, journey.report.at)
    state_zh, state_en = STATES.get(journey.state, (journey.state, journey.state))
    routing = journey.routings[-1] if journey.routings else None
    case = journey.case
    return JourneyOut(
        report_id=report_id,
        external_id=journey.report.external_id,
        kind=journey.report.kind,
        kind_zh=kind.name_zh if kind else journey.report.kind,
        kind_en=kind.name_en if kind else journey.report.kind,
        level=journey.report.level,
        occurred_at=journey.report.seen_at,
        received_at=journey.report.at,
        state=journey.state,
        state_zh=state_zh,
        state_en=state_en,
        stage=journey.stage,
        version=journey.version,
        grid_code=case.grid_code if case else routing.grid_code if routing else None,
        ambiguous=bool(routing and routing.ambiguous),
        case_id=case.case_id if case else None,
        report_count=case.report_count if case else 1,
        due_at=case.due_at if case else None,
        link=f"/r/{domain.link_token(links.keys[0], report_id)}",
        steps=[
            StepOut(key=step.key, at=step.at, zh=step.zh, en=step.en, who=step.who, role=step.role, note=step.note)
            for step in domain.timeline(journey)
        ],
    )


@router.get(
    "/v1/tracking/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
)
@allow(AnyOf(auth.Company, CityOperator), timeout_s=EXPORT_TIMEOUT_S, refuses=(problems.COMPANY_MISSING,))
async def export(
    caller: Caller,
    service: CurrentService,
    exports: Given[OpenAnswers],
    settings: Given[Settings],
    company: CompanyCode | None = None,
    form: Annotated[
        Literal["ndjson", "csv"], Query(alias="format", description="a JSON object a line, or CSV")
    ] = "ndjson",
) -> StreamingResponse:
    """Where each report of a company stands, by report id.

    external_id, report_id, grid_code (the case's by now; empty: unroutable), ambiguous, case_id, state, points
    (credited), version. As NDJSON also `body`, the very body that `outbound.<company>.reports.v1` has with this version
    as `ce_aggregateversion`; as CSV its `stage`. Version 0, no body: it isn't on that topic, since a rider's own app
    has filed it, or the rider is erased. In CSV a cell that a spreadsheet would take for a formula begins with an
    apostrophe.
    How often a minute a caller may have a company's export, and how many at once, says the installation: six and two.
    """
    wanted = _company(caller, company)
    if wanted is None:
        raise problems.COMPANY_MISSING("an operator names the company")
    if service.limiter is not None:
        await service.limiter.check(f"export:{caller.key}:{wanted}", per_minute=settings.exports_per_minute)
    render, media = (_csv, "text/csv; charset=utf-8") if form == "csv" else (_ndjson, "application/x-ndjson")
    return exports.stream(
        caller.key,
        _lines(usecases.export(service.pool, wanted), render, form == "csv"),
        media_type=media,
        headers={"Content-Disposition": f'attachment; filename="reports-{wanted}.{form}"'},
    )


@router.get("/v1/tracking/progress")
@allow(AnyOf(auth.Company, CityOperator))
async def progress(caller: Caller, conn: Reading, company: CompanyCode | None = None) -> ProgressOut:
    """How far reports have come: of one company, or for an operator of all."""
    wanted = _company(caller, company)
    found = await figures.progress(conn, wanted)
    return ProgressOut.model_validate(found)


@router.get("/v1/tracking/hops")
@allow(CityOperator, timeout_s=30.0)
async def hops(conn: Reading, since: AnyZone | None = None) -> HopsOut:
    """Median and 99th percentile of each hop, from the stages' own event times; for reports received since `since`."""
    found = await figures.hops(conn, since)
    return HopsOut(hops=[HopOut.model_validate(hop) for hop in found])


def _may_see(caller: Principal, journey: Journey) -> bool:
    if caller.kind == "company":
        return caller.company_code == journey.report.company
    if caller.is_self(journey.report.rider_id):
        return True
    return caller.has("operator") and (caller.covers_city or caller.covers_any(domain.grids_of(journey)))


def _company(caller: Principal, asked: str | None) -> str | None:
    """Whose reports: a company's own, whatever an operator asks for."""
    if caller.kind != "company":
        return asked
    if asked not in (None, caller.company_code):
        raise FORBIDDEN("a company reads its own reports")
    return caller.company_code


Render = Callable[[Sequence[Exported]], bytes]


async def _lines(pages: AsyncIterator[Sequence[Exported]], render: Render, header: bool) -> AsyncGenerator[bytes]:
    if header:
        yield (",".join(EXPORT_COLUMNS) + "\r\n").encode()
    async for page in pages:
        yield render(page)


def _ndjson(rows: Sequence[Exported]) -> bytes:
    return b"".join(
        orjson.dumps(
            {
                "external_id": row.external_id,
                "report_id": str(row.report_id),
                "grid_code": row.grid_code or "",
                "ambiguous": row.ambiguous,
                "case_id": str(row.case_id) if row.case_id else None,
                "state": row.state,
                "points": row.points,
                "version": one.version,
                "body": orjson.Fragment(one.body.__pydantic_serializer__.to_json(one.body)) if one.body else None,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for one in rows
        for row in (one.row,)
    )


def _csv(rows: Sequence[Exported]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    for one in rows:
        row, stage = one.row, one.body.stage if one.body else ""
        ambiguous = "true" if row.ambiguous else "false"
        number, grid = neutral(row.external_id), neutral(row.grid_code or "")
        standing = row.case_id, row.state, row.points, one.version, stage
        writer.writerow((number, row.report_id, grid, ambiguous, *standing))
    return out.getvalue().encode()
