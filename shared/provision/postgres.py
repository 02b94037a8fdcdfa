"""Database, schemas and roles of the services on a Postgres server. Idempotent: run it at every start.

Each service has a schema of its own, owned by `<prefix><service>_owner` (migrations), in which `<prefix><service>_app`
(the running service) may read and write rows and nothing else. Nobody else may enter.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SCRAM_ITERATIONS = 4096
LOCK_WAIT_S = 60.0
OWNER_SETTINGS = {"lock_timeout": "2s"}
# Costs too, so that a server which says something else has the plans that tests and benchmark have seen (ADR 47).
APP_SETTINGS = {
    "transaction_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "10s",
    "random_page_cost": "4",
}


def owner_role(service: str, role_prefix: str = "") -> str:
    """The role that owns the service's schema and runs its migrations."""
    return f"{role_prefix}{service}_owner"


def app_role(service: str, role_prefix: str = "") -> str:
    """The role of the running service."""
    return f"{role_prefix}{service}_app"


def provision_postgres(
    admin_url: str,
    database: str,
    services: Sequence[str],
    passwords: Mapping[str, str],
    role_prefix: str = "",
) -> None:
    """Creates what is missing and sets rights, passwords and limits of what exists.

    `passwords` by `<service>_owner` and `<service>_app`, without the prefix: roles belong to the whole server, so
    databases that share one (tests) need prefixes. Callable with or without a running event loop (blocks). Raises
    KeyError for a missing password, asyncpg errors otherwise.
    """
    roles = {}
    for service in services:
        roles[owner_role(service, role_prefix)] = passwords[f"{service}_owner"]
        roles[app_role(service, role_prefix)] = passwords[f"{service}_app"]
    run_blocking(_provision(admin_url, database, services, roles, role_prefix))


def drop_database(admin_url: str, database: str, services: Sequence[str] = (), role_prefix: str = "") -> None:
    """Removes the database with its connections, then the roles of these services. What doesn't exist is skipped."""
    run_blocking(_drop(admin_url, database, services, role_prefix))


def database_url(admin_url: str, database: str, role: str, password: str) -> str:
    """The URL of the same server with another database, role and password."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        (parts.scheme, f"{quote(role, safe='')}:{quote(password, safe='')}@{host}", f"/{database}", parts.query, "")
    )


def run_blocking(work: Coroutine[object, object, T]) -> T:
    """Runs a coroutine to its end from anywhere, in a thread of its own when this one has a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _provision(
    admin_url: str,
    database: str,
    services: Sequence[str],
    roles: Mapping[str, str],
    role_prefix: str,
) -> None:
    async with _connection(admin_url) as admin, cluster_lock(admin, "provision"):
        for role, password in roles.items():
            await _create_role(admin, role, password)
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
            await admin.execute(f"CREATE DATABASE {_name(database)} ENCODING 'UTF8' TEMPLATE template0")
        await admin.execute(f"REVOKE ALL ON DATABASE {_name(database)} FROM PUBLIC")
        for role in roles:
            await admin.execute(f"GRANT CONNECT ON DATABASE {_name(database)} TO {_name(role)}")
        for service in services:
            path = _name(service)
            await _pin(admin, database, owner_role(service, role_prefix), {**OWNER_SETTINGS, "search_path": path})
            await _pin(admin, database, app_role(service, role_prefix), {**APP_SETTINGS, "search_path": path})
        async with _connection(other_database(admin_url, database)) as inside, inside.transaction():
            await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for service in services:
                await _create_schema(inside, service, owner_role(service, role_prefix), app_role(service, role_prefix))


async def _create_role(admin: Connection, role: str, password: str) -> None:
    known = await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    superuser = await admin.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    verb = "ALTER" if known else "CREATE"
    # Only a superuser may even name these attributes of a present role; another administrator has created it so.
    untouched = known and not superuser
    rights = "LOGIN" if untouched else "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    await admin.execute(f"{verb} ROLE {_name(role)} {rights} PASSWORD '{_verifier(password)}'")


async def _pin(admin: Connection, database: str, role: str, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        text = value if name == "search_path" else f"'{value}'"
        await admin.execute(f"ALTER ROLE {_name(role)} IN DATABASE {_name(database)} SET {name} = {text}")


async def _create_schema(inside: Connection, service: str, owner: str, app: str) -> None:
    """Rights on present tables stay as the migrations have left them: some take rights away from the app role."""
    owner_name, app_name, schema = _name(owner), _name(app), _name(service)
    if not await inside.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await inside.execute(f"GRANT {owner_name} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
    await inside.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner_name}")
    defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner_name}"
    for statement in (
        f"ALTER SCHEMA {schema} OWNER TO {owner_name}",
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {app_name}",
        f"{defaults} IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app_name}",
        f"{defaults} IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {app_name}",
        f"{defaults} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        f"{defaults} IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {app_name}",
    ):
        await inside.execute(statement)


async def _drop(admin_url: str, database: str, services: Sequence[str], role_prefix: str) -> None:
    async with _connection(admin_url) as admin, cluster_lock(admin, "provision"):
        await admin.execute(f"DROP DATABASE IF EXISTS {_name(database)} WITH (FORCE)")
        for service in services:
            for role in (app_role(service, role_prefix), owner_role(service, role_prefix)):
                await admin.execute(f"DROP ROLE IF EXISTS {_name(role)}")


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def cluster_lock(connection: Connection, name: str, wait_s: float = LOCK_WAIT_S) -> AsyncIterator[None]:
    """Holds the advisory lock `beegrid:<name>` of the connection's database.

    Polls, because a session that waits inside the lock call holds a snapshot, and CREATE INDEX CONCURRENTLY of the
    holder would wait for that. Raises TimeoutError.
    """
    key = int.from_bytes(hashlib.sha256(f"beegrid:{name}".encode()).digest()[:8], signed=True)
    async with asyncio.timeout(wait_s):
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):  # noqa: ASYNC110 # held elsewhere
            await asyncio.sleep(0.05)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", key)


def other_database(url: str, database: str) -> str:
    """The URL of another database on the same server, with the same role."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))


def _name(identifier: str) -> str:
    """A quoted identifier. Raises ValueError for what Postgres would cut off or can't store."""
    if not identifier or len(identifier.encode()) > 63 or "\0" in identifier:
        raise ValueError(f"not a usable name: {identifier!r}")
    return '"' + identifier.replace('"', '""') + '"'


def _verifier(password: str) -> str:
    """What Postgres stores for SCRAM-SHA-256: so the password itself never gets into a server log or statistics."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"
