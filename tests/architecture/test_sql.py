"""Every SQL constant is valid under the service's own role, and that role reaches no other schema. Real Postgres."""

import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import shared.kit
from shared.devtools.gen.files import ROOT
from shared.devtools.installation import Installation
from shared.kit.postgres.db import Pool
from shared.kit.postgres.rows import Copy, Query, columns, mismatches, unnest
from shared.known.leaving import erase_riders
from shared.known.tables import knows_companies, knows_riders
from shared.provision.services import service_names

PoolFor = Callable[[str], Awaitable[Pool]]
SERVICES = service_names(ROOT)
TABLES = """
SELECT n.nspname AS schema, c.relname AS name,
       (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                               AND a.attgenerated = '' AND a.attidentity = ''
        ORDER BY a.attnum LIMIT 1) AS writable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND n.nspname = ANY($1::text[]) ORDER BY 1, 2
"""


def modules_below(package: str) -> Iterator[ModuleType]:
    """A package, or one module, and everything below it, without the entry point that would run it."""
    module = importlib.import_module(package)
    yield module
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def constants(package: str) -> dict[str, str | Query[Any] | Copy[Any]]:
    """SQL_* constants below a package, by full name; one that is imported elsewhere counts once."""
    return {
        f"{module.__name__}.{name}": value
        for module in modules_below(package)
        for name, value in vars(module).items()
        if name.startswith("SQL_") and isinstance(value, str | Query | Copy)
    }


def text_of(constant: str | Query[Any] | Copy[Any]) -> str:
    """A statement's own, or what reads the columns that a copy writes."""
    if isinstance(constant, Copy):
        return f"SELECT {columns(constant.kind)} FROM {constant.table}"
    return constant if isinstance(constant, str) else constant.text


def statements(package: str) -> dict[str, str]:
    return {name: text_of(value) for name, value in constants(package).items()}


KIT = constants(shared.kit.__name__)
KNOWN_RIDERS, KNOWN_COMPANIES = constants("shared.known.riders"), constants("shared.known.companies")
ERASING = constants("shared.known.leaving")


def erases_by_function(service: str) -> bool:
    """Whether its app.py hands riders who leave to the function of its migrations."""
    return any(vars(module).get("erase_riders") is erase_riders for module in modules_below(f"services.{service}.app"))


def shared_by(service: str) -> dict[str, Any]:
    """What a service runs on its schema and doesn't have in its own store."""
    riders = KNOWN_RIDERS if knows_riders(service) else {}
    erasing = ERASING if erases_by_function(service) else {}
    return {**KIT, **riders, **erasing, **(KNOWN_COMPANIES if knows_companies(service) else {})}


async def faults(pool: Pool, found: Mapping[str, str | Query[Any] | Copy[Any]]) -> list[str]:
    """Statements that Postgres can't prepare, with its reason, and those whose columns aren't their dataclass's."""
    refused = []
    async with pool.acquire() as conn:
        for name, constant in found.items():
            try:
                prepared = await conn.prepare(text_of(constant))
            except asyncpg.PostgresError as error:
                refused.append(f"{name}: {type(error).__name__}: {error}")
                continue
            if not isinstance(constant, str):
                read = [(column.name, column.type.name) for column in prepared.get_attributes()]
                refused += [f"{name}: {fault}" for fault in mismatches(read, constant.kind)]
    return refused


# What would be there for the next user of a pooled connection, or on another server connection behind a pooler.
OF_A_SESSION = re.compile(
    r"^\s*(SET\s+(?!LOCAL\b)|LISTEN\b|PREPARE\b|CREATE\s+TEMP)|WITH\s+HOLD|pg_(try_)?advisory_lock|set_config\(.*false\)",
    re.IGNORECASE | re.DOTALL,
)
ON_ITS_OWN_SESSION = {"shared.kit.publishing.relay.SQL_TRY_LEAD"}


def test_no_statement_leaves_anything_in_its_session() -> None:
    """Nothing is reset between two users of a connection, so there must be nothing to reset (ADR 0049)."""
    found = {
        name: text_of(constant) for name, constant in {**KIT, **KNOWN_RIDERS, **ERASING, **KNOWN_COMPANIES}.items()
    }
    for service in SERVICES:
        found |= statements(f"services.{service}")
    assert {name for name, sql in found.items() if OF_A_SESSION.search(sql)} == ON_ITS_OWN_SESSION


@pytest.mark.parametrize("left", ["SET work_mem = 1", "LISTEN x", "SELECT pg_advisory_lock(1)"])
def test_a_statement_of_a_session_is_found(left: str) -> None:
    assert OF_A_SESSION.search(left) and not OF_A_SESSION.search("SET LOCAL work_mem = 1")


@pytest.mark.parametrize("service", SERVICES)
async def test_all_sql_is_prepared_under_the_services_role(pool_for: PoolFor, service: str) -> None:
    own = constants(f"services.{service}")
    assert own, "a service without SQL_ constants hides its SQL from this check"
    assert await faults(await pool_for(service), {**shared_by(service), **own}) == []


async def test_bad_sql_and_foreign_schemas_are_found(pool_for: PoolFor) -> None:
    pool = await pool_for("intake")
    found = await faults(
        pool,
        {
            "fine": "SELECT event_id FROM inbox",
            "misspelt column": "SELECT event_idd FROM inbox",
            "foreign schema": "SELECT event_id FROM cases.inbox",
            "syntax": "SELEC 1",
        },
    )
    assert [line.split(":")[0] for line in found] == ["misspelt column", "foreign schema", "syntax"]


