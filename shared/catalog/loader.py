"""Reads the catalogue from CSV files and answers which rule a kind had at an instant."""

import csv
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.catalog.kinds import Clock, Kind, Level

SHIPPED = Path(__file__).parent / "data"
SOURCE = (
    "代码录自 GB/T 47678.5 的公开文本，待与标准正式文本核对。"
    "Codes transcribed from a public copy of GB/T 47678.5: to be verified against the official text."
)
# Where no city says otherwise
BEIJING = ZoneInfo("Asia/Shanghai")
_PREFIX = {"管理部件": "part-", "管理事项": "event-"}
_LOCAL_CODE = re.compile(r"^local-[a-z0-9]+(-[a-z0-9]+)*$")
_ROW = TypeVar("_ROW", bound=BaseModel)


class CatalogueError(ValueError):
    """A catalogue file can't be used; the text names file and line."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a row stands, for errors."""

    file: Path
    number: int

    def error(self, problem: str) -> CatalogueError:
        return CatalogueError(f"{self.file}:{self.number}: {problem}")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


_Text = Annotated[str, Field(min_length=1)]


class _NationalRow(_Row):
    kind: str
    code: Annotated[str, Field(pattern=r"^\d{5}$")]
    category: _Text
    name: _Text


class _LocalRow(_Row):
    code: str
    category: _Text
    name_zh: _Text
    name_en: _Text
    keywords: str = ""


class _NameRow(_Row):
    code: str
    name_en: _Text
    keywords: str = ""


class _GroupRow(_Row):
    category: _Text
    name_en: _Text


class _DepartmentRow(_Row):
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    name_zh: _Text
    name_en: _Text


