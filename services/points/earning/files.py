"""Rules as a CSV file, out and in: each faulty cell is named with its line and column. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, get_args
from zoneinfo import ZoneInfo

from services.points.earning.rows import NAME, NAME_MAX, POINTS_MAX, RuleFault, RuleRow, Sort
from shared.events.outside import one_line, plain

COLUMNS = (
    "rule", "sort", "source", "area", "kind", "level", "action", "role", "outcome", "points", "co_percent", "co_max",
    "per", "each", "points_max", "count_max", "percent", "from", "until", "zh", "en",
)  # fmt: skip
WORDS: Mapping[str, frozenset[str]] = {
    "sort": frozenset(get_args(Sort)),
    "source": frozenset({"", "report", "deed"}),
    "level": frozenset({"", "emergency", "hazard", "routine"}),
    "per": frozenset({"", "day", "week"}),
    "each": frozenset({"", "kind", "grid"}),
}
NUMBERS: Mapping[str, tuple[int, int]] = {
    "points": (0, POINTS_MAX), "co_percent": (0, 100), "co_max": (0, 1_000), "points_max": (0, POINTS_MAX),
    "count_max": (0, POINTS_MAX), "percent": (1, 1_000),
}  # fmt: skip
CODES = ("area", "kind", "action", "role", "outcome")
CODE_MAX, TITLE_MAX, ROWS_MAX, FAULTS_MAX = 64, 60, 2_000, 100


class _Wrong(ValueError):
    """What is wrong with one cell."""


def read(text: str, zone: ZoneInfo) -> tuple[list[RuleRow], list[RuleFault]]:
    """The rules of a file, and what can't be read as one. A date without time is the city's midnight.

    Lines are the file's, from 1: the header's.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[RuleRow] = []
    faults: list[RuleFault] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if wrong := _header(header):
            return [], [RuleFault(1, column, why) for column, why in wrong]
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) + len(faults) >= ROWS_MAX:
                return rows, [*faults, RuleFault(reader.line_num, "rule", f"more than {ROWS_MAX} rules")]
            row, wrong_cells = _row(header, cells, reader.line_num, zone)
            faults += wrong_cells
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        faults.append(RuleFault(reader.line_num, "rule", f"no CSV: {error}"))
    if not rows and not faults:
        faults.append(RuleFault(1, "rule", "no rule"))
    return rows, faults


def write(rows: Sequence[RuleRow], zone: ZoneInfo) -> str:
    """The file of a set: reading it gives the same rules."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row, column, zone) for column in COLUMNS])
    return text.getvalue()


def _header(header: Sequence[str]) -> list[tuple[str, str]]:
    missing = [
        (column, "the header lacks this column") for column in ("rule", "sort", "zh", "en") if column not in header
    ]
    twice = [(column, "stands twice in the header") for column in COLUMNS if header.count(column) > 1]
    # a stranger's text is not repeated
    unknown = [("rule", f"column {place} of the header is none of: {', '.join(COLUMNS)}")
               for place, column in enumerate(header, 1) if column not in COLUMNS]  # fmt: skip
    return [*missing, *twice, *unknown]


def _row(
    header: Sequence[str], cells: Sequence[str], line: int, zone: ZoneInfo
) -> tuple[RuleRow | None, list[RuleFault]]:
    if len(cells) != len(header):
        return None, [RuleFault(line, "rule", f"{len(cells)} cells where the header has {len(header)}")]
    said = dict(zip(header, cells, strict=True))
    values: dict[str, Any] = {"line": line}  # `_value` reads each column as its field is
    faults = []
    for column in COLUMNS:
        try:
            values[_FIELDS.get(column, column)] = _value(column, said.get(column, ""), zone)
        except ValueError as wrong:
            faults.append(RuleFault(line, column, str(wrong)))
    return (None, faults) if faults else (RuleRow(**values), [])


_FIELDS = {"rule": "name", "from": "begins_at", "until": "ends_at"}


def _value(column: str, said: str, zone: ZoneInfo) -> object:
    """A cell as its field has it. Raises ValueError for one that it can't have."""
    if column in ("zh", "en"):
        if not (words := one_line(said.strip()))[:1] or len(words) > TITLE_MAX:
            raise _Wrong(f"1 to {TITLE_MAX} characters: riders read it")
        return words
    said = str(plain(said))
    if column in NUMBERS:
        return _number(said, *NUMBERS[column])
    if column in ("from", "until"):
        return _instant(said, zone)
    if column == "rule" and not (NAME.match(said) and len(said) <= NAME_MAX):
        raise _Wrong(f"small letters, digits and hyphens, at most {NAME_MAX}")
    if column in WORDS and said not in WORDS[column]:
        raise _Wrong(f"one of {', '.join(sorted(WORDS[column] - {''}))}")
    if column in CODES and (len(said) > CODE_MAX or not said.isprintable()):
        raise _Wrong(f"at most {CODE_MAX} characters")
    return said


def _number(said: str, least: int, most: int) -> int | None:
    if not said:
        return None
    if not said.isascii() or not said.isdigit() or len(said) > 9 or not least <= int(said) <= most:
        raise _Wrong(f"a whole number from {least} to {most}")
    return int(said)


def _instant(said: str, zone: ZoneInfo) -> datetime | None:
    if not said:
        return None
    try:
        found = (
            datetime.combine(date.fromisoformat(said), time(), zone)
            if len(said) <= 10
            else datetime.fromisoformat(said)
        )
    except ValueError:
        raise _Wrong("a day, 2026-05-01, or an instant with its zone") from None
    if found.tzinfo is None or not 1970 < found.year < 9000:
        raise _Wrong("an instant needs its zone, and a year between 1971 and 8999")
    return found.astimezone(UTC)


def _cell(row: RuleRow, column: str, zone: ZoneInfo) -> object:
    value = getattr(row, _FIELDS.get(column, column))
    if not isinstance(value, datetime):
        return "" if value is None else value
    local = value.astimezone(zone)
    return local.date().isoformat() if local.time() == time() else local.isoformat()


def numbered(faults: Sequence[RuleFault]) -> Iterator[RuleFault]:
    """As many faults as anybody reads, by line."""
    yield from sorted(faults, key=lambda fault: fault.line)[:FAULTS_MAX]
