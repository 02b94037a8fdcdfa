"""Numbers of a file's rows, remembered on disk: a file of millions of rows costs no more memory than one of ten."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import orjson

from shared.cli.report_files import Reject, Row

SQL_MAKE = "CREATE TABLE seen (id TEXT PRIMARY KEY, content BLOB, line INTEGER) WITHOUT ROWID"
SQL_KEEP = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)"
SQL_FIRST = "SELECT content, line FROM seen WHERE id = ?"


class Numbers:
    """A database of its own in a temporary file, which goes with the object."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(SQL_MAKE)

    def checked(self, rows: Iterable[Row | Reject]) -> Iterator[Row | Reject]:
        """The rows; one with the number of an earlier row and other content is refused, with that one's line.

        The same row twice is none's harm: the suite answers as it did to the first.
        """
        for row in rows:
            yield self._checked(row) if isinstance(row, Row) else row

    def _checked(self, row: Row) -> Row | Reject:
        content = hashlib.blake2b(orjson.dumps(row.body), digest_size=16).digest()
        if self._database.execute(SQL_KEEP, (row.id, content, row.line)).rowcount:
            return row
        first, line = self._database.execute(SQL_FIRST, (row.id,)).fetchone()
        if first == content:
            return row
        return Reject(row.line, row.id, f"id: line {line} has the same id and other content")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
