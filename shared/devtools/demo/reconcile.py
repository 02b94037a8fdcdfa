"""The reconciliation: what each hop counted must be what the hop before it counted."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.devtools.demo.live import Figures
from shared.synthetic.reports import Sent


@dataclass(frozen=True)
class Line:
    """One equation of the reconciliation."""

    what: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether both sides are equal."""
        return self.left == self.right


def lines(sent: Sent, http_refused: int, figures: Figures) -> list[Line]:
    """All equations; every one must hold."""

    def of(service: str, *names: str) -> int:
        return sum(figures.tally(service, name) for name in names)

    accepted = of("intake", "accepted")
    letters = figures.letters("rejected") + figures.letters("dead")
    routed = of("routing", "routed")
    credited = of("points", "posted") - of("points", "reversed")
    return [
        Line("应受理 = 受理 / sent as good = accepted", sent.accepted, accepted),
        Line(
            "应退回 = 退回 + 待骑手同意 / sent as bad = refused + waiting for consent",
            sent.refused, http_refused + letters + of("intake", "waiting"),
        ),
        Line("受理 = 分派 + 待人工 / accepted = routed + unroutable", accepted, of("routing", "routed", "unroutable")),
        Line("受理 = 进度 / accepted = tracked", accepted, of("tracking", "received")),
        Line("分派 = 进入案件 / routed = in cases", routed, of("cases", "reports")),
        Line("案件 = 结案 + 无效 / cases = closed + invalid", of("cases", "cases"), of("cases", "closed", "invalid")),
        Line("步骤 = 公开步骤 / case steps = public steps", of("cases", "steps"), of("tracking", "case_steps")),
        Line("进入案件 = 记账 / in cases = in the ledger", of("cases", "reports"), of("points", "reports")),
        Line("冻结 = 未用的券 / reserved = open vouchers", of("points", "reserved"), of("rewards", "points_held")),
        Line("账本总和 = 0 / ledger sum = 0", of("points", "ledger_sum"), 0),
        Line("余额 = 分录 / balances = entries", of("points", "imbalance"), 0),
        Line("库存 = 余 + 占 + 售 / stock", of("rewards", "stock_total"), of("rewards", "free", "held", "sold")),
        Line("售出积分 = 账本 / gifts' points = ledger", of("rewards", "points_spent"), of("points", "redeemed")),
        Line("徽章积分 = 入账 - 冲回 / badges' points = posted - reversed", of("badges", "points"), credited),
        Line("发件箱 = 0 / outboxes = 0", figures.outbox, 0),
        Line("滞后 = 0 / lag = 0", figures.lag, 0),
        Line("搁置 = 0 / parked = 0", figures.letters("parked"), 0),
    ]  # fmt: skip


def show(found: list[Line], hops: list[dict[str, Any]], console: Console) -> bool:
    """Print the equations and the time of each hop; True when all hold."""
    table = Table(title="对账 / reconciliation", title_justify="left")
    table.add_column("应相等 / must be equal")
    table.add_column("左 / left", justify="right")
    table.add_column("右 / right", justify="right")
    table.add_column("")
    for line in found:
        table.add_row(line.what, f"{line.left:,}", f"{line.right:,}", "[green]✓" if line.holds else "[red bold]✗")
    console.print(table)
    times = Table(title="每一跳的时间 / time of each hop", title_justify="left")
    for title in ("hop", "reports", "p50 ms", "p99 ms"):
        times.add_column(title, justify="left" if title == "hop" else "right")
    for hop in hops:
        p50, p99 = (f"{hop[name]:,.0f}" if hop[name] is not None else "–" for name in ("p50_ms", "p99_ms"))
        times.add_row(hop["hop"], f"{hop['reports']:,}", p50, p99)
    console.print(times)
    return all(line.holds for line in found)
