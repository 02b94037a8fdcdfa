"""Putting a map in force: what vanishes or moves, who depends on it, who takes it over."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.cli.client import Client, CliError
from shared.cli.screen import Cells, Screen
from shared.cli.tables import read_table
from shared.events.registry import services

out = Screen()
COLUMNS = ("old_code", "new_code")
MAPPING_HELP = "CSV with columns old_code, new_code and, where an area is divided, share (0 to 1)"
MAPPING_ENCODING_HELP = "of the mapping file; Excel in Chinese saves gb18030"
ACCEPT_HELP = "let areas vanish, or codes stand for other ground, whatever is kept under them"
_REMARKS = ("note", "备注")
SHOWN_MAX = 30
Dependents = Mapping[str, Mapping[str, int]]
"""Area code → name of the thing → how many."""
Mapped = dict[int, dict[str, Any]]
"""Line of the file → who takes over there."""
_FAULTY = "承接表有误 / The mapping can't be followed"


def put_in_force(
    client: Client, version: str, *, strict: bool, mapping: Mapped, accept: bool, dry_run: bool = False
) -> bool:
    """Check, list what vanishes or moves, and activate. False: nobody takes over from codes that vanish, or codes
    stand for other ground, and that isn't accepted.

    Raises:
        CliError: the service refuses; every faulty line of the mapping is named as the file counts it.
    """
    wanted = {"strict": strict, "mapping": list(mapping.values())}
    path = f"/v1/areas/versions/{version}/activate"
    try:
        found = client.post(path, {**wanted, "dry_run": True})
    except CliError as error:
        if error.code == "invalid_mapping":
            raise _as_in_file(error, list(mapping)) from error
        raise
    lost = [area["code"] for area in found["vanishing"] if not area["successors"]]
    moved = [area["code"] for area in found["moved"]]
    kept = dependents_of(client, [*(area["code"] for area in found["vanishing"]), *moved])
    _show_vanishing(found["vanishing"], kept)
    _show_moved(found["moved"], kept)
    # also where nothing is kept now: reports on their way may be kept there a moment later
    if moved and not accept:
        out.print(
            f"[red]未启用 / Not activated[/red]: {len(moved)} 个编号改指别处（{_with(moved, kept)} 个下有内容）："
            "给新的范围用新编号，或用 --accept 让其留在原编号 / codes stand for other ground, "
            f"{_with(moved, kept)} with something kept there: give the ground new codes, or --accept it",
            soft_wrap=True,
        )
        return False
    if lost and not accept:
        out.print(
            f"[red]未启用 / Not activated[/red]: {len(lost)} 个区域将消失（{_with(lost, kept)} 个下有内容）："
            f"用 --mapping 说明由谁承接，或用 --accept 放弃 / areas vanish, {_with(lost, kept)} with something kept: "
            "name who takes over (--mapping), or --accept",
            soft_wrap=True,
        )
        return False
    if dry_run:
        out.print(f"仅检查，未启用 / Only checked, nothing changed: {found['changed']} areas would change")
        return True
    _show_activated(client.post(path, {**wanted, "accept": accept}))
    return True


def read_mapping(file: Path, encoding: str = "utf-8-sig") -> Mapped:
    """The lines of a mapping file, by where they stand in it.

    Raises:
        CliError: no such columns or others, or lines that are no codes or shares; each is named.
    """
    lines: Mapped = {}
    faults: list[str] = []
    rows = read_table(file, COLUMNS, encoding, optional=("share", *_REMARKS), others=False, option="--mapping-encoding")
    for number, row in rows:
        share = _share(row["share"] or "1")
        if not (row["old_code"] and row["new_code"]):
            faults.append(f"line {number}: a code is missing")
        elif share is None:
            faults.append(f"line {number}: {row['share']} is no share between 0 and 1")
        else:
            lines[number] = {"old_code": row["old_code"], "new_code": row["new_code"], "share": share}
    if faults:
        raise CliError(_FAULTY, "; ".join(faults))
    return lines


def dependents_of(client: Client, codes: Sequence[str]) -> Dependents:
    """What all services keep under these codes."""
    found: dict[str, dict[str, int]] = {}
    if not codes:
        return found
    for service in services():
        answer = client.post(f"/ops/{service}/areas/dependents", {"codes": list(codes)})
        for thing, counts in answer["dependents"].items():
            for code, number in counts.items():
                found.setdefault(code, {})[thing] = number
    return found


def _with(codes: Sequence[str], kept: Dependents) -> int:
    return sum(code in kept for code in codes)


def _as_in_file(error: CliError, numbers: Sequence[int]) -> CliError:
    """The service counts the lines that it was sent; people look into a file with a header and empty lines."""
    faults = [f"line {numbers[one['line'] - 1]}: {one['code']}: {one['problem']}" for one in error.faults]
    return CliError(_FAULTY, "; ".join(faults), error.status, error.hint)


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


def _show_vanishing(vanishing: Sequence[Mapping[str, Any]], kept: Dependents) -> None:
    if not vanishing:
        return
    concerned = sorted(vanishing, key=lambda area: (area["code"] not in kept, bool(area["successors"]), area["code"]))
    rows = [(area, ", ".join(area["successors"]) or "—") for area in concerned]
    _show(f"将消失 / Vanishing: {len(rows)}", "successors", rows, kept)
    out.print("令牌中的区域由身份系统发放，请在那里更新 / Areas in people's tokens are changed where tokens are issued")


def _show_moved(moved: Sequence[Mapping[str, Any]], kept: Dependents) -> None:
    if not moved:
        return
    concerned = sorted(moved, key=lambda area: (area["code"] not in kept, area["code"]))
    rows = [(area, f"{area['share']:.0%}") for area in concerned]
    _show(f"改指别处 / On other ground: {len(rows)}", "in common", rows, kept)


def _show(title: str, what: str, rows: Sequence[tuple[Mapping[str, Any], str]], kept: Dependents) -> None:
    table = Cells("code", "level", what, "kept there", title=title)
    for area, words in rows[:SHOWN_MAX]:
        things = ", ".join(f"{number} {thing}" for thing, number in sorted(kept.get(area["code"], {}).items()))
        table.add_row(area["code"], area["level"], words, things or "—")
    if len(rows) > SHOWN_MAX:
        table.add_row(f"… {len(rows) - SHOWN_MAX} more")
    out.print(table)


def _show_activated(answer: Any) -> None:
    version, findings = answer["version"], answer["findings"]
    out.print(
        f"[green]已启用 / In force[/green]: {version['version_id']}, {version['areas']} areas,"
        f" {version['grids']} grids; overlaps {findings['overlaps_total']}, holes {findings['holes_total']}"
    )