class _RuleRow(_Row):
    category: str = ""
    code: str = ""
    effective_from: date
    level: Level
    department_kind: str
    limit_hours: Annotated[int, Field(ge=1, le=8760)]
    clock: Clock
    points: Annotated[int, Field(ge=0, le=1_000_000)]
    co_reporter_percent: Annotated[int, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _one_scope(self) -> "_RuleRow":
        if bool(self.category) == bool(self.code):
            raise ValueError("exactly one of category and code must be given")
        return self


@dataclass(frozen=True, slots=True)
class _Known:
    """A kind without its rules."""

    code: str
    name_zh: str
    name_en: str
    category: str
    keywords: tuple[str, ...]
    line: _Line


@dataclass(frozen=True, slots=True)
class _History:
    """All rules that a kind had: kinds[i] is in force from starts[i] on."""

    starts: tuple[datetime, ...]
    kinds: tuple[Kind, ...]


class Catalogue:
    """All kinds of report with their rules over time. Immutable; safe to share."""

    source: str = SOURCE

    def __init__(self, histories: Mapping[str, _History], departments: Mapping[str, tuple[str, str]]) -> None:
        self._histories = dict(histories)
        self.departments: dict[str, tuple[str, str]] = dict(departments)
        """Department kind → Chinese and English name."""

    @staticmethod
    def load(path: Path | str | None = None, zone: ZoneInfo = BEIJING) -> "Catalogue":
        """The catalogue of a folder; files missing there are the shipped ones. Without a path: the shipped one.

        The result is cached per path and zone: a changed file is read by a new process.

        Args:
            path: the folder.
            zone: the city's, at whose midnight a rule begins.

        Raises:
            CatalogueError: a file can't be read, a duplicate code, a missing rule, a bad value; with file and line.
        """
        return _load(None if path is None else Path(path).resolve(), zone)

    def kind(self, code: str, at: datetime) -> Kind | None:
        """The kind with the rule in force at an aware instant; None for an unknown code or before its first rule."""
        history = self._histories.get(code)
        if history is None:
            return None
        if len(history.starts) == 1:  # nearly all kinds
            return history.kinds[0] if at >= history.starts[0] else None
        place = bisect_right(history.starts, at)
        return history.kinds[place - 1] if place else None

    def kinds(self, at: datetime) -> list[Kind]:
        """Every kind that has a rule at that instant, in the files' order."""
        found = (self.kind(code, at) for code in self._histories)
        return [kind for kind in found if kind is not None]

    def __contains__(self, code: object) -> bool:
        return code in self._histories

    def __len__(self) -> int:
        return len(self._histories)


@cache
def _load(folder: Path | None, zone: ZoneInfo) -> Catalogue:
    if folder is not None and not folder.is_dir():
        raise CatalogueError(f"{folder}: no such folder")
    departments = _unique(_read(folder, "departments.csv", _DepartmentRow), "kind")
    groups = _unique(_read(folder, "groups.csv", _GroupRow), "category")
    known = _known_kinds(folder)
    rules = _rules(folder, known, departments.keys())
    histories: dict[str, _History] = {}
    for kind in known.values():
        if kind.category not in groups:
            raise kind.line.error(f"category {kind.category} has no row in groups.csv")
        histories[kind.code] = _history(kind, groups[kind.category].name_en, rules, zone)
    return Catalogue(histories, {row.kind: (row.name_zh, row.name_en) for row in departments.values()})


def _known_kinds(folder: Path | None) -> dict[str, _Known]:
    names = _unique(_read(folder, "names.csv", _NameRow), "code")
    known: dict[str, _Known] = {}

    def add(kind: _Known) -> None:
        if kind.code in known:
            raise kind.line.error(f"code {kind.code} stands twice")
        known[kind.code] = kind

    for line, row in _read(folder, "gb47678_5_codes.csv", _NationalRow):
        if row.kind not in _PREFIX:
            raise line.error(f"kind {row.kind!r} is neither 管理部件 nor 管理事项")
        code = _PREFIX[row.kind] + row.code
        if code not in names:
            raise line.error(f"code {code} has no English name in names.csv")
        words = _keywords(row.name, names[code].keywords)
        add(_Known(code, row.name, names[code].name_en, row.category, words, line))
    for line, local in _read(folder, "local_kinds.csv", _LocalRow):
        if not _LOCAL_CODE.match(local.code):
            raise line.error(f"code {local.code!r} must look like local-some-words")
        words = _keywords(local.name_zh, local.keywords)
        add(_Known(local.code, local.name_zh, local.name_en, local.category, words, line))
    return known


def _keywords(name: str, more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((name, *more.split())))


_Rules = dict[tuple[str, str], list[_RuleRow]]  # ("code" or "category", its value) → rules by date


def _rules(folder: Path | None, known: Mapping[str, _Known], departments: Collection[str]) -> _Rules:
    rules: _Rules = {}
    categories = {kind.category for kind in known.values()}
    seen: set[tuple[str, str, date]] = set()
    for line, row in _read(folder, "rules.csv", _RuleRow):
        scope = ("code", row.code) if row.code else ("category", row.category)
        if row.code and row.code not in known:
            raise line.error(f"rule for an unknown code {row.code}")
        if row.category and row.category not in categories:
            raise line.error(f"rule for an unknown category {row.category}")
        if (*scope, row.effective_from) in seen:
            raise line.error(f"second rule for {scope[1]} from {row.effective_from}")
        if row.department_kind not in departments:
            raise line.error(f"department_kind {row.department_kind!r} has no row in departments.csv")
        seen.add((*scope, row.effective_from))
        rules.setdefault(scope, []).append(row)
    for rows in rules.values():
        rows.sort(key=lambda row: row.effective_from)
    return rules


def _history(known: _Known, group_en: str, rules: _Rules, zone: ZoneInfo) -> _History:
    """The kind at every date where its own rule or its category's changes; its own rule is the stronger one."""
    own = rules.get(("code", known.code), [])
    common = rules.get(("category", known.category), [])
    if not own and not common:
        raise known.line.error(f"code {known.code} has no rule, nor has its category {known.category}")
    starts: list[datetime] = []
    kinds: list[Kind] = []
    for start in sorted({row.effective_from for row in (*own, *common)}):
        rule = next(row for rows in (own, common) for row in reversed(rows) if row.effective_from <= start)
        # In UTC like the instants asked for: comparing across zones costs ten times as much.
        starts.append(datetime.combine(start, time(), zone).astimezone(UTC))
        kinds.append(
            Kind(
                code=known.code,
                name_zh=known.name_zh,
                name_en=known.name_en,
                group=known.category,
                group_en=group_en,
                level=rule.level,
                points=rule.points,
                co_reporter_percent=rule.co_reporter_percent,
                department_kind=rule.department_kind,
                limit_hours=rule.limit_hours,
                clock=rule.clock,
                keywords=known.keywords,
                open311_code=known.code,
            )
        )
    return _History(tuple(starts), tuple(kinds))


def _read(folder: Path | None, name: str, model: type[_ROW]) -> Iterator[tuple[_Line, _ROW]]:
    file = SHIPPED / name if folder is None or not (folder / name).exists() else folder / name
    try:
        # utf-8-sig: spreadsheet programs put a byte order mark in front.
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            for record in reader:
                line = _Line(file, reader.line_num)
                if None in record or None in record.values():
                    raise line.error("the number of fields differs from the header")
                try:
                    yield line, model.model_validate(record)
                except ValidationError as bad:
                    first = bad.errors(include_url=False)[0]
                    field = ".".join(str(part) for part in first["loc"]) or "row"
                    raise line.error(f"{field}: {first['msg']}") from bad
    except (OSError, UnicodeDecodeError, csv.Error) as bad:
        raise CatalogueError(f"{file}: {bad}") from bad


def _unique(rows: Iterator[tuple[_Line, _ROW]], field: str) -> dict[str, _ROW]:
    found: dict[str, _ROW] = {}
    for line, row in rows:
        value = str(getattr(row, field))
        if value in found:
            raise line.error(f"{field} {value} stands twice")
        found[value] = row
    return found
