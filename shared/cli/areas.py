"""`beegrid areas`: the city's map from a file into the suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import arguments
from shared.cli.area_files import AreaFile, Columns, check, check_tree, chunks, read_areas
from shared.cli.client import Client, CliError, connect
from shared.cli.map_changes import (
    ACCEPT_HELP,
    MAPPING_ENCODING_HELP,
    MAPPING_HELP,
    Mapped,
    put_in_force,
    read_mapping,
)
from shared.cli.map_projections import AreaFileError
from shared.cli.screen import Cells, Screen, progress_bars, shown
from shared.cli.tables import read_table
from shared.events.common import AreaLevel, Datum

areas_app = typer.Typer(help="区域与网格 / Areas and grids", no_args_is_help=True)
out = Screen()
SHOWN_MAX = 20
DEPARTMENT_COLUMNS = ("department_kind", "area_code", "department", "name")
DEPARTMENTS_A_REQUEST = 1_000


@areas_app.command("import")
def import_areas(
    file: Annotated[Path, typer.Argument(help="GeoJSON, Shapefile or a zip of one")],
    level: Annotated[AreaLevel, typer.Option(help="of the file's areas")] = "grid",
    code_field: Annotated[str, typer.Option(help="field with the code")] = "code",
    name_field: Annotated[str, typer.Option(help="field with the name")] = "name",
    parent_field: Annotated[
        str | None, typer.Option(help="field with the parent's code, where codes are no prefixes")
    ] = None,
    level_field: Annotated[str | None, typer.Option(help="field with the level, where a file has several")] = None,
    datum: Annotated[Datum, typer.Option(help="of the coordinates; CGCS2000 is wgs84")] = "wgs84",
    layer: Annotated[str | None, typer.Option(help="layer, where a file has several")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="of a Shapefile's texts, e.g. GBK; tried out if not given")
    ] = None,
    crs: Annotated[
        str | None, typer.Option(help="coordinate system, where the file states none or a wrong one, e.g. EPSG:4528")
    ] = None,
    label: Annotated[str | None, typer.Option(help="how the version is called; the file's name if not given")] = None,
    version: Annotated[
        str | None,
        typer.Option(help="add to this draft instead of making a new version", callback=arguments.version_id),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check the file, let the suite check it too, and keep nothing")
    ] = False,
    activate: Annotated[bool, typer.Option(help="put the version in force when all is sent")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="refuse overlaps and holes")] = False,
    mapping: Annotated[Path | None, typer.Option(help=MAPPING_HELP, exists=True, dir_okay=False)] = None,
    mapping_encoding: Annotated[str, typer.Option(help=MAPPING_ENCODING_HELP)] = "utf-8-sig",
    accept: Annotated[bool, typer.Option("--accept", help=ACCEPT_HELP)] = False,
) -> None:
    """导入区域边界 / Check a file of areas, send it as a new version and put that in force."""
    columns = Columns(code_field, name_field, parent_field, level_field)
    lines = read_mapping(mapping, mapping_encoding) if mapping else {}
    try:
        found = read_areas(file, columns, layer=layer, encoding=encoding, crs=crs)
    except AreaFileError as bad:
        out.print(f"[red]{shown(bad)}[/red]", soft_wrap=True)
        raise typer.Exit(1) from bad
    if version is None:  # a draft may have the parents already
        found.invalid.extend(check_tree(found.areas, level))
        if activate and not any((area.level or level) == "grid" for area in found.areas):
            found.invalid.append(
                (file.name, "no grids: such a map can't be in force; --no-activate keeps it as a draft")
            )
    clean = show(found, level)
    if found.invalid or not found.areas or (strict and not clean):
        out.print("[red]未导入 / Not imported: correct the file first[/red]")
        raise typer.Exit(1)
    going = _Going(found, level, datum, label or file.name, version, activate, strict, lines, accept)
    if dry_run:
        _rehearse(going)
        return
    client = connect()
    if version is not None and not _can_join(client, version, datum):
        raise typer.Exit(1)
    draft = version or create_version(client, going.label, level, datum)
    try:
        send(client, draft, found, level)
        if activate:
            if not put_in_force(client, draft, strict=strict, mapping=lines, accept=accept):
                out.print(f"草稿保留 / The draft is kept: beegrid areas activate {draft} --mapping …", soft_wrap=True)
                raise typer.Exit(1)
        else:
            out.print(f"草稿 / Draft {draft}")
    except CliError as error:
        _after_failure(client, draft, error, made_here=version is None)
        raise


@dataclass(frozen=True, slots=True)
class _Going:
    """An import as it was asked for."""

    found: AreaFile
    level: AreaLevel
    datum: Datum
    label: str
    version: str | None
    activate: bool
    strict: bool
    mapping: Mapped
    accept: bool


def _rehearse(going: _Going) -> None:
    """Let the suite, where one runs, check everything in a draft that is withdrawn at once.

    Raises:
        CliError: the import would be refused.
        typer.Exit: it would, and why is on the screen.
    """
    try:
        client = connect(patient=False)
        fits = going.version is None or _can_join(client, going.version, going.datum)
        # what is kept in the draft is looked at too, in a copy
        draft = create_version(client, going.label, going.level, going.datum, beside=going.version) if fits else None
    except CliError as nobody:
        if nobody.status is not None:
            raise
        out.print(f"仅检查了文件 / Only the file was checked: {shown(nobody)}", soft_wrap=True)
        return
    if draft is None:
        raise typer.Exit(1)
    try:
        send(client, draft, going.found, going.level)
        fits = not going.activate or put_in_force(
            client, draft, strict=going.strict, mapping=going.mapping, accept=going.accept, dry_run=True
        )
    finally:
        client.delete(f"/v1/areas/versions/{draft}")
    if not fits:
        raise typer.Exit(1)
    out.print("仅检查，未保存 / Checked by the suite too, nothing kept")


def _after_failure(client: Client, draft: str, error: CliError, *, made_here: bool) -> None:
    """A draft that the service refuses is of no use; one that an outage broke off can be gone on with."""
    if made_here and error.status in (409, 422):
        client.delete(f"/v1/areas/versions/{draft}")
        out.print("草稿已撤销，现行地图不变 / The draft is withdrawn; the map in force is as it was")
    else:
        out.print(f"草稿保留 / The draft is kept: go on with --version {draft}", soft_wrap=True)


@areas_app.command("discard")
def discard_draft(
    version: Annotated[
        str, typer.Argument(help="a draft's id, as `areas versions` shows it", callback=arguments.version_id)
    ],
) -> None:
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
    found = read_table(file, DEPARTMENT_COLUMNS, encoding, key=("department_kind", "area_code"))
    rows = [cells for _, cells in found]
    client = connect()
    for start in range(0, len(rows), DEPARTMENTS_A_REQUEST):
        client.put("/v1/routing/responsibilities", {"put": rows[start : start + DEPARTMENTS_A_REQUEST]})
    out.print(f"[green]已保存 / Saved[/green]: {len(rows)}")


@areas_app.command("versions")
def versions() -> None:
    """列出各版本 / List the versions of the areas."""
    table = Cells("version", "label", "state", "areas", "grids", "activated")
    table.columns[0].no_wrap = True
    table.columns[0].min_width = 36  # an id that is cut can't be used
    table.columns[1].overflow = "fold"
    for row in connect().pages("/v1/areas/versions"):
        state = "in force" if row["in_force"] else row["state"]
        table.add_row(
            row["version_id"], row["label"], state, str(row["areas"]), str(row["grids"]), row["activated_at"] or ""
        )
    out.print(table)


@areas_app.command("activate")
def activate_version(
    version: Annotated[str, typer.Argument(help="a draft, or an earlier version again", callback=arguments.version_id)],
    strict: Annotated[bool, typer.Option("--strict", help="refuse overlaps and holes")] = False,
    mapping: Annotated[Path | None, typer.Option(help=MAPPING_HELP, exists=True, dir_okay=False)] = None,
    mapping_encoding: Annotated[str, typer.Option(help=MAPPING_ENCODING_HELP)] = "utf-8-sig",
    accept: Annotated[bool, typer.Option("--accept", help=ACCEPT_HELP)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check and list everything, change nothing")] = False,
) -> None:
    """启用一个版本 / Put a version in force; shows first which areas vanish and who depends on them."""
    lines = read_mapping(mapping, mapping_encoding) if mapping else {}
    if not put_in_force(connect(), version, strict=strict, mapping=lines, accept=accept, dry_run=dry_run):
        raise typer.Exit(1)


def create_version(client: Client, label: str, level: AreaLevel, datum: Datum, *, beside: str | None = None) -> str:
    """A new draft's id. It begins with the areas of the draft `beside`, where one is named."""
    body = {"label": label, "level": level, "datum": datum} | ({"beside": beside} if beside else {})
    return str(client.post("/v1/areas/versions", body)["version_id"])


