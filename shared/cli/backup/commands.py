"""`beegrid backup` and `beegrid restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.cli.client import CliError
from shared.cli.screen import Screen, shown

out = Screen()


def backup(
    folder: Annotated[Path, typer.Argument(help="目标文件夹 / folder to write; new or empty", file_okay=False)],
) -> None:
    """备份 / The whole suite, as of one instant, into a folder. It may go on working meanwhile.

    The folder holds personal data and sealed keys. The sealing key itself is in no backup: keep the secrets apart.
    """
    # imported here: the other commands don't wait for the clients of three servers
    from shared.cli.backup.places import find_places
    from shared.cli.backup.taking import take

    if folder.exists() and any(folder.iterdir()):
        raise CliError("文件夹不是空的 / The folder is not empty", str(folder), hint="name a new one")
    places = find_places()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with _progress() as progress:
        made = asyncio.run(take(places, folder, progress))
    rows = sum(facts.rows for _, _, facts in made.tables())
    size = sum(facts.size_bytes for facts in made.files.values())
    out.print(
        f"[green]已备份 / Backed up[/green] {made.taken_at:%Y-%m-%d %H:%M:%S} UTC: {len(made.schemas)} schemas, "
        f"{sum(1 for _ in made.tables())} tables, {rows} rows, {made.photos} photos, "
        f"{made.kafka.records} unread records, {size:,} bytes → {shown(folder)}",
        soft_wrap=True,
        highlight=False,
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="备份文件夹 / a backup", exists=True, file_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查 / only check the folder and the suite")] = False,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="though the sealing key is lost: companies get new keys afterwards")
    ] = False,
    erased_list: Annotated[
        Path | None,
        typer.Option("--erased", help="删除名单 / who has left since: `beegrid riders export-erased`", exists=True),
    ] = None,
    erased_empty: Annotated[
        bool, typer.Option("--erased-empty", help="名单可以为空 / the list may name nobody: nobody has ever left")
    ] = False,
) -> None:
    """恢复 / A backup into an empty suite of the same version. Everything is checked before anything is written."""
    from shared.cli.backup import erased, seals
    from shared.cli.backup.manifest import read_manifest
    from shared.cli.backup.places import find_places
    from shared.cli.backup.returning import check_files, check_target, put_back

    manifest = read_manifest(folder)
    left = erased.read(erased_list, may_be_empty=erased_empty) if erased_list is not None else []
    places = find_places()
    with _progress() as progress:
        check_files(folder, manifest, progress)
        asyncio.run(check_target(places, manifest))
        unchecked = None if unsealed else seals.check(manifest.sealing)
        if unchecked is not None:
            progress.console.print(
                f"[yellow]未核对密封 / Seals not checked[/yellow]: {shown(unchecked)}; later: beegrid doctor",
                soft_wrap=True,
            )
        if dry_run:
            progress.stop()
            out.print("[green]可以恢复 / Sound, and the suite may take it[/green]; 未写入 / nothing was written")
            _say_of_erased(erased_list, len(left), entered=False)
            return
        asyncio.run(put_back(places, folder, manifest, progress, left))
    rows = sum(facts.rows for _, _, facts in manifest.tables())
    out.print(
        f"[green]已恢复并核对 / Restored and verified[/green]: {sum(1 for _ in manifest.tables())} tables with {rows} "
        f"rows, {manifest.photos} photos: every hash is that of the backup of {manifest.taken_at:%Y-%m-%d %H:%M:%S} "
        f"UTC; {manifest.kafka.records} unread records sent again",
        soft_wrap=True,
        highlight=False,
    )
    _say_of_erased(erased_list, len(left), entered=True)
    if manifest.kafka.users:
        out.print("需要新的 Kafka 密码 / These need new Kafka passwords, which no backup can hold:")
        for user in sorted({user.split(".")[0] for user in manifest.kafka.users}):  # `.2`: the second of a rotation
            kind, _, code = user.partition("-")
            command = f"beegrid companies kafka {code}" if kind == "company" else f"beegrid systems add {code}"
            out.print(f"  {user}: {command}", highlight=False)
    if unsealed:
        out.print("新的企业密钥 / New keys for companies: beegrid companies rotate CODE, for each", highlight=False)


def _say_of_erased(file: Path | None, number: int, *, entered: bool) -> None:
    if file is None:
        out.print(
            "[yellow]没有删除名单 / No list of erased riders[/yellow]: who left after the backup is back. Erase them "
            "again, or restore with --erased",
            soft_wrap=True,
        )
    elif entered:
        out.print(
            f"删除名单 / Erased riders entered: {number}; services forget them as soon as they run", highlight=False
        )
    else:
        out.print(f"删除名单 / Erased riders in the list: {number}", highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out
    )
