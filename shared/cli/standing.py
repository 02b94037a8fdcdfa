"""`beegrid standing`: topics that a service stands still on, since too many of their records failed alike."""

from typing import Annotated, Any

import typer

from shared.cli.arguments import PREVIEW, Apply, OneService, Reason, Service
from shared.cli.client import connect
from shared.cli.screen import Cells, Screen, folding, shown
from shared.provision.services import service_names

standing_app = typer.Typer(
    help="停住的主题 / Topics that stand still: too many records failed alike", invoke_without_command=True
)
out = Screen()

Topic = Annotated[str, typer.Argument(help="主题 / the topic, without prefix, as `standing list` shows it")]


@standing_app.callback()
def standing(context: typer.Context) -> None:
    """停住的主题 / Topics that stand still: too many records failed alike."""
    if context.invoked_subcommand is None:
        list_standing()


@standing_app.command("list")
def list_standing(service: OneService = "") -> None:
    """列出 / List them with the reason."""
    client = connect()
    names = [service] if service else service_names()
    found = [(name, one) for name in names for one in client.get(f"/ops/{name}/standing")]
    if not found:
        out.print("[green]没有停住的主题 / No topic stands still[/green]")
        return
    out.print(_table(found))
    out.print("修复后自动继续 / a fixed release goes on by itself")
    out.print(
        "仍要放入死信 / bury on: beegrid standing bury … · 从零计数 / count from nothing: beegrid standing retry …"
    )


@standing_app.command("bury")
def bury(
    service: Service,
    topic: Topic,
    letters: Annotated[int, typer.Option(min=1, help="条数 / how many letters more, within a day")],
    reason: Reason,
    cause: Annotated[str, typer.Option(help="only for this reason, as `standing list` shows it")] = "",
    apply: Apply = False,
) -> None:
    """继续放入死信 / Go on: let so many records more become dead letters, because they are what is wrong."""
    if not apply:
        _preview(service, topic)
        return
    body = {"topic": topic, "cause": cause or None, "letters": letters, "reason": reason}
    if _concerns(connect().post(f"/ops/{service}/standing/bury", body), topic):
        out.print(f"可再放入 {letters} 条 / {letters} more may be buried; it goes on within half a minute")


@standing_app.command("retry")
def retry(service: Service, topic: Topic, reason: Reason, apply: Apply = False) -> None:
    """从零计数 / Count its letters from nothing, after the fault has gone: it has a whole allowance."""
    if not apply:
        _preview(service, topic)
        return
    if _concerns(connect().post(f"/ops/{service}/standing/retry", {"topic": topic, "reason": reason}), topic):
        out.print("已重新计数 / Counted from nothing; it is tried within half a minute")


def _concerns(answer: dict[str, Any], topic: str) -> bool:
    """Whether there was something to change; says so where not."""
    if not answer["causes"]:
        out.print(f"[yellow]{shown(topic)} 没有停住 / doesn't stand still[/yellow]: `beegrid standing list`")
    return bool(answer["causes"])


def _preview(service: str, topic: str) -> None:
    found = [(service, one) for one in connect().get(f"/ops/{service}/standing") if one["topic"] == topic]
    out.print(_table(found))
    out.print(PREVIEW)


def _table(found: list[tuple[str, dict[str, Any]]]) -> Cells:
    table = folding("service", "topic", "reason", "letters", "granted", "since", "last try")
    for service, one in found:
        table.add_row(
            service,
            one["topic"],
            one["cause"],
            f"{one['used']:.0f}",
            str(one["granted"]),
            one["stands_since"][:19],
            one["stood_at"][:19],
        )
    return table
