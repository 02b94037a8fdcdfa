"""Rows by name: a dataclass's fields are a statement's arrays, COPY's columns, and what becomes of a record.

Nothing here counts places. `unnest` and `columns` write, when a module is imported, the part of a SQL constant that has
to be kept equal to a dataclass; `arrays` gives the values for it. `Query` and `Copy` are SQL constants that know their
dataclass, so that a test can compare them with the database. An annotation decides the type, see `TYPES`.
"""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from itertools import starmap
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg

from shared.kit.postgres.db import Connection

T = TypeVar("T")

TYPES: Mapping[type, tuple[str, ...]] = {
    UUID: ("uuid",),
    str: ("text", "varchar", "bpchar", "name"),
    bool: ("bool",),
    int: ("int8", "int4", "int2"),
    float: ("float8", "float4"),
    bytes: ("bytea",),
    datetime: ("timestamptz",),
    date: ("date",),
    time: ("time",),
    timedelta: ("interval",),
    dict: ("jsonb", "json"),
}
"""Python's type → Postgres's: first the one in which values are sent, with those from which they may be read. Beside
these: `X | None`, `Literal`, `NewType`, `Mapping` as `dict`, and `tuple[X, ...]` for an array. An int is sent as int8:
a function that wants less gets a cast in its statement."""


class Unmappable(TypeError):
    """A dataclass can't be used so. Raised when the module with the statement is imported."""


class OtherColumns(TypeError):
    """Records have other columns than the dataclass has fields."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field as Postgres sees it; `types` as in TYPES, of the elements where it is an array."""

    name: str
    types: tuple[str, ...]
    is_array: bool

    def fits(self, name: str) -> bool:
        """Whether values of a type, by asyncpg's name of it, are what the field is annotated as."""
        return name in ([f"{one}[]" for one in self.types] if self.is_array else self.types)


_known: dict[type, tuple[Column, ...]] = {}


def columns_of(kind: type) -> tuple[Column, ...]:
    """The fields of a dataclass, in order.

    Raises:
        Unmappable: it is no dataclass, has no fields or some that aren't given by position, or an annotation has no
            counterpart: an enum, a union, a list, a nested dataclass, `Any`.
    """
    if (known := _known.get(kind)) is not None:
        return known
    if not is_dataclass(kind) or not fields(kind):
        raise Unmappable(f"{kind.__qualname__} is no dataclass with fields")
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in fields(kind):
        if not field.init or field.kw_only:
            raise Unmappable(f"{kind.__qualname__}.{field.name} isn't given by position")
        postgres, is_array = _postgres(hints[field.name])
        if not postgres:
            raise Unmappable(f"{kind.__qualname__}.{field.name}: {hints[field.name]} is no type of a column")
        found.append(Column(field.name, postgres, is_array))
    _known[kind] = tuple(found)
    return _known[kind]


