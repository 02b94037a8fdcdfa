"""Rows by name: what a dataclass holds comes back from Postgres as it was, and what can't is refused at import."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.devtools.installation import Installation
from shared.kit.postgres.db import Connection, prepare_connection
from shared.kit.postgres.rows import (
    Copy,
    OtherColumns,
    Query,
    Unmappable,
    arrays,
    columns,
    copy_rows,
    many,
    mismatches,
    one,
    row_to,
    unnest,
)

Code = NewType("Code", str)


@dataclass(frozen=True, slots=True)
class Sent:
    """Every type that goes by arrays."""

    id: UUID
    text: str
    code: Code
    word: Literal["a", "b"]
    flag: bool
    number: int
    real: float
    raw: bytes
    at: datetime
    on: date
    hour: time
    lasts: timedelta
    body: Mapping[str, Any]
    noted: Annotated[str, "of no meaning here"]
    maybe_id: UUID | None
    maybe_number: int | None
    maybe_at: datetime | None
    maybe_body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Copied:
    """Every type that COPY takes beside those."""

    id: UUID
    number: int
    words: tuple[str, ...]
    ids: tuple[UUID, ...]
    maybe_words: tuple[str, ...] | None
    lasts: timedelta | None


@dataclass(slots=True, eq=False)
class Lonely:
    id: UUID


# as in the schemas: narrower numbers, which are sent as bigint, are taken as they are
TABLE = """
CREATE TEMP TABLE kept (id uuid, text text, code text, word text, flag boolean, number int, real float8, raw bytea,
    at timestamptz, "on" date, hour time, lasts interval, body jsonb, noted varchar, maybe_id uuid,
    maybe_number smallint, maybe_at timestamptz, maybe_body jsonb);
