"""`beegrid doctor`, `deadletters`: is everything well, and what to do where it isn't."""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from shared.cli.arguments import PREVIEW, Apply, Ids, OneService, Reason, Service
from shared.cli.client import ROWS_MAX, Client, CliError, connect, find_suite
from shared.cli.screen import Cells, Screen, folding, shown
from shared.kit.letters.letter_limit import STANDS
from shared.provision.services import service_names

deadletters_app = typer.Typer(help="死信 / Records that could not take effect", no_args_is_help=True)
out = Screen()
RANGES_AFTER = {"after_topic": "topic", "after_partition": "partition"}
# What to do about what readiness complains of, by its name; topics' names have dots.
_STEPS = {
    "postgres": "Postgres is away or refuses the service's role: look at the server, then the service's log",
    "kafka": "the broker is away or refuses the service's user: look at the broker, then the service's log",
    "seals": "companies can't be served: was a sealing key dropped too early, or are these another suite's data? Add "
    "the former key to the end of BEEGRID_SEALING_KEY",
    "relay": "its events don't leave: is the broker reachable? They wait in the outbox and go on by themselves",
    "process": "it is shutting down: run doctor again in a moment",
}
# Such a letter can't be replayed; in place of its content stands why it has none.
_NO_CONTENT = {
    "left_out": "(无内容:过多 / no content: too many)",
    "erased": "(无内容:骑手已删除 / no content: rider erased)",
    "expired": "(无内容:已过期 / no content: expired)",
}


@dataclass
class Health:
    """One service as seen from the front door. `problems` by name; `status` {} where it could not be asked."""

    service: str
    problems: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def dead(self) -> int:
        """Open dead letters, refused and parked ones included."""
        return sum(self.status.get("dead_letters", {}).values())

    @property
    def lag(self) -> int:
        """Records not yet consumed."""
        return sum(self.status.get("lag_records", {}).values())

    @property
    def steps(self) -> list[str]:
        """What to do next, one line a problem."""
        steps = []
        for name, problem in self.problems.items():
            what = _STEPS.get(name, "its consumer stands still: look at the service's log, then restart the service")
            if problem.startswith(STANDS):
                what = "Roll out a fixed release, it goes on by itself; or `beegrid standing`"
            steps.append(f"{self.service}: {name}: {problem}. {what if name != 'answer' else ''}".strip())
        if self.dead:
            steps.append(
                f"{self.service}: {self.dead} dead letter(s): `beegrid deadletters list --service {self.service}`"
            )
        if held := self.status.get("outbox_held", 0):
            steps.append(f"{self.service}: {held} events that Kafka refuses or behind such: `beegrid outbox stuck`")
        if (rows := self.status.get("outbox_rows", 0)) > 1_000:
            steps.append(f"{self.service}: {rows} events wait for Kafka: is the broker reachable, does a relay lead?")
        return steps


def check(client: Client, service: str) -> Health:
    """Ask one service through the front door."""
    health = Health(service)
    try:
        health.problems = client.get(f"/ops/{service}/readyz") or {}
        health.status = client.get(f"/ops/{service}/status")
        # what readiness leaves out on purpose, since requests can be taken without it
        health.problems |= health.status.get("problems", {})
        if unknown := client.get(f"/ops/{service}/keys")["unknown"]:
            health.problems["seals"] = f"{unknown} sealed secret(s) that no sealing key opens"
    except CliError as error:
        health.problems["answer"] = f"{error} — {error.hint}"
    return health


def check_all(client: Client) -> list[Health]:
    """Ask all services side by side."""
    with ThreadPoolExecutor(max_workers=8) as threads:
        return list(threads.map(lambda service: check(client, service), service_names()))


def doctor() -> None:
    """体检 / Is every service ready? Exit status 0 only then; each problem with what to do next."""
    found = check_all(connect())
    for name, address in silent_servers(find_suite().facts):
        out.print(f"[red]{name} 没有应答 / nobody listens at {shown(address)}[/red]: look at that server first")
    if all("answer" in one.problems for one in found):
        raise CliError("没有服务应答 / No service answers", found[0].problems["answer"])
    table = Cells("service", "ready", "outbox", "lag", "dead letters")
    for one in found:
        ready = Text("no", style="red") if one.problems else Text("yes", style="green")
        asked = bool(one.status)
        table.add_row(
            one.service,
            ready,
            str(one.status.get("outbox_rows", "?")),
            str(one.lag) if asked else "?",
            str(one.dead) if asked else "?",
        )
    out.print(table)
    for step in (step for one in found for step in one.steps):
        out.print(f"• {step}", soft_wrap=True, highlight=False, markup=False)
    if any(one.problems for one in found):
        out.print("[red]有服务未就绪 / Not everything is ready[/red]")
        raise typer.Exit(1)
    out.print("[green]全部就绪 / Everything is ready[/green]")
    if any(one.dead for one in found):
        out.print("[yellow]尚有死信，见上 / Dead letters wait, see above[/yellow]")


