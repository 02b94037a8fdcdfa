"""Every schema out of Postgres at one instant, and back into an empty one. The administrator's role reads and writes.

Rows travel as COPY's text form with fixed session settings: a line a row, the same bytes for the same values on any
server, so that tables compare by hashes of their lines.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from shared.cli.backup import days
from shared.cli.backup.manifest import FileFacts, Manifest, RowHash, SchemaFacts, SequenceFacts, TableFacts, table_path
from shared.cli.client import CliError
from shared.kit.postgres.retention import KIT_TABLES
from shared.provision.migrate import TABLE as MIGRATIONS_TABLE
from shared.provision.services import service_names, tables_of

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# Letters keep their place in the Kafka of before: moved below zero, no new record can have the same.
KAFKA_BEFORE = 1_000_000
LOCK_TRIES = 5
# Text must not depend on the server's or the role's own settings.
SESSION = {
    "application_name": "beegrid-backup",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "search_path": "pg_catalog",
    "lock_timeout": "5s",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}

SQL_TABLES = """
SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY($1::text[]) AND c.relname <> $2
GROUP BY 1, 2, 3 ORDER BY 1, 2
"""
SQL_REFERENCES = """
SELECT DISTINCT child.relname AS child, n.nspname AS schema, parent.relname AS parent
FROM pg_constraint k JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
JOIN pg_namespace n ON n.oid = child.relnamespace
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND n.nspname = ANY($1::text[])
"""
SQL_SEQUENCES = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname = ANY($1::text[]) ORDER BY 1, 2
"""


@dataclass(frozen=True)
class TableName:
    """A table of a service, with the columns that are written (generated ones are not); partitions are no tables."""

    schema: str
    name: str
    columns: tuple[str, ...]
    partitioned: bool = False

    @property
    def quoted(self) -> str:
        """As SQL names it."""
        return f'"{self.schema}"."{self.name}"'


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """The administrator's connection with the session settings that make text comparable. Raises CliError."""
    try:
        conn = await asyncpg.connect(url, timeout=10, command_timeout=None, server_settings=SESSION)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise CliError(
            "Postgres 没有应答 / Postgres doesn't answer",
            f"{type(error).__name__}: {error}",
            hint="is the suite running, and is the administrator's address right?",
        ) from error
    try:
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def snapshot(
    url: str, schemas: Sequence[str], meanwhile: Callable[[], Awaitable[None]]
) -> AsyncIterator[Connection]:
    """A connection that sees all schemas as of one instant.

    At that instant no outbox changes: writers wait, for milliseconds, while `meanwhile` runs. So whatever is on Kafka
    then is either still in an outbox of the snapshot or was committed before it: `meanwhile` reads where topics end.
    No inbox makes or drops a day until the block ends: what it moves between partitions would be in neither.
    """
    async with connected(url) as reader, connected(url) as gate:
        reading = reader.transaction(isolation="repeatable_read", readonly=True)
        await reading.start()
        await reader.execute(f"LOCK TABLE {_each(schemas, 'inbox')} IN ACCESS SHARE MODE")
        await _close_outboxes(gate, schemas)
        await reader.execute("SELECT 1")  # this takes the snapshot
        await meanwhile()
        await gate.execute("ROLLBACK")
        try:
            yield reader
        finally:
            await reading.rollback()


def _each(schemas: Sequence[str], table: str) -> str:
    return ", ".join(f'"{schema}".{table}' for schema in schemas)


async def _close_outboxes(gate: Connection, schemas: Sequence[str]) -> None:
    """Wait until nobody is writing into an outbox, and keep it so. Gives up after a while rather than block writers."""
    names = _each(schemas, "outbox")
    for attempt in range(LOCK_TRIES):
        try:
            await gate.execute(f"BEGIN; LOCK TABLE {names} IN SHARE MODE")
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            await gate.execute("ROLLBACK")
            if attempt == LOCK_TRIES - 1:
                raise CliError(
                    "系统过忙 / The suite is too busy",
                    "a transaction held an outbox all the time",
                    hint="run the same again in a moment; `beegrid doctor`",
                ) from error
            await asyncio.sleep(1.0)
        else:
            return


