"""`beegrid outbox`: what waits for Kafka, and what Kafka refuses."""

from typing import Annotated, Any

import typer

from shared.cli.arguments import PREVIEW, Apply, Ids, OneService, Reason, Service
from shared.cli.client import Client, CliError, connect
from shared.cli.operations import check_all
from shared.cli.screen import Cells, Screen, folding, shown
from shared.provision.services import service_names

outbox_app = typer.Typer(
    help="待发布事件 / Events that are committed and not yet on Kafka", invoke_without_command=True
)
stuck_app = typer.Typer(help="Kafka 拒收的事件 / Events that Kafka refuses", invoke_without_command=True)
outbox_app.add_typer(stuck_app, name="stuck")
out = Screen()


@outbox_app.callback()
def outbox(context: typer.Context) -> None:
    """待发布事件 / Events that are committed and not yet on Kafka, and records not yet consumed, by service."""
    if context.invoked_subcommand is not None:
        return
    table = Cells("service", "outbox", "refused or behind", "lag", "by topic")
    for one in check_all(connect()):
        lags = one.status.get("lag_records", {})
        behind = ", ".join(f"{topic} {n}" for topic, n in sorted(lags.items()) if n)
        rows, held = (str(one.status.get(name, "?")) for name in ("outbox_rows", "outbox_held"))
        table.add_row(one.service, rows, held, str(one.lag), behind)
    out.print(table)


@stuck_app.callback()
def stuck(context: typer.Context) -> None:
    """Kafka 拒收的事件 / Events that Kafka refuses, and how many wait behind each."""
    if context.invoked_subcommand is None:
        list_stuck()


@stuck_app.command("list")
def list_stuck(service: OneService = "") -> None:
    """列出 / List them with the reason."""
    client = connect()
    found = [(name, one) for name in ([service] if service else service_names()) for one in _stuck(client, name)]
    if not found:
        out.print("[green]没有被拒收的事件 / Kafka refuses nothing[/green]")
        return
    out.print(_table(found))
    out.print("重试 / after repairing: beegrid outbox stuck retry … · 放弃 / give up: beegrid outbox stuck discard …")


@stuck_app.command("retry")
def retry(
    service: Service,
    reason: Reason,
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="全部 / all of the service")] = False,
    apply: Apply = False,
) -> None:
    """重试 / Have them sent at once, in their order, after the cause is repaired."""
    if not (ids or everything):
        raise CliError("重试哪些？/ Which ones?", "name ids, or --all", hint="`beegrid outbox stuck list`")
    client = connect()
    if not apply:
        _preview(client, service, ids)
        return
    done = client.post(f"/ops/{service}/outbox/stuck/retry", {"ids": ids or None, "reason": reason})
    out.print(
        f"已安排重试 / To be tried again: {done['retried']}; `beegrid outbox stuck list` shows what is still refused"
    )


@stuck_app.command("discard")
def discard(service: Service, reason: Reason, ids: Ids = None, apply: Apply = False) -> None:
    """放弃 / Give up a key's refused event, or all that wait for a topic now; what comes behind goes on."""
    if not ids:
        raise CliError("放弃哪些？/ Which ones?", "name ids", hint="`beegrid outbox stuck list`")
    client = connect()
    if not apply:
        _preview(client, service, ids)
        return
    done = client.post(f"/ops/{service}/outbox/stuck/discard", {"ids": ids, "reason": reason})
    out.print(f"已放弃的事件 / Events given up: {done['discarded']}")


def _stuck(client: Client, service: str) -> list[dict[str, Any]]:
    return client.rows(f"/ops/{service}/outbox/stuck", {"after": "id"})


def _preview(client: Client, service: str, ids: list[int] | None) -> None:
    found = [(service, one) for one in _stuck(client, service) if not ids or one["id"] in ids]
    out.print(_table(found))
    out.print(PREVIEW)
    if missing := sorted(set(ids or []) - {one["id"] for _, one in found}):
        out.print(f"[yellow]不存在或已发出 / not there any more: {shown(missing)}[/yellow]")


def _table(found: list[tuple[str, dict[str, Any]]]) -> Cells:
    table = folding("service", "id", "topic", "key", "reason", "events", "tries", "next try", "since")
    for service, one in found:
        table.add_row(
            service,
            str(one["id"]),
            one["topic"],
            "整个主题 / all" if one["key"] is None else one["key"][:40],
            f"{one['code']}: {one['detail'][:80]}",
            str(one["events"]),
            str(one["tries"]),
            (one["next_try_at"] or "等待人工 / yours")[:19],
            one["since"][:19],
        )
    return table
