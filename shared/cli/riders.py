"""`beegrid riders`: erase a rider, see how far it is, keep the list that a restore needs."""

import csv
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from shared.cli import arguments
from shared.cli.client import Client, CliError, connect
from shared.cli.screen import Cells, Screen, shown
from shared.cli.whole_files import whole_text
from shared.kit import clock
from shared.provision.services import forgetting

riders_app = typer.Typer(help="骑手 / Riders: erasure", no_args_is_help=True)
out = Screen()
COLUMNS = ("rider_id", "number", "erased_at")
PAGE = 1_000
WAIT_S = 180.0

RiderId = Annotated[UUID | None, typer.Argument(help="the suite's id of the rider")]
Company = Annotated[
    str | None, typer.Option(help="企业代码 / instead of the id: the rider's company …", callback=arguments.code)
]
Number = Annotated[str | None, typer.Option(help="骑手编号 / … and the company's number of the rider")]


@riders_app.command("erase")
def erase(
    rider_id: RiderId = None,
    company: Company = None,
    number: Number = None,
    everybody: Annotated[bool, typer.Option("--all", help="全部骑手 / all riders of the company: a sandbox's")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="执行；不可撤销 / do it; it can't be undone")] = False,
) -> None:
    """删除骑手 / Forget a rider in every service: name, number, words, photos, exact places. Points stay, bare."""
    client = connect()
    if everybody:
        if company is None or rider_id is not None or number is not None:
            raise CliError("请指明企业 / Name the company", "--all goes with --company and nothing else")
        found = _all_of(client, company, apply=apply)
        if not (apply and found):
            return
    else:
        found = _found(client, rider_id, company, number)
    if not apply:
        out.print(f"将删除 / Would erase {found}: nobody can undo it. Add --apply", highlight=False)
        return
    client.delete(f"/v1/riders/{found}")
    deadline_s = clock.monotonic_s() + WAIT_S
    while not (whole := _whole(states := _states(client, found))) and clock.monotonic_s() < deadline_s:
        time.sleep(2.0)
    _show(states)
    if not whole:
        raise CliError(
            "尚未完成 / Not whole yet",
            f"{sum(one['done_at'] is not None for one in states)} of {len(states)} services",
            hint=f"it goes on by itself: `beegrid riders erased {found}`; docs/runbooks/ErasureNotWhole.md",
        )


@riders_app.command("erased")
def erased(rider_id: RiderId = None, company: Company = None, number: Number = None) -> None:
    """删除进度 / How far a rider's erasure is, service by service. Exit status 1: not whole."""
    client = connect()
    states = _states(client, _found(client, rider_id, company, number))
    _show(states)
    if not _whole(states):
        raise typer.Exit(1)


@riders_app.command("export-erased")
def export_erased(
    file: Annotated[Path, typer.Argument(help="CSV to write; `-` for the terminal", dir_okay=False)],
) -> None:
    """导出删除名单 / The list of erased riders: ids and marks, no names. `beegrid restore --erased` takes it.

    Keep the newest one apart from backups: a backup doesn't know who left after it was taken.
    """
    client = connect()
    rows, after = 0, None
    with nullcontext(sys.stdout) if str(file) == "-" else whole_text(file) as target:
        writer = csv.writer(target)
        writer.writerow(COLUMNS)
        while True:
            page = client.get("/ops/riders/erasures", params={"limit": PAGE} | ({"after": after} if after else {}))
            writer.writerows([one[name] for name in COLUMNS] for one in page["items"])
            rows += len(page["items"])
            if (after := page["next"]) is None:
                break
    if str(file) != "-":
        out.print(f"[green]已导出 / Exported[/green] {rows} → {shown(file)}", highlight=False)


def _all_of(client: Client, company: str, *, apply: bool) -> str:
    """Order the erasure of all riders of a company but the last, whose id is returned; empty where it has none."""
    riders = list(client.pages(f"/v1/companies/{company}/riders"))
    if not apply:
        out.print(f"将删除 / Would erase {len(riders)} riders of {company}: nobody can undo it. Add --apply")
        return ""
    for one in riders[:-1]:
        client.delete(f"/v1/riders/{one['rider_id']}")
    out.print(f"{len(riders)} 名骑手 / riders of {company}", highlight=False)
    return str(riders[-1]["rider_id"]) if riders else ""


def _found(client: Client, rider_id: UUID | None, company: str | None, number: str | None) -> str:
    if (rider_id is None) == (company is None or number is None):
        raise CliError("请指明骑手 / Name the rider", "an id, or --company and --number")
    if rider_id is not None:
        return str(rider_id)
    return str(client.get("/v1/riders", params={"company": company, "external_id": number})["rider_id"])


def _states(client: Client, rider_id: str) -> list[dict[str, Any]]:
    return [client.get(f"/ops/{service}/erasures/{rider_id}") for service in forgetting()]


def _whole(states: list[dict[str, Any]]) -> bool:
    return all(one["done_at"] is not None for one in states)


def _show(states: list[dict[str, Any]]) -> None:
    table = Cells("服务 / service", "已收到 / heard", "已删除 / erased")
    for one in states:
        table.add_row(one["service"], one["heard_at"] or "-", one["done_at"] or "-")
    out.print(table)
    done = sum(one["done_at"] is not None for one in states)
    out.print(f"{done} / {len(states)} 个服务已删除 / erased in {done} of {len(states)} services", highlight=False)
