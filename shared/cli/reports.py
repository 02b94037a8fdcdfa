"""`beegrid reports`: yesterday's reports from a file into the suite, and where each one stands back into a file."""

import csv
import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO
from zoneinfo import ZoneInfo

import typer
from rich.progress import TaskProgressColumn

from shared.cli import arguments
from shared.cli.client import Client, CliError, connect
from shared.cli.numbers import Numbers
from shared.cli.report_files import COLUMNS, Reject, ReportFileError, Row, parse, read_kinds, read_rows
from shared.cli.screen import Screen, progress_bars, shown
from shared.cli.whole_files import whole_text
from shared.kit import clock
from shared.kit.cells import neutral

reports_app = typer.Typer(help="上报的批量导入与导出 / Reports in and out", no_args_is_help=True)
out = Screen()
BATCH = 500
RIDERS_REMEMBERED = 100_000
EXPORT_COLUMNS = ("external_id", "report_id", "grid_code", "ambiguous", "case_id", "state", "points")
# Sending again is harmless, so an outage of this length is waited for.
OUTAGE_S_MAX = 120.0
RIDER_KNOWN_S_MAX = 30.0
# What had not settled before this run is waited for while anything moves, and this long when nothing does.
STUCK_S = 10.0
_PASSING = frozenset({429, 502, 503, 504})


@reports_app.command("replay")
def replay(
    file: Annotated[Path, typer.Argument(help=f"CSV with columns {', '.join(COLUMNS)}", exists=True, dir_okay=False)],
    company: Annotated[str, typer.Option(help="企业代码 / whose reports they are", callback=arguments.code)],
    kinds: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns foreign, kind; codes of the catalogue need no line", exists=True, dir_okay=False
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(help="rows a second at most", min=1)] = None,
    register_riders: Annotated[
        bool,
        typer.Option(
            "--register-riders",
            help="register riders that aren't known yet, under their number. This records that they agreed to place "
            "and photo being processed: the company says so, as of the time of the import",
        ),
    ] = False,
    encoding: Annotated[str, typer.Option(help="of the file; Excel in Chinese saves gb18030")] = "utf-8-sig",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="let the suite check every row as it would, and keep nothing")
    ] = False,
    patience: Annotated[int, typer.Option(help="seconds without progress before it stops waiting", min=1)] = 300,
) -> None:
    """导入历史上报 / Send reports of any age, and wait until each is in a case or among those without a grid.

    Safe to repeat: nothing happens twice.
    Dates without a zone are the city's local time. Refused rows go to a file beside it (FILE.rejected.csv: line, id,
    reason) and don't stop the others; the exit status is 1 only when all were refused.
    """
    client = connect()
    require_company(client, company)
    before = progress_of(client, company)
    try:
        mapping = read_kinds(kinds, encoding) if kinds else None
        totals = send(
            client,
            file,
            company,
            mapping,
            Riders(client, company, dry=dry_run) if register_riders else None,
            rate,
            encoding,
            dry=dry_run,
        )
    except ReportFileError as bad:
        raise CliError("文件有误 / The file can't be read", str(bad), hint="correct it and run the same again") from bad
    words = {"accepted": "新收 / accepted", "repeated": "已有 / known before", "refused": "退回 / refused"}
    out.print(", ".join(f"{word} {totals[status]}" for status, word in words.items()))
    if not any(totals.values()):
        out.print("[yellow]文件没有数据行 / The file has no rows[/yellow]")
        return
    if totals["refused"]:
        out.print(f"[yellow]退回原因 / Reasons: {shown(rejected_file(file))}[/yellow]", soft_wrap=True)
        if not totals["accepted"] + totals["repeated"]:
            out.print("[red]全部退回 / Every row was refused[/red]")
            raise typer.Exit(1)
    if dry_run:
        out.print("仅检查，未保存 / Only checked, nothing kept: run it again without --dry-run")
        return
    stuck = before["received"] - before["in_case"] - before["unroutable"]
    settle(client, company, before["received"] + totals["accepted"], patience, stuck)
    out.print("[green]全部落定 / Every accepted row is settled: in a case, or waiting for a person to route it[/green]")


