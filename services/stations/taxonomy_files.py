"""Reads the taxonomy from its two files, which a city replaces by its own."""

import csv
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path

from services.stations.domain.taxonomy import Kind, Service, Taxonomy

SHIPPED = Path(__file__).parent / "data"
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KIND = ("code", "zh", "en", "programme", "colour")
_SERVICE = ("code", "zh", "en", "scheme", "group", "group_zh", "group_en", "special", "from", "until")


class TaxonomyError(ValueError):
    """A file can't be used; the text names file, line and column."""


@cache
def load(folder: Path | None = None) -> Taxonomy:
    """The taxonomy of a folder with kinds.csv and services.csv, the shipped one where none is named.

    Raises:
        TaxonomyError: a file lacks a column, a code stands twice with other words, or a cell can't be read.
    """
    where = folder or SHIPPED
    kinds: dict[str, Kind] = {}
    for place, row in _rows(where / "kinds.csv", _KIND):
        kind = Kind(**row)
        if kind.code in kinds or not re.fullmatch(r"#[0-9a-f]{6}", kind.colour):
            raise TaxonomyError(f"{place}: the code stands twice, or the colour isn't #rrggbb")
        kinds[kind.code] = kind
    lines = []
    services: dict[str, Service] = {}
    for place, row in _rows(where / "services.csv", _SERVICE):
        one = _service(place, row)
        first = services.setdefault(one.code, one)
        if (first.zh, first.en, first.special) != (one.zh, one.en, one.special):
            raise TaxonomyError(f"{place}: {one.code} has other words further up")
        lines.append(one)
    return Taxonomy(kinds, services, tuple(lines))


def _service(place: str, row: Mapping[str, str]) -> Service:
    try:
        begins, ends = (date.fromisoformat(row[name]) if row[name] else None for name in ("from", "until"))
    except ValueError:
        raise TaxonomyError(f"{place}: from and until are days, 2026-01-01") from None
    if row["special"] not in ("", "true"):
        raise TaxonomyError(f"{place}: special is true or empty")
    words = {name: row[name] for name in ("code", "zh", "en", "scheme", "group", "group_zh", "group_en")}
    return Service(**words, special=row["special"] == "true", begins_on=begins, ends_on=ends)


def _rows(file: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, strict=True)
        if tuple(reader.fieldnames or ()) != columns:
            raise TaxonomyError(f"{file}: its columns are {', '.join(columns)}")
        found = []
        for row in reader:
            place = f"{file}:{reader.line_num}"
            if not _CODE.fullmatch(row["code"]) or not row["zh"] or not row["en"]:
                raise TaxonomyError(f"{place}: a code of small letters, digits and hyphens, and both names")
            found.append((place, {name: (row[name] or "").strip() for name in columns}))
        return found
