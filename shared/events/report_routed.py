"""A report was routed to a grid, or could not be."""

from typing import Literal

from pydantic import Field

from shared.events.common import AreaCode, Plain, ReportFacts
from shared.events.topic import Audience, Topic

OUTSIDE_EVERY_GRID = "outside_every_grid"
"""The reason where the place lies in no grid of the map."""


class ReportRouted(ReportFacts):
    """Where a report belongs. `routed` has a grid; `unroutable` waits in the manual queue and is published again."""

    outcome: Literal["routed", "unroutable"]
    reason: Plain | None = Field(None, description="why it could not be routed")
    grid_code: AreaCode | None = None
    grid_name: Plain | None = None
    area_path: tuple[AreaCode, ...] = Field((), description="codes from district down to community")
    alternatives: tuple[AreaCode, ...] = Field(
        (), description="other grids inside the accuracy circle: the place is ambiguous, first claim wins"
    )
    department: Plain | None = Field(None, description="code of the responsible department")


REPORT_ROUTED = Topic(
    name="routing.report-routed.v1",
    model=ReportRouted,
    key="report_id",
    producer="routing",
    consumers=("cases", "screening", "tracking"),
    audience=Audience.INTERNAL,
    journey="report",
    step=3,
    summary="The report's grid and department are known.",
)
