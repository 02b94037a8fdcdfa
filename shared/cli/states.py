"""`beegrid states`: publish a producer's states once more, where a topic that keeps them was lost or damaged."""

import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.cli import arguments
from shared.cli.client import Client, CliError, connect
from shared.cli.screen import Screen, folding, shown
from shared.kit import clock
from shared.provision.services import service_names

states_app = typer.Typer(
    help="重发状态 / States of topics that keep the latest per key, from the producer's tables",
    invoke_without_command=True,
)
out = Screen()
PAGE_ROWS = 200
# So many events may wait for Kafka; others' come behind them.
WAITING_MAX = 2_000
WAIT_S = 1.0
BUSY_TRIES = 60

Service = Annotated[str, typer.Argument(help="服务 / the topic's producer", callback=arguments.service)]
Topic = Annotated[str, typer.Argument(help="主题 / without the installation's prefix, as `beegrid states` shows it")]
Reason = Annotated[str, typer.Option(help="原因 / why; kept in the service's log")]
Rate = Annotated[int, typer.Option(min=1, max=100_000, help="每秒条数 / events a second at most")]


@states_app.callback()
def states(context: typer.Context) -> None:
    """可重发的主题 / The topics whose states can be published once more, and how many there are. Counts every row."""
    if context.invoked_subcommand is not None:
        return
    table = folding("service", "topic", "states", "tombstones")
    client = connect()
    for name in service_names():
        for one in client.get(f"/ops/{name}/states"):
            table.add_row(name, one["topic"], str(one["states"]), str(one["tombstones"]))
    out.print(table)


@states_app.command("publish")
def publish(
    service: Service,
    topic: Topic,
    reason: Reason = "",
    rate: Rate = 500,
    after: Annotated[str, typer.Option(help="从此键之后继续 / go on behind this key")] = "",
    apply: Annotated[
        bool, typer.Option("--apply", help="do it; without this only what would be done is shown")
    ] = False,
) -> None:
    """重发 / Publish every state of a topic once more, with its present version: readers that have it change nothing.

    Safe beside live traffic, and to run again.
    """
    client = connect()
    counted = _counted(client, service, topic)
    total = counted["states"] + counted["tombstones"]
    out.print(
        f"{shown(topic)}: {counted['states']} 状态 / states, {counted['tombstones']} 墓碑 / tombstones, "
        f"至少 / at least {total / rate:.0f} s ({rate}/s)"
    )
    if not apply:
        out.print("仅预览，加 --apply 执行 / only a preview: add --apply")
        return
    if len(reason) < 3:
        raise CliError("为什么？/ Why?", "--reason is kept in the service's log")
    publish_all(client, service, {"topic": topic, "reason": reason}, total, rate, after)


def publish_all(client: Client, service: str, asked: dict[str, str], total: int, rate: int, after: str) -> None:
    """Page by page, no faster than `rate` events a second and than Kafka takes them. Raises CliError, with how to go
    on.
    """
    states = tombstones = left_out = 0
    last: str | None = after
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("重发 / Publishing", total=total)
        try:
            while last is not None:
                began_s, after = clock.monotonic_s(), last
                page = _page(client, service, {**asked, "after": after, "most": min(PAGE_ROWS, rate)})
                said, last = page["states"] + page["tombstones"], page["last"]
                states, tombstones = states + page["states"], tombstones + page["tombstones"]
                left_out += page["left_out"]
                progress.advance(task, said)
                time.sleep(max(0.0, said / rate - (clock.monotonic_s() - began_s)))
                _let_leave(client, service, page["outbox_rows"])
        except (CliError, KeyboardInterrupt):
            # a key is one of the service's own, and still nothing but text
            out.print(f"中断；继续 / broken off; go on with: --after {shown(repr(after))}")
            raise
    out.print(f"[green]已重发 / Published[/green]: {states} states, {tombstones} tombstones; `beegrid outbox`")
    if left_out:
        out.print(f"[yellow]无法重建 / no state can be made of[/yellow] {left_out}: docs/runbooks/StatesLost.md")


def _counted(client: Client, service: str, topic: str) -> dict[str, Any]:
    found = {one["topic"]: one for one in client.get(f"/ops/{service}/states")}
    if topic not in found:
        hint = f"{service} has {', '.join(found)}" if found else f"{service} has none: `beegrid states`"
        raise CliError("没有可重发的主题 / No topic whose states are published", repr(topic), hint=hint)
    return dict(found[topic])


def _page(client: Client, service: str, asked: dict[str, Any]) -> dict[str, Any]:
    """One page; asked for again while the service has too much to do."""
    for _ in range(BUSY_TRIES):
        try:
            return dict(client.post(f"/ops/{service}/states/publish", asked))
        except CliError as error:
            if error.status != 503:
                raise
            time.sleep(5 * WAIT_S)
    return dict(client.post(f"/ops/{service}/states/publish", asked))


def _let_leave(client: Client, service: str, waiting: int) -> None:
    """Until Kafka has taken most of what waits."""
    while waiting > WAITING_MAX:
        time.sleep(WAIT_S)
        waiting = client.get(f"/ops/{service}/status")["outbox_rows"]
