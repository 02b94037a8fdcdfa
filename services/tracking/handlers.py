"""What the tracking service hears on Kafka."""

from collections.abc import Sequence

from services.tracking import usecases
from shared.catalog import Catalogue
from shared.events.account_changed import AccountChanged
from shared.events.case_changed import CaseChanged
from shared.events.report_received import ReportReceived
from shared.events.report_routed import ReportRouted
from shared.kit.work import Event, Work


async def on_report_received(work: Work, events: Sequence[Event[ReportReceived]]) -> None:
    """Reports were accepted."""
    await usecases.follow_reports(work, events)


async def on_report_routed(work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Reports found their grid, or couldn't."""
    await usecases.follow_routings(work, events)


async def on_case_changed(catalogue: Catalogue, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Cases took steps."""
    await usecases.follow_cases(work, catalogue, events)


async def on_account_changed(work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Points moved."""
    await usecases.follow_points(work, events)
