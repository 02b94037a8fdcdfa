"""What the demo shows while it runs: every service's own figures, asked every second."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.kit import clock
from shared.synthetic.door import Door

LOOK_EVERY_S = 3.0
SAY_EVERY_S = 15.0


@dataclass
class Figures:
    """Every service's status as it says itself."""

    status: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tally(self, service: str, name: str) -> int:
        """One figure; 0 while it isn't known."""
        return int(self.status.get(service, {}).get("tallies", {}).get(name, 0))

    @property
    def lag(self) -> int:
        """Records not yet consumed, in the whole suite."""
        return sum(sum(s["lag_records"].values()) for s in self.status.values())

    @property
    def outbox(self) -> int:
        """Events not yet on Kafka, in the whole suite."""
        return sum(s["outbox_rows"] for s in self.status.values())

    def letters(self, status: str) -> int:
        """Open dead letters of one status: dead, parked or rejected."""
        found = (s["dead_letters"] for s in self.status.values())
        return sum(n for letters in found for name, n in letters.items() if name.endswith(f" {status}"))


async def look(door: Door) -> Figures:
    """Ask all services at once."""
    names = door.target.services
    answers = await asyncio.gather(*(door.get(f"/ops/{name}/status") for name in names))
    return Figures(dict(zip(names, answers, strict=True)))


class Board:
    """The live picture: a bar for what was sent and one for each stage behind it."""

    STAGES = (
        ("送出 / sent", "sent"),
        ("受理 / accepted", "accepted"),
        ("分派到网格 / routed", "routed"),
        ("案件办结 / cases closed", "closed"),
        ("积分已到账 / points posted", "posted"),
    )

    def __init__(self, console: Console, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<42}"), BarColumn(bar_width=36), TextColumn("{task.completed:>7,.0f}"),
            TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._bars: dict[str, TaskID] = {key: self._progress.add_task(title, total=total) for title, key in self.STAGES}
        self._figures = Figures()
        self._live = Live(self._render(), console=console, refresh_per_second=4, transient=False)
        self._console = console
        self._said_s = clock.monotonic_s()

    def __enter__(self) -> "Board":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self._render(), refresh=True)
        self._live.stop()

    def sent(self, count: int) -> None:
        """How many reports have left the companies."""
        self._progress.update(self._bars["sent"], completed=count)

    def show(self, figures: Figures) -> None:
        """New figures."""
        self._figures = figures
        tally = figures.tally
        done = {
            "accepted": tally("intake", "accepted"),
            "routed": tally("routing", "routed"),
            "closed": tally("cases", "closed"),
            "posted": tally("tracking", "posted"),
        }
        for key, completed in done.items():
            self._progress.update(self._bars[key], completed=completed)
        self._live.update(self._render())
        if not self._console.is_terminal and clock.monotonic_s() > self._said_s + SAY_EVERY_S:
            # a live picture is invisible in a file or a CI log
            self._said_s = clock.monotonic_s()
            self._console.print(", ".join(f"{key} {count:,}" for key, count in done.items()), highlight=False)

    def _render(self) -> Group:
        figures = self._figures
        row = Table.grid(padding=(0, 3))
        row.add_row(
            f"滞后 / lag [cyan]{figures.lag:,}[/]",
            f"发件箱 / outbox [cyan]{figures.outbox:,}[/]",
            f"积分 / points posted [green]{figures.tally('points', 'posted'):,}[/]",
            f"不可分派 / unroutable [yellow]{figures.tally('routing', 'unroutable'):,}[/]",
            f"退回 / refused [yellow]{figures.letters('rejected'):,}[/]",
            f"死信 / dead [red]{figures.letters('dead'):,}[/]",
        )
        return Group(self._progress, row)
