"""What the cases service hears on Kafka."""

from collections.abc import Sequence

from services.cases import usecases
from shared.events.report_routed import ReportRouted
from shared.kit.work import Event, Work


async def on_report_routed(rules: usecases.Rules, work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Reports found their grid."""
    await usecases.take_routed_reports(work, rules, events)
