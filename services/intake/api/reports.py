"""HTTP: reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from fastapi import Header, Query, Response
from pydantic import AwareDatetime, Field

from services.intake import domain, problems
from services.intake.domain import Submission
from services.intake.store import waiting
from services.intake.usecases import reports as usecases
from services.intake.usecases.reports import Outcome
from shared.catalog import Catalogue
from shared.events.common import AnyZone, CompanyCode, ExternalId
from shared.events.inbound_reports import PHOTOS_MAX, TEXT_LENGTH_MAX, PhotoName, ReportSubmission, SubmittedPlace
from shared.events.outbound_reports import OutboundWaiting
from shared.events.outside import Code, Words
from shared.kit.auth import AnyOf, Caller, CityOperator, Company, Principal, Rider, allow, policy_router
from shared.kit.http.events import Stated, StatedEvent, StatedEvents
from shared.kit.http.items import EACH, ItemProblem, Malformed, of_event
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.problems import validation_refusal
from shared.kit.messaging.cloudevents import content_of
from shared.kit.postgres.batcher import Batcher
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.refusals import Refusal
from shared.kit.service import CurrentService, Given, Reading, Service
from shared.kit.telemetry.tracing import current_traceparent

router = policy_router(tags=["reports"])
REPORT_BYTES_MAX = 64_000
BATCH_BYTES_MAX = 6_000_000


class ReportIn(Body):
    """One report of one thing seen. A company names its number of the rider, a rider is known by the token. The number
    of the report may be given as Idempotency-Key instead."""

    external_id: ExternalId | None = Field(None, description="the sender's own number of the report")
    rider: ExternalId | None = Field(None, description="companies only: their own number of the rider")
    kind: Annotated[Code, Field(max_length=40, examples=["part-01001", "local-gas-smell"])]
    place: SubmittedPlace
    occurred_at: AnyZone = Field(description="when it was seen; not in the future")
    text: Annotated[Words, Field(max_length=TEXT_LENGTH_MAX)] = ""
    photos: Annotated[tuple[PhotoName, ...], Field(max_length=PHOTOS_MAX)] = Field(
        (), description="ids of uploaded photos"
    )


class ReportItemIn(ReportSubmission, Body):
    """One report of a company's batch."""


if TYPE_CHECKING:
    ReportItem = ReportItemIn | Malformed
else:
    ReportItem = Annotated[ReportItemIn, EACH]


class ReportsIn(Body):
    """Reports of a company, each for itself."""

    items: Annotated[list[ReportItem], Field(min_length=1, max_length=domain.REPORTS_PER_REQUEST_MAX)]


class ReceivedOut(Answer):
    """The answer to a report; the same again for the same report, with `repeated`."""

    report_id: UUID
    external_id: str
    status: Literal["accepted", "repeated"]
    received_at: AwareDatetime


class ReportItemOut(Answer):
    """What became of one report of a batch."""

    external_id: str | None
    status: Literal["accepted", "repeated", "refused"]
    report_id: UUID | None = None
    received_at: AwareDatetime | None = None
    problem: ItemProblem | None = None


class ReportsOut(Answer):
    """One item per report that was sent, in the same order, and how many of each status."""

    items: list[ReportItemOut]
    accepted: int
    repeated: int
    refused: int


class WaitingOut(Answer):
    """A streamed report that waits, as `outbound.<company>.reports.v1` says it."""

    external_id: str
    stage: Literal["waiting"] = "waiting"
    waiting: OutboundWaiting


class ReportOut(Answer):
    """That a report was accepted. What became of it: /v1/tracking."""

    report_id: UUID
    external_id: str
    company: str
    rider_id: UUID
    kind: str
    received_at: AwareDatetime


@router.post("/v1/reports", status_code=201, responses={200: {"model": ReceivedOut}})
@allow(AnyOf(Company, Rider), body_max=REPORT_BYTES_MAX, event=True, refuses=problems.OF_A_REPORT, writes=True)
async def file_report(
    body: ReportIn,
    caller: Caller,
    singles: Given[Batcher[Submission, Outcome]],
    response: Response,
    stated: StatedEvent,
    idempotency_key: Annotated[
        ExternalId | None, Header(description="the number, where the body has no external_id; both must be the same")
    ] = None,
) -> ReceivedOut:
    """File one report. 201: accepted, committed. 200: it was before; the same answer again.

    As a CloudEvent, source and id together name the event as they do on Kafka: 409 `event_known` where they came before
    with other content.
    """
    submission = _submission(body, caller, idempotency_key, stated)
    outcome = await singles.submit(submission)
    usecases.count("http", [outcome])
    if isinstance(outcome, Refusal):
        raise outcome
    if not outcome.fresh:
        response.status_code = 200
    return ReceivedOut(
        report_id=outcome.report_id,
        external_id=submission.external_id,
        status="accepted" if outcome.fresh else "repeated",
        received_at=outcome.received_at,
    )


@router.post("/v1/reports:batch")
@allow(Company, body_max=BATCH_BYTES_MAX, events="items", writes=True)
async def file_reports(
    body: ReportsIn, caller: Caller, service: CurrentService, catalogue: Given[Catalogue], stated: StatedEvents
) -> ReportsOut:
    """File up to 500 reports in one transaction. Always 200; each report has its own result, the good ones count.

    As a batch of CloudEvents too: one result per event, in their order; the same event again is `repeated`.
    """
    return await _file(body, caller.company_code, service, catalogue, stated)


