"""Panels of the dashboards: one function a kind, so that all look alike. Titles are Chinese first, with English."""

from collections.abc import Sequence
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH = 24
Query = tuple[str, str]
"""PromQL and legend."""
AnyPanel = timeseries.Panel | stat.Panel


def _targets(queries: Sequence[Query], instant: bool = False) -> list[prometheus.Dataquery]:
    found = []
    for number, (expr, legend) in enumerate(queries):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + number))
        found.append(query.instant() if instant else query.range())
    return found


def graph(
    title: str, unit: str, *queries: Query, span: int = 8, limit: float | None = None, stacked: bool = False
) -> timeseries.Panel:
    """A graph over time; `limit` is drawn as a red line. Units are Grafana's: s, ops, short, percentunit, bytes."""
    panel = (
        timeseries.Panel()
        .title(title)
        .unit(unit)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .min(0)
        .line_width(1)
        .fill_opacity(60 if stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )
    for target in _targets(queries):
        panel = panel.with_target(target)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if limit is not None:
        panel = panel.thresholds(_steps(limit)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
        )
    return panel


def figure(title: str, unit: str, expr: str, *, bad_from: float | None = None, span: int = 4) -> stat.Panel:
    """One number; red from `bad_from` on."""
    panel = stat.Panel().title(title).unit(unit).datasource(SOURCE).span(span).height(4)
    panel = panel.color_mode(common_models.BigValueColorMode.VALUE).no_value("–")
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if bad_from is not None:
        panel = panel.thresholds(_steps(bad_from))
    for target in _targets([(expr, "")], instant=True):
        panel = panel.with_target(target)
    return panel


def _steps(bad_from: float) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(value=None, color="green"), models.Threshold(value=bad_from, color="red")]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def page(uid: str, title: str, description: str, rows: Sequence[tuple[str, Sequence[AnyPanel]]]) -> models.Dashboard:
    """A dashboard of titled rows; panels flow from left to right."""
    builder = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["beegrid"])
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .readonly()
        .link(_others())
    )
    numbers = count(1)
    for row_title, panels in rows:
        builder = builder.with_row(dashboard.Row(row_title).id(next(numbers)))
        for panel in panels:
            builder = builder.with_panel(panel.id(next(numbers)))
    return builder.build()


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("BeeGrid").type(models.DashboardLinkType.DASHBOARDS)
    return link.tags(["beegrid"]).as_dropdown(True)


def quantile(q: float, metric: str, selector: str, by: str = "") -> str:
    """PromQL of a histogram's quantile over five minutes."""
    labels = f"le,{by}" if by else "le"
    chosen = f"{{{selector}}}" if selector else ""
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{chosen}[5m])))"


def rates(metric: str, by: str, selector: str = "", window: str = "5m") -> Query:
    """A counter's rate by labels, comma-separated, which are also its legend."""
    chosen = f"{{{selector}}}" if selector else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return f"sum by ({by}) (rate({metric}{chosen}[{window}]))", legend


def times(metric: str) -> tuple[Query, Query]:
    """Median and 99th percentile of a histogram."""
    return (quantile(0.5, metric, ""), "p50"), (quantile(0.99, metric, ""), "p99")
