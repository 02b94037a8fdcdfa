"""A report that has overtaken its rider, or a change of theirs, waits for minutes (ADR 71, 79)."""

from collections.abc import Sequence
from datetime import timedelta

from services.intake import domain, metrics, problems
from services.intake.domain import Submission, Waits
from services.intake.store import waiting as store
from services.intake.store.waiting import Waiting
from services.intake.usecases import refusals
from shared.events.inbound_reports import ReportSubmission
from shared.events.personal import number_mark
from shared.kit.messaging.headers import pack
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection
from shared.kit.refusals import Refusal

MEASURE_EVERY_S = 5.0
One = tuple[Event[ReportSubmission], Submission, Refusal]


async def wait(work: Work, waits: Waits, early: Sequence[One]) -> list[Refusal | None]:
    """Let reports wait that a change of their rider may put right, each given with its refusal for now; for each the
    reason why it can't, or None: it waits.

    The same report again waits with the first one. The bound is soft, as those of dead letters: each process may go
    over it by one batch.
    """
    kept = await store.by_company(work.conn)
    rows: list[Waiting] = []
    answers: list[Refusal | None] = []
    for event, one, refusal in early:
        company = one.source
        kept[company] = kept.get(company, 0) + 1
        answers.append(None if kept[company] <= waits.rows_max else _full(waits, refusal))
        if answers[-1] is None:
            rows.append(_row(work, waits, event, one, refusal))
    added = await store.add(work.conn, rows) if rows else set()
    refusals.say_waiting(work, [row for row in rows if row.event_id in added])
    repeated = {(row.company, row.external_id) for row in rows if row.event_id not in added}
    said = await store.said(work.conn, repeated) if repeated else {}
    for index, (event, one, _) in enumerate(early):
        if answers[index] is None and event.id not in added:
            before = said.get((one.source, one.external_id))
            if before is None or before.content_hash != domain.content_hash(one):
                answers[index] = other_content()
    metrics.WAITED.labels(outcome="began").inc(len(added))
    metrics.WAITED.labels(outcome="full").inc(len(early) - len(rows))
    return answers


def other_content() -> Refusal:
    """Why a number that waits or was accepted can't be used for something else."""
    detail = "external_id was accepted before with other content"
    return problems.IDEMPOTENCY_CONFLICT(detail, field="external_id")


async def measure(conn: Connection) -> None:
    """Show how many reports of each company wait."""
    metrics.WAITING.clear()
    for company, number in (await store.by_company(conn)).items():
        metrics.WAITING.labels(company=company).set(number)


def _full(waits: Waits, refusal: Refusal) -> Refusal:
    detail = f"{refusal.detail}, and {waits.rows_max} reports of the company wait for riders already"
    return problems.TOO_MANY_WAITING(detail, field="rider")


def _row(work: Work, waits: Waits, event: Event[ReportSubmission], one: Submission, refusal: Refusal) -> Waiting:
    record = event.record
    return Waiting(
        company=one.source, external_id=one.external_id, rider=one.rider or "",
        mark=number_mark(one.source, one.rider or ""), content_hash=domain.content_hash(one), event_id=event.id,
        topic=record.topic, partition=record.partition, record_offset=record.offset, record_ms=record.timestamp_ms,
        key=record.key, value=record.value, headers=pack(record.headers),
        until=work.now + timedelta(seconds=waits.seconds), code=refusal.code,
    )  # fmt: skip
