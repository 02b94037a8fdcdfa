"""`beegrid areas`: the city's map from a file into the suite."""

import csv
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.cli.area_files import AreaFile, AreaFileError, Columns, check, check_tree, chunks, read_areas
from shared.cli.client import CliError, connect

areas_app = typer.Typer(help="区域与网格 / Areas and grids", no_args_is_help=True)
out = Console()
SHOWN_MAX = 20
DEPARTMENT_COLUMNS = ("department_kind", "area_code", "department", "name")
DEPARTMENTS_A_REQUEST = 1_000


class LevelName(StrEnum):
    """Levels of the tree."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"


class DatumName(StrEnum):
    """Datums of coordinates."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


class Client(Protocol):
    """What this command needs of the HTTP client."""

    def get(self, path: str) -> Any:
        """The parsed answer."""

    def post(self, path: str, body: Any) -> Any:
        """The parsed answer."""

    def delete(self, path: str) -> Any:
        """The parsed answer."""


@areas_app.command("import")
def import_areas(
    file: Annotated[Path, typer.Argument(help="GeoJSON, Shapefile or a zip of one")],
    level: Annotated[LevelName, typer.Option(help="of the file's areas")] = LevelName.GRID,
    code_field: Annotated[str, typer.Option(help="field with the code")] = "code",
    name_field: Annotated[str, typer.Option(help="field with the name")] = "name",
    parent_field: Annotated[
        str | None, typer.Option(help="field with the parent's code, where codes are no prefixes")
    ] = None,
    level_field: Annotated[str | None, typer.Option(help="field with the level, where a file has several")] = None,
    datum: Annotated[DatumName, typer.Option(help="of the coordinates; CGCS2000 is wgs84")] = DatumName.WGS84,
    layer: Annotated[str | None, typer.Option(help="layer, where a file has several")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="of a Shapefile's texts, e.g. GBK; tried out if not given")
    ] = None,
    label: Annotated[str | None, typer.Option(help="how the version is called; the file's name if not given")] = None,
    version: Annotated[str | None, typer.Option(help="add to this draft instead of making a new version")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only check the file, send nothing")] = False,
    activate: Annotated[bool, typer.Option(help="put the version in force when all is sent")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="refuse overlaps and holes")] = False,
) -> None:
    """导入区域边界 / Check a file of areas, send it as a new version and put that in force."""
    columns = Columns(code_field, name_field, parent_field, level_field)
    try:
        found = read_areas(file, columns, layer=layer, encoding=encoding)
    except AreaFileError as bad:
        out.print(f"[red]{escape(str(bad))}[/red]", soft_wrap=True)
        raise typer.Exit(1) from bad
    if version is None:  # a draft may have the parents already
        found.invalid.extend(check_tree(found.areas, level))
    clean = show(found, level)
    if found.invalid or not found.areas or (strict and not clean):
        out.print("[red]未导入 / Not imported: mend the file first[/red]")
        raise typer.Exit(1)
    if dry_run:
        out.print("仅检查，未发送 / Only checked, nothing sent")
        return
    client = connect()
    draft = version or create_version(client, label or file.name, level, datum)
    if version is not None and not _has_datum(client, version, datum):
        raise typer.Exit(1)
    try:
        send(client, draft, found, level)
        if activate:
            show_activated(client.post(f"/v1/areas/versions/{draft}/activate", {"strict": strict}))
        else:
            out.print(f"草稿 / Draft {draft}")
    except CliError as error:
        _after_failure(client, draft, error, made_here=version is None)
        raise


def _after_failure(client: Client, draft: str, error: CliError, *, made_here: bool) -> None:
    """A draft that the service refuses is of no use; one that an outage broke off can be gone on with."""
    if made_here and error.status in (409, 422):
        client.delete(f"/v1/areas/versions/{draft}")
        out.print("草稿已撤销，现行地图不变 / The draft is withdrawn; the map in force is as it was")
    else:
        out.print(f"草稿保留 / The draft is kept: go on with --version {draft}", soft_wrap=True)


@areas_app.command("discard")
def discard_draft(version: Annotated[str, typer.Argument(help="a draft's id, as `areas versions` shows it")]) -> None:
    """撤销草稿 / Remove a draft that was never in force."""
    connect().delete(f"/v1/areas/versions/{version}")
    out.print(f"已撤销 / Removed: {version}")