def silent_servers(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, address) of the suite's servers that don't take connections, as far as their addresses are known here."""
    known = {"Kafka": str(facts.get("kafka_bootstrap", "")), "Postgres": str(facts.get("postgres_admin_url", ""))}
    silent = []
    for name, address in known.items():
        place = urlsplit(address if "//" in address else f"//{address}")
        if place.hostname is None or place.port is None:
            continue
        try:
            socket.create_connection((place.hostname, place.port), timeout=2).close()
        except OSError:
            silent.append((name, f"{place.hostname}:{place.port}"))
    return silent


@deadletters_app.command("list")
def list_letters(
    service: OneService = "",
    topic: Annotated[str, typer.Option(help="only of this topic, without prefix")] = "",
) -> None:
    """列出死信 / List open dead letters with the reason."""
    client = connect()
    table = folding("service", "id", "topic", "key", "status", "reason", "since")
    counted = folding("service", "topic", "partition", "offsets", "records", "last reason", "last at")
    for name in [service] if service else service_names():
        for one in _letters(client, name, topic):
            since = one["created_at"][:19]
            table.add_row(name, str(one["id"]), one["topic"], one["key"][:40], one["status"], _reason(one), since)
        for one in client.rows(f"/ops/{name}/dead-letter-ranges", RANGES_AFTER):
            if topic in ("", one["topic"]):
                offsets, place = f"{one['first_offset']}–{one['last_offset']}", str(one["partition"])
                counted.add_row(
                    name, one["topic"], place, offsets, str(one["records"]), one["code"], one["last_at"][:19]
                )
    if counted.row_count:
        out.print(
            "[yellow]以下记录过多，仅计数 / So many that they are only counted; what is left out stands there[/yellow]"
        )
        out.print(counted)
    if not table.row_count:
        out.print("[green]没有死信 / No dead letters[/green]")
        return
    out.print(table)
    out.print("查看 / look: beegrid deadletters show SERVICE ID · 重放 / after repairing: beegrid deadletters replay …")


@deadletters_app.command("show")
def show(service: Service, letter_id: Annotated[int, typer.Argument(help="编号 / id")]) -> None:
    """查看一条 / One letter with its content, which may be personal."""
    found = connect().get(f"/ops/{service}/dead-letters/{letter_id}")
    if not found:
        raise CliError(
            "没有这条死信 / No such open letter", f"{service} {letter_id}", hint="`beegrid deadletters list`"
        )
    for name, value in found[0].items():
        if name != "headers":
            out.print(f"[bold]{name}[/bold]", end=" ")
            out.print(str(value), markup=False, highlight=False, soft_wrap=True)
    for name, value in found[0]["headers"]:
        out.print(f"  {name}: {value}", markup=False, highlight=False, soft_wrap=True)


@deadletters_app.command("replay")
def replay(
    service: Service,
    reason: Reason,
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="全部 / all open letters")] = False,
    topic: Annotated[str, typer.Option(help="all of this topic, without prefix")] = "",
    apply: Apply = False,
) -> None:
    """重放 / Let letters take effect once the cause is gone. A key's letters are replayed together and in order."""
    if not (ids or everything or topic):
        raise CliError("重放哪些？/ Which ones?", "name ids, or --topic, or --all", hint="`beegrid deadletters list`")
    client = connect()
    if not apply:
        _preview(client, service, ids or None, topic)
        return
    body = {"ids": ids or None, "topic": topic or None, "reason": reason}
    outcomes = client.post(f"/ops/{service}/dead-letters/replay", body)
    table = Cells("topic", "key", "letters", "done", "detail")
    for one in outcomes:
        done = Text("yes", style="green") if one["done"] else Text("no", style="red")
        table.add_row(one["topic"], one["key"][:40], str(len(one["ids"])), done, one["detail"][:100])
    out.print(table)
    if not all(one["done"] for one in outcomes):
        out.print("[red]部分仍失败 / Some still fail: the detail says why[/red]")
        raise typer.Exit(1)


@deadletters_app.command("discard")
def discard(
    service: Service,
    reason: Reason,
    ids: Ids = None,
    without_content: Annotated[str, typer.Option(help="all of this topic that have no content, without prefix")] = "",
    apply: Apply = False,
) -> None:
    """放弃 / Give letters up for good; their keys' successors go on."""
    if bool(ids) == bool(without_content):
        raise CliError(
            "放弃哪些？/ Which ones?", "name ids, or --without-content TOPIC", hint="`beegrid deadletters list`"
        )
    client = connect()
    if without_content:
        ids = [one["id"] for one in _letters(client, service, without_content) if one["content"] != "kept"]
    ids = sorted(set(ids or ()))
    if not apply:
        _preview(client, service, ids, without_content)
        return
    done = 0
    for at in range(0, len(ids), ROWS_MAX):
        body = {"ids": ids[at : at + ROWS_MAX], "reason": reason}
        done += client.post(f"/ops/{service}/dead-letters/discard", body)["discarded"]
    out.print(f"已放弃 / Discarded: {done}")
    if done < len(ids):
        out.print("[red]其余不存在或已处理 / The others are not open any more[/red]")
        raise typer.Exit(1)


def _letters(client: Client, service: str, topic: str = "") -> list[dict[str, Any]]:
    return client.rows(f"/ops/{service}/dead-letters", {"after": "id"}, {"topic": topic} if topic else None)


def _reason(letter: dict[str, Any]) -> str:
    """Why it was refused, and what became of its content."""
    why = f"{letter['code']}: {letter['detail'][:80]}"
    return why if letter["content"] == "kept" else f"{_NO_CONTENT[letter['content']]} {why}"


def _preview(client: Client, service: str, ids: list[int] | None, topic: str) -> None:
    wanted = None if ids is None else set(ids)
    found = [one for one in _letters(client, service, topic) if wanted is None or one["id"] in wanted]
    table = folding("id", "topic", "key", "status", "reason")
    for one in found[:50]:
        table.add_row(str(one["id"]), one["topic"], one["key"][:40], one["status"], _reason(one))
    out.print(table)
    out.print(f"{len(found)} 条 / letter(s); {PREVIEW}")
    if missing := sorted(set(ids or []) - {one["id"] for one in found}):
        out.print(f"[yellow]不存在或已处理 / not open: {shown(missing)}[/yellow]")
