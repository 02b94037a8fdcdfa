"""What the intake service hears on Kafka."""

from collections.abc import Sequence

from services.intake.usecases import photos, projections, reports
from shared.catalog import Catalogue
from shared.events.case_changed import CaseChanged
from shared.events.company_changed import CompanyChanged
from shared.events.inbound_reports import ReportSubmission
from shared.events.rider_changed import RiderChanged
from shared.kit.work import Event, Gone, Work


async def on_report_submission(catalogue: Catalogue, work: Work, events: Sequence[Event[ReportSubmission]]) -> None:
    """Companies stream their riders' reports."""
    await reports.take_events(catalogue, work, events)


async def on_case_changed(work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Cases, as far as photos are of them."""
    await photos.follow_cases(work, events)


async def on_company_changed(work: Work, events: Sequence[Event[CompanyChanged]]) -> None:
    """Companies, whether they may report, and their signing keys."""
    await projections.follow_companies(work, events)


async def on_rider_changed(work: Work, events: Sequence[Event[RiderChanged]]) -> None:
    """Riders, whether they may report, and their consent."""
    await projections.follow_riders(work, events)


async def on_rider_gone(work: Work, gone: Sequence[Gone]) -> None:
    """Riders who are no more."""
    await projections.retire_riders(work, gone)