@areas_app.command("departments")
def departments(
    file: Annotated[
        Path, typer.Argument(help=f"CSV with columns {', '.join(DEPARTMENT_COLUMNS)}", exists=True, dir_okay=False)
    ],
    encoding: Annotated[str, typer.Option(help="of the file; Excel in Chinese saves gb18030")] = "utf-8-sig",
) -> None:
    """导入职能部门 / Say which department answers for a kind of department in an area and everything below it.

    The most specific area wins. A line that was there before is replaced; reports are routed by it within seconds.
    """
    try:
        with file.open(encoding=encoding, newline="") as source:
            lines = csv.DictReader(source)
            if missing := [name for name in DEPARTMENT_COLUMNS if name not in (lines.fieldnames or ())]:
                raise CliError("文件有误 / The file can't be read", f"{file}: no column {', '.join(missing)}")
            rows = [{name: (cells[name] or "").strip() for name in DEPARTMENT_COLUMNS} for cells in lines]
    except (UnicodeDecodeError, LookupError, csv.Error) as bad:
        raise CliError("文件有误 / The file can't be read", f"{file}: {bad}", hint="try --encoding gb18030") from bad
    client = connect()
    for start in range(0, len(rows), DEPARTMENTS_A_REQUEST):
        client.put("/v1/routing/responsibilities", {"put": rows[start : start + DEPARTMENTS_A_REQUEST]})
    out.print(f"[green]已保存 / Saved[/green]: {len(rows)}")


@areas_app.command("versions")
def versions() -> None:
    """列出各版本 / List the versions of the areas."""
    table = Table("version", "label", "state", "areas", "grids", "activated")
    table.columns[0].no_wrap = True
    table.columns[0].min_width = 36  # an id that is cut can't be used
    table.columns[1].overflow = "fold"
    for row in connect().get("/v1/areas/versions"):
        state = "in force" if row["in_force"] else row["state"]
        table.add_row(
            row["version_id"], row["label"], state, str(row["areas"]), str(row["grids"]), row["activated_at"] or ""
        )
    out.print(table)


@areas_app.command("activate")
def activate_version(
    version: Annotated[str, typer.Argument(help="a draft, or an earlier version again")],
    strict: Annotated[bool, typer.Option("--strict", help="refuse overlaps and holes")] = False,
) -> None:
    """启用一个版本 / Put a version in force."""
    show_activated(connect().post(f"/v1/areas/versions/{version}/activate", {"strict": strict}))


def create_version(client: Client, label: str, level: LevelName, datum: DatumName) -> str:
    """A new draft's id."""
    body = {"label": label, "level": level.value, "datum": datum.value}
    return str(client.post("/v1/areas/versions", body)["version_id"])


def _has_datum(client: Client, version: str, datum: DatumName) -> bool:
    """Whether that version reads coordinates as this file has them; says so where not: nothing could tell later."""
    known = {row["version_id"]: row["datum"] for row in client.get("/v1/areas/versions")}
    if version not in known:
        out.print(f"[red]没有这个版本 / No such version[/red]: {version}; beegrid areas versions")
    elif known[version] != datum.value:
        out.print(f"[red]坐标系不符 / Another datum[/red]: the draft is {known[version]}, this file {datum.value}")
    return known.get(version) == datum.value


def send(client: Client, version: str, found: AreaFile, level: LevelName) -> None:
    """Upload all areas in chunks with a progress bar. A chunk that was sent before changes nothing.

    Each area names its level: a draft may hold files of several levels.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("上传 / Sending", total=len(found.areas))
        for features in chunks(found.areas, level):
            client.post(f"/v1/areas/versions/{version}/features", {"features": features})
            progress.advance(task, len(features))


def show(found: AreaFile, level: LevelName) -> bool:
    """Print what the file holds and what is wrong with it; whether neither overlaps nor holes were found."""
    out.print(f"{len(found.areas)} areas, CRS {(found.crs or 'not stated')[:60]}", end="")
    out.print(" (reprojected to WGS-84)" if found.reprojected else "")
    for warning in found.warnings:
        out.print(f"[yellow]{warning}[/yellow]")
    _table("已修复 / Repaired", ("code", "problem and change"), found.repaired, shown_max=len(found.repaired))
    _table("无效 / Invalid", ("code", "problem"), found.invalid)
    overlaps, holes = check(found.areas, level)
    _table("重叠 / Overlaps", ("code", "code", "m²"), [(a, b, f"{o.square_metres:,.1f}") for a, b, o in overlaps])
    gaps = [(f"{h.lng:.6f}, {h.lat:.6f}", f"{h.square_metres:,.1f}", " ".join(codes[:6])) for h, codes in holes]
    _table("空洞 / Holes", ("place", "m²", "around"), gaps)
    return not overlaps and not holes


def show_activated(answer: Any) -> None:
    """Print what the service says about a version that it put in force."""
    version, findings = answer["version"], answer["findings"]
    out.print(
        f"[green]已启用 / In force[/green]: {version['version_id']}, {version['areas']} areas,"
        f" {version['grids']} grids; overlaps {findings['overlaps_total']}, holes {findings['holes_total']}"
    )


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], shown_max: int = SHOWN_MAX) -> None:
    if not rows:
        return
    table = Table(*header, title=f"{title}: {len(rows)}", title_justify="left")
    for row in rows[:shown_max]:
        table.add_row(*row)
    if len(rows) > shown_max:
        table.add_row(f"… {len(rows) - shown_max} more")
    out.print(table)