def _postgres(hint: Any) -> tuple[tuple[str, ...], bool]:
    """(types as in TYPES, whether it is an array); no types: there is no counterpart."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _postgres(inner[0])
    if isinstance(hint, NewType):
        return _postgres(hint.__supertype__)
    if origin in (Union, types.UnionType):
        there = [one for one in inner if one is not types.NoneType]
        return _postgres(there[0]) if len(there) == 1 else ((), False)
    if origin is Literal:
        of = {type(one) for one in inner}
        return (TYPES.get(of.pop(), ()) if len(of) == 1 else ()), False
    if origin is tuple:
        if len(inner) != 2 or inner[1] is not Ellipsis:
            return (), False
        element, nested = _postgres(inner[0])
        return ((), False) if nested else (element, True)
    return TYPES.get(dict if origin in (dict, Mapping) else hint, ()), False


def columns(kind: type, of: str = "") -> str:
    """`id, state` for a list of columns; with a table's alias `h.id, h.state`.

    Raises:
        Unmappable: see `columns_of`.
    """
    return ", ".join(f"{of}.{column.name}" if of else column.name for column in columns_of(kind))


def unnest(kind: type, name: str = "n", first: int = 1) -> str:
    """`unnest($1::uuid[], $2::text[]) AS n (id, state)`: rows of a dataclass, for which `arrays` gives the values.

    Args:
        kind: the dataclass.
        name: the alias.
        first: the number of the first parameter; those of other values come before it.

    Raises:
        Unmappable: see `columns_of`, or a field is an array: Postgres would lay arrays of arrays end to end. Send their
            elements as one text and part them in the statement.
    """
    if nested := [column.name for column in columns_of(kind) if column.is_array]:
        raise Unmappable(f"{kind.__qualname__}.{nested[0]} is an array: unnest lays arrays of arrays end to end")
    sent = ", ".join(f"${number}::{column.types[0]}[]" for number, column in enumerate(columns_of(kind), first))
    return f"unnest({sent}) AS {name} ({columns(kind)})"


def arrays(kind: type[T], rows: Iterable[T]) -> list[list[object]]:
    """An array a field, each as long as there are rows, in the order of `unnest`."""
    held = rows if isinstance(rows, Sequence) else list(rows)
    return [list(map(attrgetter(column.name), held)) for column in columns_of(kind)]


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[object, ...]]:
    # of one name attrgetter gives the value itself
    return attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)


def row_to(kind: type[T]) -> Callable[[asyncpg.Record], T]:
    """What makes a record into a dataclass, as `rows_to` does with many."""
    make = rows_to(kind)
    return lambda record: make((record,))[0]


def rows_to(kind: type[T]) -> Callable[[Sequence[asyncpg.Record]], list[T]]:
    """What makes records of one statement into a dataclass, by the names of their columns; others may lie beside them.

    Arrays become tuples. Whether a value may be NULL, nobody checks.

    Raises:
        Unmappable: see `columns_of`.
        OtherColumns: raised by what is returned, where a column is missing; at the first record, so that many cost no
            more than by position.
    """
    wanted = tuple(column.name for column in columns_of(kind))
    arrays_at = tuple(place for place, column in enumerate(columns_of(kind)) if column.is_array)

    def make(records: Sequence[asyncpg.Record]) -> list[T]:
        if not records:
            return []
        there = tuple(records[0].keys())
        rows: Iterable[Any] = records
        if there != wanted:
            if missing := [name for name in wanted if name not in there]:
                raise OtherColumns(f"no column {', '.join(missing)} for {kind.__qualname__} among {', '.join(there)}")
            rows = map(itemgetter(*wanted), records) if len(wanted) > 1 else ((one[wanted[0]],) for one in records)
        if arrays_at:
            rows = (_with_tuples(row, arrays_at) for row in rows)
        return list(starmap(kind, rows))

    return make


def _with_tuples(row: Iterable[Any], places: Iterable[int]) -> list[Any]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = tuple(values[place])
    return values


class Query(Generic[T]):
    """A SQL constant whose rows are one dataclass: each of its columns a field, in any order, and no others.

    A test prepares it and compares names and types.

    Raises:
        Unmappable: see `columns_of`.
    """

    __slots__ = ("kind", "make", "text")

    def __init__(self, kind: type[T], text: str) -> None:
        self.kind = kind
        self.text = text
        self.make = rows_to(kind)


class Copy(Generic[T]):
    """The way of a dataclass's rows into a table, by COPY: half of what INSERT from arrays costs server and client.

    Raises:
        Unmappable: see `columns_of`, or a field is JSON, which COPY doesn't take from us.
    """

    __slots__ = ("kind", "names", "table", "values")

    def __init__(self, kind: type[T], table: str) -> None:
        if json := [column.name for column in columns_of(kind) if column.types == TYPES[dict]]:
            raise Unmappable(f"{kind.__qualname__}.{json[0]} is JSON, which COPY doesn't take")
        self.kind = kind
        self.table = table
        self.names = tuple(column.name for column in columns_of(kind))
        self.values = _values_of(self.names)


async def many(conn: Connection, query: Query[T], *values: object) -> list[T]:
    """All rows, in order.

    Raises:
        OtherColumns: a field has no column.
        asyncpg.PostgresError: as from any statement.
    """
    return query.make(await conn.fetch(query.text, *values))


async def one(conn: Connection, query: Query[T], *values: object) -> T | None:
    """The first row; None: there is none. Raises as `many`."""
    row = await conn.fetchrow(query.text, *values)
    return None if row is None else query.make((row,))[0]


async def age_s(conn: Connection, statement: str) -> float:
    """The age in seconds that a statement answers with, 0 where nothing is there to have one."""
    found: float | None = await conn.fetchval(statement)
    return found or 0.0


async def copy_rows(conn: Connection, into: Copy[T], rows: Sequence[T]) -> None:
    """Append rows in their order; none of them costs nothing. Raises asyncpg.PostgresError as an INSERT would."""
    if rows:
        await conn.copy_records_to_table(into.table, records=map(into.values, rows), columns=into.names)


def mismatches(columns_read: Iterable[tuple[str, str]], kind: type) -> list[str]:
    """How columns (name, asyncpg's name of the type) and a dataclass differ, in words; empty where they don't."""
    read = list(columns_read)
    there = dict(read)
    wanted = {column.name: column for column in columns_of(kind)}
    return [
        *(["two columns have one name"] if len(there) < len(read) else []),
        *(f"{kind.__qualname__}.{name} has no column" for name in wanted if name not in there),
        *(f"column {name} is no field of {kind.__qualname__}" for name in there if name not in wanted),
        *(
            f"{kind.__qualname__}.{name} can't be a column of {there[name]}"
            for name, column in wanted.items()
            if name in there and not column.fits(there[name])
        ),
    ]
