"""Valid events with times of one's own choice, as raw records: what a suite that was late would have published."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport, CaseState, CaseTransition
from shared.events.envelope import Envelope, to_headers
from shared.events.report_received import ReportReceived
from shared.events.topic import Topic
from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from tests.promises.support.kafka import Raw

COMPANY = "suda"
KIND = "part-01001"


def event(topic: Topic[Any], body: Any, at: datetime | None = None, version: int = 1) -> Raw:
    """An event of its key, the first if not said otherwise, `at` that time or now."""
    key = topic.key_of(body)
    envelope = Envelope(new_id(), topic.name, f"/beegrid/{topic.producer}", key, version, at or clock.now())
    return Raw(topic.name, key, body.model_dump_json().encode(), tuple(to_headers(envelope)))


def received(place: tuple[float, float] | None = None, ago: timedelta = timedelta()) -> ReportReceived:
    """A report accepted some time ago, in some grid or at a place (lng, lat)."""
    report_id, at = new_id(), clock.now() - ago
    middle = grids()[report_id.int % len(grids())].polygon.representative_point()
    lng, lat = place or (middle.x, middle.y)
    return ReportReceived(
        report_id=report_id,
        rider_id=new_id(),
        company=COMPANY,
        external_id=str(report_id),
        kind=KIND,
        level="hazard",
        lng=lng,
        lat=lat,
        accuracy_m=5,
        text="",
        occurred_at=at,
        received_at=at,
    )


def points_moved(ago: timedelta = timedelta()) -> Raw:
    """Points held for a report that was accepted some time ago, which its id says."""
    at_ms = int((clock.now() - ago).timestamp() * 1000)
    report_id = UUID(int=(at_ms << 80) | (new_id().int & ((1 << 80) - 1)))
    body = AccountChanged(
        rider_id=new_id(),
        entry_id=new_id(),
        movement="held",
        source="report",
        source_id=report_id,
        case_id=new_id(),
        grid_code="330114000000001",
        amount=10,
        pending=10,
        available=0,
        changed_at=clock.now(),
    )
    return event(ACCOUNT_CHANGED, body)


def closed_case(ago: timedelta = timedelta()) -> list[Raw]:
    """A case with one report that was opened and closed some time ago."""
    at, case_id = clock.now() - ago, new_id()
    report = CaseReport(report_id=new_id(), rider_id=new_id(), company=COMPANY, ordinal=1)

    def step(version: int, transition: CaseTransition, state: CaseState, brought: CaseReport | None) -> Raw:
        body = CaseChanged(
            case_id=case_id,
            state=state,
            transition=transition,
            kind=KIND,
            level="hazard",
            grid_code="330114000000001",
            department=None,
            lng=120.4,
            lat=30.3,
            report=brought,
            report_count=1,
            changed_at=at,
            opened_at=at,
            due_at=at + timedelta(days=1),
        )
        return event(CASE_CHANGED, body, version=version)

    return [step(1, "opened", "open", report), step(2, "closed", "closed", None)]
