"""`beegrid`: what operators type."""

import importlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import httpx
import typer

from shared.cli.areas import areas_app
from shared.cli.backup.commands import backup, restore
from shared.cli.client import CliError, find_suite, suite_folder
from shared.cli.companies import companies_app
from shared.cli.keys import keys_app
from shared.cli.ledger import ledger_app
from shared.cli.loadtest import loadtest
from shared.cli.operations import deadletters_app, doctor
from shared.cli.outbox import outbox_app
from shared.cli.points import points_app
from shared.cli.recount import recount
from shared.cli.reports import reports_app
from shared.cli.riders import riders_app
from shared.cli.scale import scale
from shared.cli.screen import Screen, shown
from shared.cli.standing import standing_app
from shared.cli.states import states_app
from shared.cli.stations import stations_app
from shared.cli.systems import systems_app

ELSEWHERE = "ask the city's identity provider for a token"
app = typer.Typer(
    help="蜂格运维命令 / Operate the suite that .beegrid/suite.json (here or above) or BEEGRID_URL names.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(companies_app, name="companies")
app.add_typer(keys_app, name="keys")
app.add_typer(systems_app, name="systems")
app.add_typer(reports_app, name="reports")
app.add_typer(riders_app, name="riders")
app.add_typer(areas_app, name="areas")
app.add_typer(points_app, name="points")
app.add_typer(deadletters_app, name="deadletters")
app.add_typer(outbox_app, name="outbox")
app.add_typer(ledger_app, name="ledger")
app.add_typer(states_app, name="states")
app.add_typer(stations_app, name="stations")
app.add_typer(standing_app, name="standing")
app.command("doctor")(doctor)
app.command("recount")(recount)
app.command("scale")(scale)
app.command("loadtest")(loadtest)
app.command("backup")(backup)
app.command("restore")(restore)


@app.command("token")
def token(
    role: Annotated[list[str], typer.Option(help="角色 / rider, grid_worker, …, operator; may be repeated")],
    sub: Annotated[str, typer.Option(help="who: a rider's id, or any id of a person")] = "operator",
    name: Annotated[str, typer.Option(help="姓名 / as cases name the person; the id if not given")] = "",
    area: Annotated[list[str] | None, typer.Option(help="区域代码 / area code, e.g. 330114; may be repeated")] = None,
    company: Annotated[str, typer.Option(help="company the person works for")] = "",
    merchant: Annotated[str, typer.Option(help="merchant the person serves at")] = "",
    hours: Annotated[float, typer.Option(help="how long it is valid", min=0.01, max=24 * 31)] = 8.0,
) -> None:
    """签发令牌 / Make a bearer token with the local issuer. In a real city its identity provider does that."""
    folder = _identity_folder()
    try:  # by name: the image has no issuer, and commands don't stand on tools
        issuer = importlib.import_module("shared.devtools.identity").Identity.open(folder)
    except ModuleNotFoundError as error:
        raise CliError("没有本地签发者 / No local issuer", "it is no part of the image", hint=ELSEWHERE) from error
    typer.echo(
        issuer.token(sub, name or sub, role, area or (), company or None, merchant or None, ttl_s=int(hours * 3600))
    )


def _identity_folder() -> Path:
    """Of the running suite, or of the nearest .beegrid. Never a new one: nobody would trust its key."""
    try:
        named = find_suite().facts.get("identity")
    except CliError:
        named = None
    near = suite_folder()
    folder = Path(named) if named else near / "identity" if near else None
    if folder is None or not (folder / "jwks.json").is_file():
        raise CliError(
            "没有本地签发者 / No local issuer",
            "no .beegrid/identity here or above",
            hint=f"`make up` makes one; elsewhere {ELSEWHERE}",
        )
    return folder


def _check_arguments(arguments: Sequence[str]) -> None:
    """Names and files travel on as UTF-8. Raises CliError for bytes that are none, which Python keeps as half pairs."""
    for number, one in enumerate(arguments, start=1):
        try:
            one.encode()
        except UnicodeEncodeError as error:
            written = one.encode("utf-8", "backslashreplace").decode()
            raise CliError(
                "参数不是 UTF-8 / Not UTF-8",
                f"argument {number}: {written[:80]}",
                hint="rename the file, or type the name in UTF-8 (is LANG set to a UTF-8 locale?)",
            ) from error


def main() -> None:
    """Run a command; a refusal is shown in words, with a next step, and exit status 1."""
    # a folder's name, or an answer, may have what the terminal's encoding lacks: shown escaped, never a traceback
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _check_arguments(sys.argv[1:])
        app()
    except CliError as error:
        _refuse(error)
    except httpx.InvalidURL as error:
        _refuse(
            CliError("参数或地址有误 / Not an address", str(error), hint="look for odd characters in what you typed")
        )
    except OSError as error:  # a file or folder that is away, full or not one's own
        _refuse(CliError("系统拒绝 / The machine refuses", str(error)))


def _refuse(error: CliError) -> None:
    err = Screen(stderr=True)
    err.print(f"[red]{shown(error.title)}[/red]", end="")
    err.print(f": {error.detail}" if error.detail else "", markup=False, highlight=False)
    if error.hint:
        err.print(f"→ {error.hint}", markup=False, highlight=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
