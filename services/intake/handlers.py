"""What the intake service hears on Kafka."""

from collections.abc import Sequence

from services.intake.usecases import photos, reports
from shared.catalog import Catalogue
from shared.events.case_changed import CaseChanged
from shared.events.inbound_reports import ReportSubmission
from shared.kit.work import Event, Work


async def on_report_submission(catalogue: Catalogue, work: Work, events: Sequence[Event[ReportSubmission]]) -> None:
    """Companies stream their riders' reports."""
    await reports.take_events(catalogue, work, events)


async def on_case_changed(work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Cases, as far as photos are of them."""
    await photos.follow_cases(work, events)