@dataclass
class Renamed:
    event: UUID


@dataclass
class Mistyped:
    event_id: str


MOVED_AWAY: dict[str, tuple[str | Query[Any] | Copy[Any], str]] = {
    "copy, renamed": (Copy(Renamed, "inbox"), 'UndefinedColumnError: column "event" does not exist'),
    "copy, mistyped": (Copy(Mistyped, "inbox"), "Mistyped.event_id can't be a column of uuid"),
    "read, renamed": (Query(Renamed, "SELECT event_id FROM inbox"), "column event_id is no field of Renamed"),
    "read, without": (Query(Renamed, "SELECT event_id FROM inbox"), "Renamed.event has no column"),
    "read, mistyped": (Query(Mistyped, "SELECT event_id FROM inbox"), "Mistyped.event_id can't be a column of uuid"),
    "written, renamed": (
        f"INSERT INTO inbox ({columns(Renamed)}) SELECT {columns(Renamed)} FROM {unnest(Renamed)}",
        'UndefinedColumnError: column "event" of relation "inbox" does not exist',
    ),
    "written, by another name": (
        f"INSERT INTO inbox (event_id) SELECT event_id FROM {unnest(Renamed)}",
        'UndefinedColumnError: column "event_id" does not exist',
    ),
    "written, mistyped": (
        f"INSERT INTO inbox (event_id) SELECT event_id FROM {unnest(Mistyped)}",
        'DatatypeMismatchError: column "event_id" is of type uuid but expression is of type text',
    ),
}


@pytest.mark.parametrize("how", MOVED_AWAY)
async def test_a_dataclass_that_has_moved_away_from_its_table_is_found(pool_for: PoolFor, how: str) -> None:
    constant, said = MOVED_AWAY[how]
    found = await faults(await pool_for("intake"), {"it": constant})
    assert any(line.startswith(f"it: {said}") for line in found), found


async def test_queries_and_copies_are_looked_at() -> None:
    """Beside the texts: the check would hold as well if it had none of them."""
    found = [one for service in SERVICES for one in constants(f"services.{service}").values()]
    assert {type(one) for one in (*found, *KIT.values())} == {str, Query, Copy}


async def refusal(conn: asyncpg.Connection, sql: str) -> str | None:
    """Why Postgres refuses to run a statement for lack of rights; None where it would run it."""
    try:
        async with conn.transaction():
            await conn.execute(sql)
            raise asyncpg.exceptions.RaiseError("undo")
    except asyncpg.InsufficientPrivilegeError as error:
        return str(error)
    except asyncpg.PostgresError:
        return None


def database_of(installation: Installation) -> str:
    """The installation's database, as the server's administrator."""
    return f"{installation.infra.postgres_admin_url.rsplit('/', 1)[0]}/{installation.name}"


def verbs(schema: str, table: str, column: str) -> dict[str, str]:
    """One statement a verb, which touches no row where it is allowed."""
    name = f'"{schema}"."{table}"'
    return {
        "SELECT": f"SELECT 1 FROM {name} LIMIT 0",
        "INSERT": f'INSERT INTO {name} ("{column}") SELECT NULL WHERE false',
        "UPDATE": f'UPDATE {name} SET "{column}" = NULL WHERE false',
        "DELETE": f"DELETE FROM {name} WHERE false",
        "TRUNCATE": f"TRUNCATE {name}",
    }


@pytest.mark.parametrize("service", service_names())
async def test_a_role_reaches_no_other_schema(pool_for: PoolFor, installation: Installation, service: str) -> None:
    admin = await asyncpg.connect(database_of(installation))
    try:
        tables = await admin.fetch(TABLES, list(service_names()))
    finally:
        await admin.close()
    assert {row["schema"] for row in tables} == set(service_names())
    foreign = [row for row in tables if row["schema"] != service]
    pool = await pool_for(service)
    async with pool.acquire() as conn:
        allowed = [
            f"{service} may {verb} {row['schema']}.{row['name']}"
            for row in foreign
            for verb, sql in verbs(row["schema"], row["name"], row["writable"]).items()
            if await refusal(conn, sql) is None
        ]
        assert allowed == []
        # the check bites: the same statement on an own table is not refused
        own = next(row for row in tables if row["schema"] == service and row["name"] == "inbox")
        assert await refusal(conn, verbs(service, "inbox", own["writable"])["SELECT"]) is None


DEFINITIONS = {
    "table": "CREATE TABLE stray (id int)",
    "temporary table": "CREATE TEMP TABLE stray (id int)",
    "schema": "CREATE SCHEMA stray",
    "function": "CREATE FUNCTION stray() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "change of a table": "ALTER TABLE inbox ADD COLUMN stray int",
    "truncation": "TRUNCATE inbox",
    "table in public": "CREATE TABLE public.stray (id int)",
    "role": "CREATE ROLE stray",
}


@pytest.mark.parametrize("service", service_names())
async def test_a_role_defines_nothing(pool_for: PoolFor, service: str) -> None:
    pool = await pool_for(service)
    async with pool.acquire() as conn:
        assert [name for name, sql in DEFINITIONS.items() if await refusal(conn, sql) is None] == []