async def tables(conn: Connection, schemas: Sequence[str]) -> list[TableName]:
    """All tables of the services, without the list of migrations; those that others refer to come first."""
    rows = await conn.fetch(SQL_TABLES, list(schemas), MIGRATIONS_TABLE)
    found = {
        (row["schema"], row["name"]): TableName(row["schema"], row["name"], tuple(row["columns"]), row["partitioned"])
        for row in rows
    }
    order: TopologicalSorter[tuple[str, str]] = TopologicalSorter(dict.fromkeys(sorted(found), ()))
    for row in await conn.fetch(SQL_REFERENCES, list(schemas)):
        order.add((row["schema"], row["child"]), (row["schema"], row["parent"]))
    try:
        return [found[key] for key in order.static_order()]
    except CycleError as error:
        raise CliError("外键成环 / Tables refer to each other in a circle", str(error.args[1])) from error


async def migrations(conn: Connection, schemas: Sequence[str]) -> dict[str, list[str]]:
    """The applied migrations by schema. Raises CliError where a schema is missing."""
    found = {}
    for schema in schemas:
        try:
            rows = await conn.fetch(f'SELECT version FROM "{schema}".{MIGRATIONS_TABLE} ORDER BY version')  # noqa: S608 our own names
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            raise CliError(
                "数据库未就绪 / The database is not set up",
                f"no schema {schema}",
                hint="`make up`, or run the set-up job",
            ) from error
        found[schema] = [row["version"] for row in rows]
    return found


async def sequences(conn: Connection, schemas: Sequence[str]) -> dict[str, dict[str, SequenceFacts]]:
    """All sequences by schema. They are no part of a snapshot: read them after it, for they only run ahead."""
    found: dict[str, dict[str, SequenceFacts]] = {schema: {} for schema in schemas}
    for row in await conn.fetch(SQL_SEQUENCES, list(schemas)):
        state = await conn.fetchrow(f'SELECT last_value, is_called FROM "{row["schema"]}"."{row["name"]}"')  # noqa: S608 names from the catalogue
        assert state is not None, "a sequence always has its one row"
        found[row["schema"]][row["name"]] = SequenceFacts(last_value=state[0], is_called=state[1])
    return found


async def copy_out(conn: Connection, table: TableName, file: Path) -> tuple[TableFacts, FileFacts]:
    """Write a table's rows to a file; what the catalogue says of both."""
    rows, digest, size = RowHash(), hashlib.sha256(), 0
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as target:

        async def take(chunk: bytes) -> None:
            nonlocal size
            target.write(chunk)
            digest.update(chunk)
            rows.add(chunk)
            size += len(chunk)

        await _copy_from(conn, table, take)
    facts = TableFacts(columns=list(table.columns), rows=rows.rows, content=rows.content)
    return facts, FileFacts(sha256=digest.hexdigest(), size_bytes=size)


async def content(conn: Connection, table: TableName) -> TableFacts:
    """Rows and hash of a table as it is now."""
    rows = RowHash()

    async def take(chunk: bytes) -> None:
        rows.add(chunk)

    await _copy_from(conn, table, take)
    return TableFacts(columns=list(table.columns), rows=rows.rows, content=rows.content)


