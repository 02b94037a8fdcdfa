"""`beegrid points`: what earns how much, as a file, and what a change would have paid."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.client import connect
from shared.cli.screen import Cells, Screen, shown
from shared.cli.whole_files import whole_text

points_app = typer.Typer(help="积分 / Points", no_args_is_help=True)
rules_app = typer.Typer(help="积分规则 / What earns how much, as a CSV file", no_args_is_help=True)
points_app.add_typer(rules_app, name="rules")
out = Screen()

File = Annotated[Path, typer.Argument(help="CSV, UTF-8", exists=True, dir_okay=False)]
DAY = ["%Y-%m-%d"]
SUMS_SHOWN = 40


@rules_app.command("list")
def list_sets() -> None:
    """规则版本 / The sets of rules there are."""
    client = connect()
    current = client.get("/v1/points/rules")["current"]["version"]
    table = Cells("version", "from", "set by", "reason", "")
    for one in client.pages("/v1/points/rules"):
        now = "生效 / in force" if one["version"] == current else ""
        table.add_row(str(one["version"]), one["effective_from"], one["set_by"], one["reason"], now)
    out.print(table)


@rules_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="CSV to write", dir_okay=False)],
    version: Annotated[int | None, typer.Option(min=1, help="版本 / the one in force if not given")] = None,
) -> None:
    """导出 / Write a set of rules to a file."""
    client = connect()
    number = version or client.get("/v1/points/rules")["current"]["version"]
    with client.lines(f"/v1/points/rules/{number}.csv") as lines:
        text = "\n".join(lines)
    with whole_text(file) as target:
        target.write(text.rstrip("\n") + "\n")
    out.print(f"已导出 / Written: version {number} → {shown(file)}", soft_wrap=True)


@rules_app.command("import")
def import_rules(
    file: File,
    reason: Annotated[str, typer.Option(help="原因 / why, as every operator reads it")],
    effective_from: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%dT%H:%M:%S%z"], help="生效 / at once if not given")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查 / check it, and keep nothing")] = False,
) -> None:
    """导入 / Replace all rules by a file's; each faulty cell is named."""
    client = connect()
    newest = max(one["version"] for one in client.pages("/v1/points/rules"))
    body = {
        "after_version": newest, "reason": reason, "csv": _text(file), "dry_run": dry_run,
        "effective_from": effective_from.isoformat() if effective_from is not None else None,
    }  # fmt: skip
    made = client.put("/v1/points/rules", body)["items"][0]
    if dry_run:
        out.print("仅检查，未保存 / Checked, nothing kept")
    else:
        out.print(f"[green]已导入 / Imported[/green]: version {made['version']} from {made['effective_from']}")


@rules_app.command("dry-run")
def dry_run(
    file: File,
    first: Annotated[datetime | None, typer.Option("--from", formats=DAY, help="首日 / of last month")] = None,
    until: Annotated[datetime | None, typer.Option(formats=DAY, help="止日（不含）/ the first of this month")] = None,
    level: Annotated[str, typer.Option(help="city, district, street, community, grid")] = "street",
    riders: Annotated[bool, typer.Option("--riders", help="列出骑手 / list those for whom most changes")] = False,
) -> None:
    """试算 / What a file of rules would have paid for what happened, by area and kind; nothing is changed."""
    body = {"csv": _text(file), "first": _day(first), "until": _day(until), "level": level, "riders": riders}
    found = connect().post("/v1/points/rules/dry-run", body)
    table = Cells("area", "kind", "n", "riders", "was", "would", "±")
    for one in found["sums"][:SUMS_SHOWN]:
        table.add_row(*_cells(one, "area", "kind", "n", "riders", "was", "would"), f"{one['would'] - one['was']:+d}")
    out.print(table)
    if (more := len(found["sums"]) - SUMS_SHOWN) > 0:
        out.print(f"… {more}")
    if riders:
        people = Cells("rider", "was", "would")
        for one in found["riders"]:
            people.add_row(*_cells(one, "rider_id", "was", "would"))
        out.print(people)
    out.print(
        f"{found['first']} – {found['until']}: {found['was']} → {found['would']} 积分 / points, "
        f"{found['riders_changed']} 名骑手变化 / riders with a difference"
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig")


def _day(at: datetime | None) -> str | None:
    return date(at.year, at.month, at.day).isoformat() if at is not None else None


def _cells(one: dict[str, Any], *names: str) -> list[str]:
    return [str(one[name]) for name in names]
