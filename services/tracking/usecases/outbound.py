"""What companies hear of their reports on their own topics (ADR 70), and read of them in the export."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from services.tracking import metrics
from services.tracking.domain import stage_of
from services.tracking.store import outbound as store
from services.tracking.store.outbound import CROWDED_VERSION, Known
from shared.events.case_changed import CaseChanged
from shared.events.outbound_reports import (
    OUTBOUND_REPORTS,
    OutboundRefusal,
    OutboundReport,
    OutboundWaiting,
    PointsState,
)
from shared.events.report_refused import ReportRefused
from shared.kit.messaging.work import Event, Work

REPORTS_AT_ONCE = 500
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_POINTS = frozenset(get_args(PointsState))


async def follow_refusals(work: Work, events: Sequence[Event[ReportRefused]]) -> None:
    """Pass on why companies' records are no reports, or none yet. They are of no report, so they have no version."""
    for event in events:
        said = event.data
        body = _refused(said) if said.waits_until is None else _waiting(said, said.waits_until)
        work.publish(OUTBOUND_REPORTS, body, version=0, cause=event, occurred_at=said.refused_at, company=said.company)
        metrics.OUTBOUND.labels(stage=body.stage).inc()


async def note_steps(work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """A step that brings a report concerns that one, any other all reports of its case. After the steps are kept."""
    await store.due(work.conn, {event.data.report.report_id for event in events if event.data.report is not None})
    others = [event for event in events if event.data.report is None]
    crowded = {event.data.case_id for event in others if event.version > CROWDED_VERSION}
    await store.due_of_cases(work.conn, {event.data.case_id for event in others} - crowded, crowded)


async def publish_changes(work: Work) -> int:
    """Say what is known of reports of which something has changed; how many were looked at."""
    if not await store.my_turn(work.conn):
        return 0
    due = await store.take_due(work.conn, REPORTS_AT_ONCE)
    crowd = await store.take_crowd(work.conn, REPORTS_AT_ONCE)
    reports = {*due, *crowd}
    for one in await store.known(work.conn, reports) if reports else ():
        body = body_of(one)
        work.publish(OUTBOUND_REPORTS, body, version=one.version, occurred_at=body.changed_at, company=one.company)
        metrics.OUTBOUND.labels(stage=body.stage).inc()
    return len(reports)


def body_of(one: Known) -> OutboundReport:
    """What is known of a report, as its company hears it."""
    times = one.received_at, one.routed_at, one.case_changed_at, one.moved_at
    return OutboundReport.model_validate(
        {
            "external_id": one.external_id,
            "stage": stage_of(one.case_id is not None, one.outcome, one.routing_reason),
            "report_id": one.report_id,
            "received_at": one.received_at,
            "routing": _routing(one),
            "case": _case(one),
            "points": _points(one),
            "changed_at": max(at for at in times if at is not None),
        }
    )


def _refused(said: ReportRefused) -> OutboundReport:
    refusal = OutboundRefusal(code=said.code, detail=said.detail)
    return OutboundReport(external_id=said.external_id, stage="refused", refusal=refusal, changed_at=said.refused_at)


def _waiting(said: ReportRefused, until: datetime) -> OutboundReport:
    waiting = OutboundWaiting(code=said.code, detail=said.detail, until=until)
    return OutboundReport(external_id=said.external_id, stage="waiting", waiting=waiting, changed_at=said.refused_at)


def _routing(one: Known) -> dict[str, Any] | None:
    if one.routed_at is None:
        return None
    return {
        "grid_code": one.grid_code,
        "grid_name": one.grid_name,
        "department": one.department,
        "reason": one.routing_reason,
        "routed_at": one.routed_at,
    }


def _case(one: Known) -> dict[str, Any] | None:
    if one.case_id is None:
        return None
    return {
        "case_id": one.case_id,
        "state": one.case_state,
        "grid_code": one.case_grid_code,
        "department": one.case_department,
        "due_at": one.due_at,
        "changed_at": one.case_changed_at,
    }


def _points(one: Known) -> dict[str, Any] | None:
    if one.movement not in _POINTS:
        return None
    # an operator's own words are for the rider
    reason = one.points_reason if one.points_reason and _CODE.fullmatch(one.points_reason) else None
    return {"state": one.movement, "amount": one.amount, "reason": reason, "changed_at": one.moved_at}