@reports_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help=f"CSV to write: {', '.join(EXPORT_COLUMNS)}", dir_okay=False)],
    company: Annotated[
        str, typer.Option(help="企业代码 / only this one's; all companies if not given", callback=arguments.code)
    ] = "",
) -> None:
    """导出办理结果 / Write where each report stands: grid (empty: none was found), case, state, credited points."""
    client = connect()
    if company:
        require_company(client, company)
    codes = [company] if company else [one["code"] for one in client.pages("/v1/companies")]
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_text(file) as target, progress_bars(out) as progress:
        writer = csv.DictWriter(target, EXPORT_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        task = progress.add_task("导出 / Writing", total=None)
        for code in codes:
            with client.lines("/v1/tracking/export", params={"company": code, "format": "ndjson"}) as lines:
                for line in lines:
                    row = json.loads(line)
                    cells = {name: neutral(value) if isinstance(value, str) else value for name, value in row.items()}
                    writer.writerow(cells | {"ambiguous": "true" if row["ambiguous"] else "false"})
                    progress.advance(task)
        written = int(progress.tasks[task].completed)
    out.print(f"[green]{written} 条 / reports[/green] → {shown(file)}", soft_wrap=True)


class Riders:
    """Registers each rider once, as far as remembered; one who is known already stays as the company has given them."""

    def __init__(self, client: Client, company: str, *, dry: bool = False) -> None:
        self._client = client
        self.dry = dry
        self._company = company
        self._seen: OrderedDict[str, None] = OrderedDict()

    def register(self, rows: Iterable[Row]) -> None:
        """Make those of the rows' riders known who aren't."""
        new = {row.rider for row in rows} - self._seen.keys()
        if not new or self.dry:
            return
        agreed = clock.now().isoformat()
        riders = [{"external_id": rider, "name": rider[:60], "consent_at": agreed} for rider in sorted(new)]
        _repeatable(self._client, "/v1/riders:replay", self._company, {"items": riders})
        self._seen.update(dict.fromkeys(new))
        while len(self._seen) > RIDERS_REMEMBERED:
            self._seen.popitem(last=False)


class Rejects:
    """The file beside: made with the first refused row, so that a clean run leaves none.

    Written row by row: of a run that is broken off it says what was refused so far, and the next run begins it again.
    """

    def __init__(self, file: Path) -> None:
        self.path = rejected_file(file)
        self.path.unlink(missing_ok=True)
        self._target: TextIO | None = None
        self.count = 0

    def add(self, refused: Iterable[Reject]) -> None:
        """Write a batch's refused rows down in the order of their lines: the suite's own answers come last."""
        for reject in sorted(refused, key=lambda one: one.line):
            if self._target is None:
                self._target = self.path.open("w", encoding="utf-8-sig", newline="")
                csv.writer(self._target).writerow(("line", "id", "reason"))
            csv.writer(self._target).writerow((reject.line, neutral(reject.id), neutral(reject.reason)))
            self.count += 1

    def close(self) -> None:
        """Finish the file."""
        if self._target is not None:
            self._target.close()


def rejected_file(file: Path) -> Path:
    """reports.csv → reports.rejected.csv."""
    return file.with_suffix(".rejected.csv")


def send(
    client: Client,
    file: Path,
    company: str,
    kinds: dict[str, str] | None,
    riders: Riders | None,
    rate: int | None,
    encoding: str,
    *,
    dry: bool = False,
) -> dict[str, int]:
    """Send the whole file in batches, in constant memory. Returns the numbers accepted, repeated, refused.

    `dry`: the suite checks all of it and keeps nothing.
    """
    totals = {"accepted": 0, "repeated": 0, "refused": 0}
    rejects = Rejects(file)
    pace = Pace(rate)
    zone = city_zone(client)
    try:
        with (
            progress_bars(out, TaskProgressColumn()) as progress,
            file.open("rb") as raw,
            Numbers() as numbers,
        ):
            task = progress.add_task("发送 / Sending", total=file.stat().st_size)
            parsed = numbers.checked(parse(line, cells, kinds, zone) for line, cells in read_rows(raw, encoding))
            while batch := list(islice(parsed, min(BATCH, rate or BATCH))):
                rows = [one for one in batch if isinstance(one, Row)]
                refused = [one for one in batch if isinstance(one, Reject)]
                try:
                    for status, row, reason in _send_batch(client, company, rows, riders, dry=dry) if rows else ():
                        if status == "refused":
                            refused.append(Reject(row.line, row.id, reason))
                        else:
                            totals[status] += 1
                finally:
                    rejects.add(refused)
                progress.update(task, completed=raw.tell())
                pace.wait(len(batch))
            progress.update(task, completed=file.stat().st_size)
    finally:
        rejects.close()
    totals["refused"] = rejects.count
    return totals


def city_zone(client: Client) -> ZoneInfo:
    """The city's time zone, as the suite has it: here the setting need not be known."""
    return ZoneInfo(client.get("/ops/intake/status")["city_timezone"])


class Pace:
    """Holds a number of rows a second."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._next_s = clock.monotonic_s()

    def wait(self, rows: int) -> None:
        """Sleep until the next batch may leave."""
        if self._rate:
            self._next_s = max(self._next_s + rows / self._rate, clock.monotonic_s() - 1)
            time.sleep(max(0.0, self._next_s - clock.monotonic_s()))


def settle(client: Client, company: str, wanted: int, patience_s: float, stuck: int = 0) -> None:
    """Wait until everything that has been accepted has gone its way. Raises CliError where nothing moves any more.

    `stuck`: earlier reports that had not settled when this run began; a dead letter of last week is not waited for.
    """
    with progress_bars(out) as progress:
        task = progress.add_task("流转 / Settling", total=None)
        best, since_s = -1, clock.monotonic_s()
        target: int | None = None
        while True:
            now = progress_of(client, company)
            if now["received"] >= wanted and target is None:
                target = now["received"]  # what others file meanwhile isn't waited for
            # in a case, or in the queue of those without a grid: what follows, people do
            settled = now["in_case"] + now["unroutable"]
            progress.update(task, completed=settled, total=max(wanted, target or 0))
            quiet_s = clock.monotonic_s() - since_s
            if target is not None and (settled >= target or (settled >= target - stuck and quiet_s > STUCK_S)):
                return
            if now["received"] + settled > best:
                best, since_s = now["received"] + settled, clock.monotonic_s()
            if clock.monotonic_s() - since_s > patience_s:
                raise CliError(
                    "流转停滞 / Nothing moves",
                    f"{settled} of {target or wanted} settled for {patience_s:.0f} s",
                    hint="`beegrid doctor`, `beegrid deadletters list`; then run the same again: it continues",
                )
            time.sleep(0.5)


def _send_batch(
    client: Client, company: str, rows: list[Row], riders: Riders | None, *, dry: bool
) -> Iterator[tuple[str, Row, str]]:
    """(status, row, reason) of each row. A rider just registered needs a moment until intake knows them.

    Of a dry run intake takes those who would be registered for known, and checks everything else.
    """
    if riders is not None:
        riders.register(rows)
    give_up_s = clock.monotonic_s() + (RIDER_KNOWN_S_MAX if riders is not None and not dry else 0.0)
    more = {"dry_run": "true"} if dry else {}
    if dry and riders is not None:
        more["newcomers"] = "true"
    while rows:
        answer = _repeatable(client, "/v1/reports:replay", company, {"items": [row.body for row in rows]}, **more)
        again = []
        for row, item in zip(rows, answer["items"], strict=True):
            problem = item.get("problem") or {}
            if problem.get("code") == "unknown_rider" and clock.monotonic_s() < give_up_s:
                again.append(row)
                continue
            where = f" ({problem['field']})" if problem.get("field") else ""
            yield item["status"], row, f"{problem.get('code', '')}: {problem.get('detail', '')}{where}"
        rows = again
        if rows:
            time.sleep(0.3)


def _repeatable(client: Client, path: str, company: str, body: Any, **more: str) -> Any:
    """POST what may be sent twice; waits for outages. Raises CliError."""
    give_up_s, pause_s = clock.monotonic_s() + OUTAGE_S_MAX, 0.2
    while True:
        try:
            return client.post(path, body, params={"company": company, **more})
        except CliError as error:
            passing = error.status is None or error.status in _PASSING
            if not passing or clock.monotonic_s() > give_up_s:
                raise
        time.sleep(pause_s)
        pause_s = min(5.0, pause_s * 2)


def require_company(client: Client, code: str) -> dict[str, Any]:
    """The company as it is registered. Raises CliError that says so where none has this code."""
    try:
        found: dict[str, Any] = client.get(f"/v1/companies/{code}")
    except CliError as error:
        if error.status not in (404, 422):
            raise
        raise CliError(
            "企业未登记 / Unknown company",
            f"no company has the code {code}; nothing was sent",
            error.status,
            hint=f"`beegrid companies list`, or `beegrid companies add {code} --name …`",
        ) from error
    return found


def progress_of(client: Client, company: str) -> dict[str, int]:
    """How far a company's reports have come: numbers by stage."""
    found: dict[str, int] = client.get("/v1/tracking/progress", params={"company": company})
    return found