CREATE TEMP TABLE copied (id uuid, number int, words text[], ids uuid[], maybe_words text[], lasts interval);
CREATE TEMP TABLE lonely (id uuid)
"""
ROWS_MAX = 4
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
INT4 = st.integers(-(2**31), 2**31 - 1)
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis wants them so
SPANS = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
BODIES = st.dictionaries(WORDS, st.none() | st.booleans() | INT4 | WORDS | st.lists(WORDS, max_size=2), max_size=3)
SENT = st.builds(
    Sent, id=st.uuids(), text=WORDS, code=WORDS.map(Code), flag=st.booleans(), number=INT4,
    real=st.floats(allow_nan=False), raw=st.binary(max_size=20), at=MOMENTS, on=st.dates(), hour=st.times(),
    lasts=SPANS, body=BODIES, noted=WORDS, maybe_id=st.none() | st.uuids(),
    maybe_number=st.none() | st.integers(-(2**15), 2**15 - 1), maybe_at=st.none() | MOMENTS,
    maybe_body=st.none() | BODIES,
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=3).map(tuple)
COPIED = st.builds(
    Copied, id=st.uuids(), number=INT4, words=TEXTS, ids=st.lists(st.uuids(), max_size=3).map(tuple),
    maybe_words=st.none() | TEXTS, lasts=st.none() | SPANS,
)  # fmt: skip
SENT_COLUMNS = columns(Sent).replace(" on,", ' "on",')
SENT_TEXT = unnest(Sent).replace(" on,", ' "on",')
SQL_KEEP = f"INSERT INTO kept ({SENT_COLUMNS}) SELECT {SENT_COLUMNS} FROM {SENT_TEXT}"
SQL_KEPT = Query(Sent, f"SELECT {SENT_COLUMNS} FROM kept")
SQL_KEPT_BACKWARDS = Query(Sent, f"SELECT {', '.join(reversed(SENT_COLUMNS.split(', ')))} FROM kept")
SQL_COPY = Copy(Copied, "copied")
SQL_COPIED = Query(Copied, "SELECT lasts, maybe_words, ids, words, number, id FROM copied")


@pytest.fixture(scope="module")
async def conn(installation: Installation) -> AsyncIterator[Connection]:
    """As the administrator, who may make tables of their own."""
    made = await asyncpg.connect(f"{installation.infra.postgres_admin_url.rsplit('/', 1)[0]}/{installation.name}")
    await prepare_connection(made)
    await made.execute(TABLE)
    yield made
    await made.close()


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(SENT, max_size=ROWS_MAX))
async def test_what_is_sent_in_arrays_comes_back(conn: Connection, rows: list[Sent]) -> None:
    await conn.execute("TRUNCATE kept")
    await conn.execute(SQL_KEEP, *arrays(Sent, iter(rows)))
    assert await many(conn, SQL_KEPT) == rows
    assert await many(conn, SQL_KEPT_BACKWARDS) == rows, "by name, wherever a column stands"
    assert await one(conn, SQL_KEPT) == (rows[0] if rows else None)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(COPIED, max_size=ROWS_MAX))
async def test_what_is_copied_comes_back(conn: Connection, rows: list[Copied]) -> None:
    await conn.execute("TRUNCATE copied")
    await copy_rows(conn, SQL_COPY, rows)
    assert await many(conn, SQL_COPIED) == rows


async def test_one_column_is_enough(conn: Connection) -> None:
    ids = [uuid4(), uuid4()]
    await copy_rows(conn, Copy(Lonely, "lonely"), [Lonely(id_) for id_ in ids])
    found = await many(conn, Query(Lonely, "SELECT id FROM lonely"))
    assert [row.id for row in found] == ids
    beside = await conn.fetch("SELECT 1 AS other, id FROM lonely")
    assert [row_to(Lonely)(record).id for record in beside] == ids


async def test_the_tables_of_this_file_are_fitting(conn: Connection) -> None:
    for query in (SQL_KEPT, SQL_KEPT_BACKWARDS, SQL_COPIED):
        read = (await conn.prepare(query.text)).get_attributes()
        assert mismatches([(column.name, column.type.name) for column in read], query.kind) == []


async def test_a_missing_column_is_an_error_by_name(conn: Connection) -> None:
    with pytest.raises(OtherColumns, match="no column id for Lonely among other"):
        await one(conn, Query(Lonely, "SELECT 1 AS other"))


def test_the_text_is_made_of_the_fields() -> None:
    @dataclass
    class Row:
        id: UUID
        state: Literal["x"]
        at: datetime | None

    assert unnest(Row) == "unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS n (id, state, at)"
    assert unnest(Row, "u", first=8) == "unnest($8::uuid[], $9::text[], $10::timestamptz[]) AS u (id, state, at)"
    assert (columns(Row), columns(Row, "h")) == ("id, state, at", "h.id, h.state, h.at")
    assert arrays(Row, []) == [[], [], []], "a statement has as many parameters whatever the batch"


def test_a_column_twice_is_found() -> None:
    assert mismatches([("id", "uuid"), ("id", "uuid")], Lonely) == ["two columns have one name"]
    assert mismatches([("id", "uuid")], Lonely) == []


class Level(StrEnum):
    LOW = "low"


def made(annotation: Any, **given: Any) -> type:
    """A dataclass with one field."""
    return dataclass(type("Row", (), {"__annotations__": {"one": annotation}, "one": field(**given)}))


UNFIT = {
    "an enum": made(Level),
    "anything": made(Any),
    "an object": made(object),
    "a list": made(list[str]),
    "a set": made(frozenset[str]),
    "one of two types": made(str | int),
    "words and numbers": made(Literal["a", 1]),
    "a pair": made(tuple[str, str]),
    "an array of arrays": made(tuple[tuple[str, ...], ...]),
    "an array of enums": made(tuple[Level, ...]),
    "a dataclass": made(Lonely),
    "not given": made(str, init=False, default="x"),
    "by name only": dataclass(type("Row", (), {"__annotations__": {"_": KW_ONLY, "one": str}})),
    "no fields": dataclass(type("Row", (), {})),
    "no dataclass": Level,
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_cannot_be_a_column_is_refused_at_import(what: str) -> None:
    for use in (columns, unnest, row_to, lambda kind: Copy(kind, "x"), lambda kind: Query(kind, "SELECT 1")):
        with pytest.raises(Unmappable, match=r"^(Row|Level)"):
            use(UNFIT[what])


def test_each_way_refuses_what_it_cannot_carry() -> None:
    with pytest.raises(Unmappable, match="words is an array: unnest lays"):
        unnest(Copied)
    with pytest.raises(Unmappable, match="body is JSON, which COPY"):
        Copy(Sent, "kept")