def _can_join(client: Client, version: str, datum: Datum) -> bool:
    """Whether that version is a draft which reads coordinates as this file has them: nothing could show it later.

    Says so where not.
    """
    known = {row["version_id"]: row for row in client.pages("/v1/areas/versions")}
    if version not in known:
        out.print(f"[red]没有这个版本 / No such version[/red]: {shown(version)}; beegrid areas versions")
        return False
    if known[version]["state"] != "draft":
        out.print(f"[red]版本已生效 / No draft any more[/red]: {version}: leave out --version, a new one is made")
        return False
    if (theirs := known[version]["datum"]) != datum:
        out.print(f"[red]坐标系不符 / Another datum[/red]: the draft is {shown(theirs)}, this file {datum}")
        return False
    return True


def send(client: Client, version: str, found: AreaFile, level: AreaLevel) -> None:
    """Upload all areas in chunks with a progress bar. A chunk that was sent before changes nothing.

    Each area names its level: a draft may hold files of several levels.
    """
    with progress_bars(out) as progress:
        task = progress.add_task("上传 / Sending", total=len(found.areas))
        for features in chunks(found.areas, level):
            client.post(f"/v1/areas/versions/{version}/features", {"features": features})
            progress.advance(task, len(features))


def show(found: AreaFile, level: AreaLevel) -> bool:
    """Print what the file holds and what is wrong with it; whether neither overlaps nor holes were found."""
    out.print(f"{len(found.areas)} areas, CRS {shown((found.crs or 'not stated')[:60])}", end="")
    out.print(" (reprojected to WGS-84)" if found.reprojected else "")
    for warning in found.warnings:
        out.print(f"[yellow]{shown(warning)}[/yellow]")
    _table("已修复 / Repaired", ("code", "problem and change"), found.repaired, shown_max=len(found.repaired))
    _table("无效 / Invalid", ("code", "problem"), found.invalid)
    overlaps, holes = check(found.areas, level)
    _table("重叠 / Overlaps", ("code", "code", "m²"), [(a, b, f"{o.square_metres:,.1f}") for a, b, o in overlaps])
    gaps = [(f"{h.lng:.6f}, {h.lat:.6f}", f"{h.square_metres:,.1f}", " ".join(codes[:6])) for h, codes in holes]
    _table("空洞 / Holes", ("place", "m²", "around"), gaps)
    return not overlaps and not holes


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], shown_max: int = SHOWN_MAX) -> None:
    if not rows:
        return
    table = Cells(*header, title=f"{title}: {len(rows)}", title_justify="left")
    for row in rows[:shown_max]:
        table.add_row(*row)
    if len(rows) > shown_max:
        table.add_row(f"… {len(rows) - shown_max} more")
    out.print(table)
