"""Reports as a CSV file: reading, checking and translating one row at a time."""

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from shared.cli.tables import COMMA, QUOTE, SHORTENED, encoding_problem, header_problem, nameless, read_table, shortened
from shared.events.inbound_reports import ReportSubmission
from shared.kit.cells import original

COLUMNS = ("id", "lng", "lat", "datum", "kind", "occurred_at", "rider", "text")
ACCURACY = "accuracy_m"
"""A column that a file may have; an empty cell in it says that the radius is unknown."""
FAULT = "fault"
"""Under this name stands what is wrong with a row as CSV; empty where nothing is."""
# A text of more lines is no text: somebody forgot to close a quotation mark.
LINES_MAX = 200
KIND_COLUMNS = ("foreign", "kind")
# A table of a city's own words needn't repeat these
_CATALOGUE_CODE = re.compile(r"(part|event)-\d{5}|local-[a-z0-9-]+")
_DATUMS = frozenset({"wgs84", "gcj02", "bd09"})
_DATE_FORMS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日",
)


class ReportFileError(ValueError):
    """The file as a whole can't be used; the text says why and where."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that may be sent. `body` as POST /v1/reports:batch takes it."""

    line: int
    id: str
    rider: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that may not."""

    line: int
    id: str
    reason: str


# A field that is too long for a report must refuse its row, not end the file.
csv.field_size_limit(64 * 1024 * 1024)


def read_rows(raw: BinaryIO, encoding: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line where it begins, cells by column) of each row that isn't empty, one at a time.

    Raises:
        ReportFileError: a column is missing, or the bytes aren't in the encoding.
    """
    try:
        text = io.TextIOWrapper(raw, encoding=encoding, newline="")  # "": a quoted text may have line breaks of its own
    except LookupError as error:
        raise ReportFileError(f"no encoding is called {encoding}") from error
    try:
        feed = _Feed(text)
        header = next(csv.reader(feed), [])
        if problem := header_problem(COLUMNS, header, (ACCURACY,)):
            raise ReportFileError(f"line 1: {problem}")
        places = {name: header.index(name) for name in (*COLUMNS, ACCURACY) if name in header}
        while (record := _record(feed, len(header), places)) is not None:
            first, cells, fault = record
            values = {name: original(cells[at].strip()) if at < len(cells) else "" for name, at in places.items()}
            if any(values.values()):
                values[FAULT] = fault or (COMMA if nameless(header, cells) else "")
                yield first, values
    except UnicodeError as error:  # also of codecs that decode nothing
        text.detach().seek(0)
        raise ReportFileError(encoding_problem(raw.read(4), encoding)) from error
    except csv.Error as error:
        raise ReportFileError(f"not CSV: {error}") from error
    finally:
        with contextlib.suppress(ValueError):  # an error has detached it already
            text.detach()  # `raw` is the caller's to close


class _Feed:
    """Physical lines, of which some may be given back. `line`: number of the last one taken."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self._back: list[str] = []
        self.taken: list[str] = []
        self.line = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= LINES_MAX:
            raise StopIteration  # the record ends here, as at the end of the file
        line = self._back.pop() if self._back else next(self._text)
        self.taken.append(line)
        self.line += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        """Let these come again."""
        self._back.extend(reversed(lines))
        self.line -= len(lines)


def _record(feed: _Feed, columns: int, places: dict[str, int]) -> tuple[int, list[str], str] | None:
    """(line where it begins, cells, what is wrong) of the next row; None at the end.

    A quotation mark that isn't closed would take all rows behind it into one text: they are given back.
    """
    feed.taken = []
    first = feed.line + 1
    cells = next(csv.reader(feed), None)
    if cells is None:
        return None
    lines = feed.taken
    if not _closed(lines) or any(_is_row(line, columns, places) for line in lines[1:]):
        feed.give_back(lines[1:])
        return first, next(csv.reader(lines[:1])), QUOTE
    return first, cells, ""


def _closed(lines: list[str]) -> bool:
    """Whether every quotation mark that opens a cell has one that closes it."""
    try:
        list(csv.reader(lines, strict=True))
    except csv.Error as error:
        return str(error) != "unexpected end of data"
    return True


def _is_row(line: str, columns: int, places: dict[str, int]) -> bool:
    """Whether a line inside a text is a row of its own: as many cells, and a datum where it belongs."""
    cells = next(csv.reader([line]), [])
    return len(cells) >= columns and cells[places["datum"]].strip().lower() in _DATUMS


def read_kinds(file: Path, encoding: str) -> dict[str, str]:
    """The city's words to kinds of the catalogue.

    Raises:
        CliError: a column is missing, or the bytes aren't in the encoding.
        ReportFileError: a word stands for two kinds.
    """
    kinds: dict[str, str] = {}
    for line, cells in read_table(file, KIND_COLUMNS, encoding):
        foreign, kind = cells["foreign"], cells["kind"]
        if foreign and kinds.setdefault(foreign, kind) != kind:
            raise ReportFileError(f"{file}:{line}: {foreign} stands for {kinds[foreign]} and {kind}")
    return kinds


def parse(line: int, cells: dict[str, str], kinds: dict[str, str] | None, zone: ZoneInfo) -> Row | Reject:
    """One row as the suite takes it, or why it can't. `zone`: the city's, of times that name none."""
    if cells.get(FAULT):
        return Reject(line, cells["id"], cells[FAULT])
    if lost := next((name for name in ("id", "rider") if shortened(cells[name])), None):
        return Reject(line, cells["id"], f"{lost} {cells[lost]}: {SHORTENED}")
    kind = cells["kind"]
    if kinds is not None:
        kind = kinds.get(kind, kind if _CATALOGUE_CODE.fullmatch(kind) else "")
    if not kind:
        return Reject(line, cells["id"], f"kind: {cells['kind'] or 'empty'} isn't in the table of kinds")
    when = moment(cells["occurred_at"], zone)
    if when is None:
        return Reject(line, cells["id"], "occurred_at: not a date and time")
    place: dict[str, Any] = {
        "lng": _number(cells["lng"]),
        "lat": _number(cells["lat"]),
        "datum": cells["datum"].lower(),
    }
    if ACCURACY in cells:
        place["accuracy_m"] = _number(cells[ACCURACY]) or None
    body = {
        "external_id": cells["id"],
        "rider": cells["rider"],
        "kind": kind,
        "place": place,
        "occurred_at": when.isoformat(),
        "text": cells["text"],
    }
    try:
        checked = ReportSubmission.model_validate(body)
    except ValidationError as bad:
        problems = bad.errors(include_url=False, include_input=False)
        return Reject(line, cells["id"], "; ".join(f"{_column(one['loc'])}: {one['msg']}" for one in problems))
    return Row(line, checked.external_id, checked.rider, checked.model_dump(mode="json"))


def moment(text: str, zone: ZoneInfo) -> datetime | None:
    """An instant; without a zone it is the city's, with its history: China had summer time until 1991.

    None: not readable.
    """
    found: datetime | None = None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        for form in _DATE_FORMS:
            try:
                found = datetime.strptime(text, form)  # noqa: DTZ007  # the zone is added below
                break
            except ValueError:
                continue
    if found is None:
        return None
    try:
        # in UTC: offsets of long ago have seconds, which ISO 8601 doesn't
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def _column(loc: tuple[int | str, ...]) -> str:
    """The file's name of a field."""
    last = str(loc[-1])
    return {"external_id": "id"}.get(last, last)


def _number(cell: str) -> float | str:
    """A cell's number, as JSON has it; what is none stays as it is, and is refused by its name."""
    try:
        return float(cell)
    except ValueError:
        return cell
