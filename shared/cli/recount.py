"""`beegrid recount`: are the numbers that are kept what history has?"""

from typing import Annotated

import typer

from shared.cli.client import CliError, connect
from shared.cli.screen import Cells, Screen
from shared.provision.services import service_names

out = Screen()
TIMEOUT_S = 1800.0


def recount(
    services: Annotated[list[str] | None, typer.Argument(help="服务 / which ones; all if not given")] = None,
    correct: Annotated[bool, typer.Option("--correct", help="put wrong numbers right")] = False,
    reason: Annotated[str, typer.Option(help="原因 / why; kept in the service's log")] = "recount",
) -> None:
    """重新计数 / Count all of history and compare it with the numbers that are kept. Reads every row: takes minutes.

    Exit status 1 where something differs that was not put right.
    """
    if unknown := sorted(set(services or ()) - set(service_names())):
        raise CliError("没有这个服务 / No such service", ", ".join(unknown), hint=", ".join(service_names()))
    client = connect()
    table = Cells("service", "what", "label", "kept", "counted")
    left = 0
    for name in services or service_names():
        with out.status(f"{name} …"):
            answer = client.post(f"/ops/{name}/recount", {"correct": correct, "reason": reason}, timeout=TIMEOUT_S)
        for one in answer["differences"]:
            table.add_row(name, one["what"], one["label"], str(one["kept"]), str(one["counted"]))
        left += len(answer["differences"]) - answer["corrected"]
    if not table.row_count:
        out.print("[green]计数与历史一致 / Every kept number is what history has[/green]")
        return
    out.print(table)
    if left:
        out.print(f"[red]{left} 项不一致 / differ[/red]; " + ("" if correct else "--correct"))
        raise typer.Exit(1)
    out.print("[green]已更正 / Put right[/green]")
