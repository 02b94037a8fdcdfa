"""Tables that people keep in spreadsheets: which file it really is, and in which line something is wrong."""

import csv
from collections.abc import Sequence
from pathlib import Path

from shared.cli.client import CliError
from shared.events.outside import plain

_TITLE = "文件有误 / The file can't be read"


def header_problem(columns: Sequence[str], header: Sequence[str]) -> str | None:
    """What to do about a header that lacks columns; None where it has all."""
    missing = [name for name in columns if name not in header]
    if not missing:
        return None
    line = header[0] if len(header) == 1 else ""
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in line:
            return f"cells are parted by {name}: save it as CSV with commas (CSV UTF-8)"
    return f"no column {', '.join(missing)}; needed: {', '.join(columns)}"


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
    option: str = "--encoding",
) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row; rows of nothing but commas, as spreadsheets leave them, are none.

    Args:
        file: CSV with a header.
        columns: those that it must have; others are left out.
        encoding: of the file.
        key: columns that together may stand once only, in whatever form a keyboard has written them.
        optional: columns that may lack: their cells are empty then.
        option: what the command calls the encoding.

    Raises:
        CliError: with the line, and what to do.
    """
    start = file.open("rb").read(4)
    rows: list[tuple[int, dict[str, str]]] = []
    seen: dict[tuple[str, ...], int] = {}
    try:
        with file.open(encoding=encoding, newline="") as source:
            lines = csv.DictReader(source)
            if problem := header_problem(columns, lines.fieldnames or ()):
                raise CliError(_TITLE, f"{file}:1: {problem}")
            for found in lines:
                cells = {name: (found.get(name) or "").strip() for name in (*columns, *optional)}
                if not any(cells.values()):
                    continue
                named = tuple(plain(cells[name]) for name in key)
                if key and named in seen:
                    told = f"{', '.join(named)} stands in line {seen[named]} already"
                    raise CliError(_TITLE, f"{file}:{lines.line_num}: {told}", hint="keep one of the two")
                seen[named] = lines.line_num
                rows.append((lines.line_num, cells))
    except UnicodeError as error:  # also of codecs that decode nothing
        raise CliError(_TITLE, f"{file}: {encoding_problem(start, encoding, option)}") from error
    except LookupError as error:
        raise CliError(_TITLE, f"no encoding is called {encoding}", hint=f"try {option} gb18030") from error
    except csv.Error as error:
        raise CliError(_TITLE, f"{file}: not CSV: {error}") from error
    return rows