async def _copy_from(conn: Connection, table: TableName, take: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
    if table.partitioned:  # COPY names no partitioned table
        columns = ", ".join(f'"{column}"' for column in table.columns)
        query = f"SELECT {columns} FROM {table.quoted}"  # noqa: S608 names from the catalogue
        await conn.copy_from_query(query, output=take, format="text")
        return
    await conn.copy_from_table(
        table.name, schema_name=table.schema, columns=list(table.columns), output=take, format="text"
    )


@cache
def seeded() -> dict[tuple[str, str], int]:
    """Schemas and tables that migrations fill, and with how many rows: so many are no content of anybody's."""
    return {
        (service, table.name): table.seeded
        for service in service_names()
        for table in (*KIT_TABLES, *tables_of(service))
        if table.seeded
    }


async def occupied(conn: Connection, present: Sequence[TableName]) -> list[str]:
    """Tables with rows that no migration has put there, with how many."""
    found = []
    for table in present:
        rows = await conn.fetchval(f"SELECT count(*) FROM {table.quoted}")  # noqa: S608 names from the catalogue
        if rows > seeded().get((table.schema, table.name), 0):
            found.append(f"{table.schema}.{table.name} ({rows})")
    return found


async def copy_in(
    conn: Connection, folder: Path, manifest: Manifest, present: Sequence[TableName], on_loaded: Callable[[str], None]
) -> list[str]:
    """Load all tables and sequences inside the caller's transaction; what differs from the manifest then.

    `present`: in the order of loading. `on_loaded` gets each table that was loaded and compared.
    """
    differing = []
    for table in reversed(present):  # what refers to a table is loaded after it, and leaves before it
        if (table.schema, table.name) in seeded():
            await conn.execute(f"DELETE FROM {table.quoted}")  # noqa: S608 names from the catalogue
    for table in present:
        wanted = manifest.schemas[table.schema].tables[table.name]
        if table.name == "inbox":
            await days.make(conn, table.schema, folder / table_path(table.schema, table.name))
        # Kept numbers come from the backup like everything else: nothing is counted a second time.
        await conn.execute(f"ALTER TABLE {table.quoted} DISABLE TRIGGER USER")
        await conn.copy_to_table(
            table.name,
            schema_name=table.schema,
            columns=wanted.columns,
            source=folder / table_path(table.schema, table.name),
            format="text",
        )
        if (found := await content(conn, table)) != wanted:
            differing.append(f"{table.schema}.{table.name}: {found.rows} rows, {wanted.rows} in the backup")
        await conn.execute(f"ALTER TABLE {table.quoted} ENABLE TRIGGER USER")
        on_loaded(f"{table.schema}.{table.name}")
    for schema, facts in manifest.schemas.items():
        for name, state in facts.sequences.items():
            await conn.execute(
                "SELECT setval(format('%I.%I', $1::text, $2::text)::regclass, $3, $4)",
                schema,
                name,
                state.last_value,
                state.is_called,
            )
    after = await sequences(conn, list(manifest.schemas))
    wanted_sequences = {schema: facts.sequences for schema, facts in manifest.schemas.items()}
    if after != wanted_sequences:
        differing.append("sequences")
    return differing


async def set_letters_apart(conn: Connection, schemas: Sequence[str]) -> None:
    """A new Kafka counts its offsets from 0: a new letter must not be taken for an old one of the same place."""
    for schema in schemas:
        await conn.execute(f'UPDATE "{schema}".dead_letters SET partition = partition - $1', KAFKA_BEFORE)  # noqa: S608 our own names


def differences(manifest: Manifest, applied: dict[str, list[str]], present: Sequence[TableName]) -> list[str]:
    """In what the target's schemas are not those of the backup."""
    found = []
    for schema in sorted(manifest.schemas.keys() | applied.keys()):
        theirs = manifest.schemas[schema].migrations if schema in manifest.schemas else []
        if theirs != applied.get(schema, []):
            newest = (theirs[-1:] or ["none"])[0], (applied.get(schema, [])[-1:] or ["none"])[0]
            found.append(f"{schema}: migration {newest[0]} in the backup, {newest[1]} here")
    here = {(table.schema, table.name, table.columns) for table in present}
    there = {(schema, name, tuple(facts.columns)) for schema, name, facts in manifest.tables()}
    return found or [f"{schema}.{name}: other columns" for schema, name, _ in sorted(here ^ there)]


def schema_facts(
    applied: dict[str, list[str]],
    copied: dict[tuple[str, str], TableFacts],
    counted: dict[str, dict[str, SequenceFacts]],
) -> dict[str, SchemaFacts]:
    """Put together by schema."""
    return {
        schema: SchemaFacts(
            migrations=versions,
            tables={name: facts for (owner, name), facts in copied.items() if owner == schema},
            sequences=counted[schema],
        )
        for schema, versions in applied.items()
    }