@router.post("/v1/reports:replay")
@allow(CityOperator, body_max=BATCH_BYTES_MAX, timeout_s=30.0, writes=True)
async def replay_reports(
    body: ReportsIn,
    service: CurrentService,
    catalogue: Given[Catalogue],
    company: Annotated[CompanyCode, Query(description="whose reports they are")],
    dry_run: Annotated[bool, Query(description="answer as if, and keep nothing")] = False,
    newcomers: Annotated[
        bool, Query(description="of a dry run alone: as if riders who aren't known had been registered")
    ] = False,
) -> ReportsOut:
    """File reports of a company's past, from a file that an operator has; the same answers as to the company itself."""
    return await _file(body, company, service, catalogue, (), dry=dry_run, newcomers=newcomers)


async def _file(
    body: ReportsIn,
    company: str,
    service: Service,
    catalogue: Catalogue,
    stated: Sequence[Stated],
    *,
    dry: bool = False,
    newcomers: bool = False,
) -> ReportsOut:
    trace, place = current_traceparent(), usecases.place_of(company)
    events = stated or [Stated()] * len(body.items)
    reports = [of_event(item, event) for item, event in zip(body.items, events, strict=True)]
    submissions = [
        usecases.of_company(company, item, event.traceparent or trace, event.id_at(place))
        for item, event in zip(reports, events, strict=True)
        if isinstance(item, ReportItemIn)
    ]
    outcomes: list[Outcome] = []
    if submissions and dry:
        outcomes = await usecases.rehearse(catalogue, service.pool, submissions, newcomers=newcomers)
    elif submissions:
        async with service.work() as work:
            outcomes = await usecases.receive(catalogue, work, submissions)
        usecases.count("http", outcomes)
    answers = iter(outcomes)
    items = [
        ReportItemOut(external_id=item.external_id, status="refused", problem=ItemProblem.of(item.refusal))
        if isinstance(item, Malformed)
        else _item(item.external_id, next(answers))
        for item in reports
    ]
    count = {status: sum(item.status == status for item in items) for status in ("accepted", "repeated", "refused")}
    return ReportsOut(items=items, **count)


@router.get("/v1/reports:waiting")
@allow(Company)
async def list_waiting(caller: Caller, conn: Reading, asked: Asked) -> Page[WaitingOut]:
    """The company's streamed reports that wait for their riders, by number: each is accepted when what its rider lacks
    has come, or becomes a dead letter when its time is over. What came over HTTP never waits.
    """
    found = await waiting.of_company(conn, caller.company_code, asked.after(str) or "", asked.rows)
    return asked.page(found, _waiting, lambda one: one.external_id)


@router.get("/v1/reports/{report_id}")
@allow(AnyOf(Company, Rider, CityOperator), refuses=(NOT_FOUND,))
async def read_report(report_id: UUID, caller: Caller, conn: Reading) -> ReportOut:
    """That a report was accepted: for its rider, its company and operators; to others it looks like none."""
    found = await usecases.find(conn, report_id)
    if found is None or not _may_read(caller, found):
        raise not_found("report")
    return ReportOut(
        report_id=found.report_id,
        external_id=found.external_id,
        company=found.company,
        rider_id=found.rider_id,
        kind=found.kind,
        received_at=found.received_at,
    )


def _may_read(caller: Principal, report: domain.AcceptedReport) -> bool:
    if caller.kind == "company":
        return report.source == caller.company_code
    return caller.has("operator") or caller.is_self(report.rider_id)


def _submission(body: ReportIn, caller: Principal, idempotency_key: str | None, stated: Stated) -> Submission:
    """Who says it comes from the credentials alone. Raises the 422 problem when a number is missing, as for any field
    that is."""
    given = body.external_id or idempotency_key
    if given is None:
        raise _missing("external_id")
    if idempotency_key not in (None, given):
        detail = "Idempotency-Key and external_id are two numbers for one report: send one of them"
        raise problems.EXTERNAL_ID_MISMATCH(detail, field="external_id")
    if caller.kind == "company":
        if body.rider is None:
            raise _missing("rider")
        source, number, company, rider_id = caller.company_code, given, caller.company_code, None
    else:
        if body.rider is not None:
            detail = "a rider is known by the token"
            raise problems.RIDER_NOT_ALLOWED(detail, field="rider")
        rider_id = caller.rider_id
        source, number, company = f"rider:{rider_id}", given, None
    place, event_id = body.place, stated.id_at(usecases.place_of(source))
    said = body.model_copy(update={"external_id": number})
    return Submission(
        source,
        number,
        company,
        body.rider,
        rider_id,
        body.kind,
        place.lng,
        place.lat,
        place.datum,
        place.accuracy_m,
        body.occurred_at,
        body.text,
        body.photos,
        stated.traceparent or current_traceparent(),
        event_id,
        content_of(event_id, said) if event_id is not None else None,
    )


def _missing(field: str) -> Refusal:
    return validation_refusal([{"type": "missing", "loc": ("body", field), "msg": "Field required"}])


def _waiting(one: waiting.Shown) -> WaitingOut:
    said = OutboundWaiting(code=one.code, detail=domain.lacking(one.code), until=one.until)
    return WaitingOut(external_id=one.external_id, waiting=said)


def _item(external_id: str, outcome: Outcome) -> ReportItemOut:
    if isinstance(outcome, Refusal):
        return ReportItemOut(external_id=external_id, status="refused", problem=ItemProblem.of(outcome))
    return ReportItemOut(
        external_id=external_id,
        status="accepted" if outcome.fresh else "repeated",
        report_id=outcome.report_id,
        received_at=outcome.received_at,
    )
