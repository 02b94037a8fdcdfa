"""Reports as a CSV file: reading, checking and translating one row at a time."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from shared.events.inbound_reports import ReportSubmission

COLUMNS = ("id", "lng", "lat", "datum", "kind", "occurred_at", "rider", "text")
SURPLUS = "surplus cells"
"""Under this name stands what a row has beyond its columns: the end of a text that was cut at a comma."""
KIND_COLUMNS = ("foreign", "kind")
# A table of a city's own words needn't repeat these
_CATALOGUE_CODE = re.compile(r"(part|event)-\d{5}|local-[a-z0-9-]+")
# With a zone's history: China had summer time until 1991.
CITY_ZONE = ZoneInfo("Asia/Shanghai")
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
        records = csv.reader(text)
        header = next(records, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise ReportFileError(f"line 1: no column {', '.join(missing)}; needed: {', '.join(COLUMNS)}")
        places = {name: header.index(name) for name in COLUMNS}
        first = records.line_num + 1  # of the row to come: a quoted text may run over several lines
        for cells in records:
            values = {name: cells[at].strip() if at < len(cells) else "" for name, at in places.items()}
            if any(values.values()):
                values[SURPLUS] = "".join(cells[len(header) :]).strip()
                yield first, values
            first = records.line_num + 1
    except UnicodeDecodeError as error:
        raise ReportFileError(f"not {encoding}: try --encoding gb18030, or save it as UTF-8") from error
    except csv.Error as error:
        raise ReportFileError(f"not CSV: {error}") from error
    finally:
        text.detach()  # `raw` is the caller's to close


def read_kinds(file: Path, encoding: str) -> dict[str, str]:
    """The city's words to kinds of the catalogue.

    Raises:
        ReportFileError: a column is missing, or a word stands for two kinds.
    """
    kinds: dict[str, str] = {}
    try:
        with file.open(encoding=encoding, newline="") as source:
            lines = csv.DictReader(source)
            if any(name not in (lines.fieldnames or ()) for name in KIND_COLUMNS):
                raise ReportFileError(f"{file}: needs the columns {', '.join(KIND_COLUMNS)}")
            for cells in lines:
                foreign, kind = ((cells[name] or "").strip() for name in KIND_COLUMNS)
                if foreign and kinds.setdefault(foreign, kind) != kind:
                    raise ReportFileError(f"{file}:{lines.line_num}: {foreign} stands for {kinds[foreign]} and {kind}")
    except UnicodeDecodeError as error:
        raise ReportFileError(f"{file}: not {encoding}") from error
    return kinds


def parse(line: int, cells: dict[str, str], kinds: dict[str, str] | None) -> Row | Reject:
    """One row as the suite takes it, or why it can't."""
    if cells.get(SURPLUS):
        return Reject(line, cells["id"], "more cells than columns: a text with a comma needs quotes around it")
    kind = cells["kind"]
    if kinds is not None:
        kind = kinds.get(kind, kind if _CATALOGUE_CODE.fullmatch(kind) else "")
    if not kind:
        return Reject(line, cells["id"], f"kind: {cells['kind'] or 'empty'} isn't in the table of kinds")
    when = moment(cells["occurred_at"])
    if when is None:
        return Reject(line, cells["id"], "occurred_at: not a date and time")
    body = {
        "external_id": cells["id"],
        "rider": cells["rider"],
        "kind": kind,
        "place": {"lng": cells["lng"], "lat": cells["lat"], "datum": cells["datum"].lower()},
        "occurred_at": when.isoformat(),
        "text": cells["text"],
    }
    try:
        checked = ReportSubmission.model_validate(body)
    except ValidationError as bad:
        problems = bad.errors(include_url=False, include_input=False)
        return Reject(line, cells["id"], "; ".join(f"{_column(one['loc'])}: {one['msg']}" for one in problems))
    return Row(line, checked.external_id, checked.rider, checked.model_dump(mode="json"))


def moment(text: str) -> datetime | None:
    """An instant; without a zone it is Asia/Shanghai. None: not readable."""
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
    return found if found.tzinfo else found.replace(tzinfo=CITY_ZONE)


def _column(loc: tuple[int | str, ...]) -> str:
    """The file's name of a field."""
    last = str(loc[-1])
    return {"external_id": "id"}.get(last, last)
