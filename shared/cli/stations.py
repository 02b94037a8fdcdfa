"""`beegrid stations`: stations from a file into the suite, and as a file out of it."""

from pathlib import Path
from typing import Annotated

import typer

from shared.cli.client import CliError, connect
from shared.cli.map_projections import AreaFileError
from shared.cli.screen import Cells, Screen, shown
from shared.cli.station_files import read_stations
from shared.cli.whole_files import whole_text

stations_app = typer.Typer(help="驿站 / Stations", no_args_is_help=True)
out = Screen()
FAULTS_SHOWN = 40


@stations_app.command("import")
def import_stations(
    file: Annotated[Path, typer.Argument(help="CSV, GeoJSON, Shapefile or a zip of one", exists=True, dir_okay=False)],
    layer: Annotated[str | None, typer.Option(help="layer, where a file has several")] = None,
    encoding: Annotated[str | None, typer.Option(help="of the texts, e.g. gb18030")] = None,
    crs: Annotated[str | None, typer.Option(help="coordinate system of a Shapefile, e.g. EPSG:4528")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查 / check it, and keep nothing")] = False,
) -> None:
    """导入 / Make and change stations by their codes, all or none; each faulty cell is named."""
    try:
        form, text = read_stations(file, layer=layer, encoding=encoding, crs=crs)
    except AreaFileError as bad:
        out.print(f"[red]{shown(bad)}[/red]", soft_wrap=True)
        raise typer.Exit(1) from bad
    try:
        done = connect().put("/v1/stations:import", {"format": form, "text": text, "dry_run": dry_run})
    except CliError as refused:
        if not refused.faults:
            raise
        _show(refused)
        raise typer.Exit(1) from refused
    said = "仅检查，未保存 / Checked, nothing kept" if dry_run else "[green]已导入 / Imported[/green]"
    out.print(
        f"{said}: 新增 / new {done['new']}, 修改 / changed {done['changed']}, 不变 / unchanged {done['unchanged']}"
    )


@stations_app.command("export")
def export_stations(
    file: Annotated[Path, typer.Argument(help="CSV to write", dir_okay=False)],
) -> None:
    """导出 / Write the open data of all stations to a file."""
    with connect().lines("/v1/stations/open-data.csv") as lines:
        text = "\n".join(lines)
    with whole_text(file) as target:
        target.write(text.rstrip("\n") + "\n")
    out.print(f"已导出 / Written → {shown(file)}", soft_wrap=True)


def _show(refused: CliError) -> None:
    table = Cells("行 / line", "列 / column", "问题 / problem")
    for one in refused.faults[:FAULTS_SHOWN]:
        table.add_row(str(one.get("line", "")), str(one.get("field", "")).rpartition(".")[2], str(one["problem"]))
    out.print(table)
    if (more := len(refused.faults) - FAULTS_SHOWN) > 0:
        out.print(f"… {more}")
    out.print("[red]未导入 / Not imported: correct the file first[/red]")
