"""Tables that people keep in spreadsheets: which file it really is, and in which line something is wrong."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from shared.cli.client import CliError
from shared.events.outside import plain

_TITLE = "文件有误 / The file can't be read"


COMMA = "more cells than columns: a text with a comma needs quotes around it"
QUOTE = 'a text begins with a quotation mark that is never closed: double it ("") inside quotes'

_SHORTENED = re.compile(r"[+-]?\d(?:\.\d+)?E\+?\d+", re.IGNORECASE)
SHORTENED = (
    "Excel 缩短了这个数字：请把该列设为文本格式后重新填写 / "
    "Excel has shortened this number: format the column as text and write it once more"
)


def header_problem(
    columns: Sequence[str], header: Sequence[str], optional: Sequence[str] = (), *, others: bool = True
) -> str | None:
    """What to do about a header that lacks columns, has one twice or has one written otherwise; None where it is right.

    `optional`: columns that may lack; `others`: whether it may have more than these.
    """
    known = (*columns, *optional)
    missing = [name for name in columns if name not in header]
    if missing:
        line = header[0] if len(header) == 1 else ""
        for mark, name in ((";", "semicolons"), ("\t", "tabs")):
            if mark in line:
                return f"cells are parted by {name}: save it as CSV with commas (CSV UTF-8)"
        return f"no column {', '.join(missing)}; needed: {', '.join(columns)}"
    for name in header:
        meant = next((one for one in known if one == plain(name).strip().lower()), None)
        if name in known and list(header).count(name) > 1:
            return f"the column {name} stands more than once: keep one"
        if name not in known and meant is not None:
            return f"the column {name!r} is written {meant}"
        if name.strip() and name not in known and not others:
            return f"no column is called {name!r}; there may be: {', '.join(known)}"
    return None


def shortened(cell: str) -> bool:
    """Whether a spreadsheet has made 1.38E+10 of a number: its other digits are gone, and many numbers are one now."""
    return _SHORTENED.fullmatch(plain(cell)) is not None


def nameless(header: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a row has text where the header names no column: a comma in a text has moved what stands behind it."""
    return any(cell.strip() for at, cell in enumerate(cells) if at >= len(header) or not header[at].strip())


def encoding_problem(start: bytes, encoding: str, option: str = "--encoding") -> str:
    """What to do about bytes that aren't in the encoding; `start`: the first of the file."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "this is UTF-16, which Excel calls Unicode text: save it as CSV UTF-8"
    if start.startswith(b"PK"):
        return "this is a workbook (.xlsx): save the sheet as CSV UTF-8"
    return f"not {encoding}: try {option} gb18030, or save it as CSV UTF-8"


def read_table(
    file: Path,
    columns: Sequence[str],
    encoding: str,
    key: Sequence[str] = (),
    *,
    optional: Sequence[str] = (),
    others: bool = True,
    option: str = "--encoding",
) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row; rows of nothing but commas, as spreadsheets leave them, are none.

    Args:
        file: CSV with a header.
        columns: those that it must have; others are left out.
        encoding: of the file.
        key: columns that together may stand once only, in whatever form a keyboard has written them.
        optional: columns that may lack: their cells are empty then.
        others: whether it may have more columns.
        option: what the command calls the encoding.

    Raises:
        CliError: with the line, and what to do.
    """
    start = file.open("rb").read(4)
    rows: list[tuple[int, dict[str, str]]] = []
    seen: dict[tuple[str, ...], int] = {}
    begins = 1
    try:
        with file.open(encoding=encoding, newline="") as source:
            lines = csv.reader(source, strict=True)
            header = next(lines, [])
            if problem := header_problem(columns, header, optional, others=others):
                raise CliError(_TITLE, f"{file}:1: {problem}")
            places = {name: header.index(name) for name in (*columns, *optional) if name in header}
            begins = lines.line_num + 1
            for found in lines:
                _refuse_moved(f"{file}:{begins}", header, found)
                begins = lines.line_num + 1
                cells = dict.fromkeys((*columns, *optional), "")
                cells |= {name: found[at].strip() for name, at in places.items() if at < len(found)}
                if not any(cells.values()):
                    continue
                if lost := next((name for name in columns if shortened(cells[name])), None):
                    raise CliError(_TITLE, f"{file}:{lines.line_num}: {lost} {cells[lost]}: {SHORTENED}")
                named = tuple(plain(cells[name]) for name in key)
                if key and named in seen:
                    fault = f"{', '.join(named)} stands in line {seen[named]} already"
                    raise CliError(_TITLE, f"{file}:{lines.line_num}: {fault}", hint="keep one of the two")
                seen[named] = lines.line_num
                rows.append((lines.line_num, cells))
    except UnicodeError as error:  # also of codecs that decode nothing
        raise CliError(_TITLE, f"{file}: {encoding_problem(start, encoding, option)}") from error
    except LookupError as error:
        raise CliError(_TITLE, f"no encoding is called {encoding}", hint=f"try {option} gb18030") from error
    except csv.Error as error:
        fault = QUOTE if "unexpected end" in str(error) else f"not CSV: {error}"
        raise CliError(_TITLE, f"{file}:{begins}: {fault}") from error
    return rows


def _refuse_moved(where: str, header: Sequence[str], cells: Sequence[str]) -> None:
    """Raises CliError for a row that lost a cell or took others in: no cell of such a table has lines of its own."""
    if any("\n" in cell or "\r" in cell for cell in cells):
        raise CliError(_TITLE, f"{where}: {QUOTE}", hint="no cell of this table has more than one line")
    if nameless(header, cells):
        raise CliError(_TITLE, f"{where}: {COMMA}")
