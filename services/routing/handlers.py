"""Kafka in."""

from collections.abc import Sequence

from services.routing.usecases import reports
from services.routing.usecases.current_map import CurrentMap
from shared.catalog import Catalogue
from shared.events.report_received import ReportReceived
from shared.kit.work import Event, Work


async def on_report_received(
    areas: CurrentMap, catalogue: Catalogue, work: Work, events: Sequence[Event[ReportReceived]]
) -> None:
    """Every report goes to a grid, or to the manual queue."""
    await reports.route_reports(reports.Router(areas.value, catalogue), work, events)
