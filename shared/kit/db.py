"""Postgres: the pool under the service's own role, transactions, and which errors pass by themselves."""

import asyncio
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from shared.kit.settings import KitSettings

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection | PoolConnectionProxy
    Pool = asyncpg.Pool

COMMAND_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
ACQUIRE_TIMEOUT_S = 4.0

# SQLSTATE classes and codes that pass by themselves: connection (08), rollback by the system (40), resources (53),
# lock not available (55P03), operator intervention (57), system error (58), transaction ended by a timeout (25P0x),
# a read-only server in the middle of a failover (25006).
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_TRANSIENT_CODES = frozenset({"55P03", "25P03", "25P04", "25006"})

SQL_WARM = "SELECT count(*) FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::bigint[])"


def is_transient(error: BaseException) -> bool:
    """Whether trying again later can help: the server, the network or a lock is the cause, not the record."""
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        return code[:2] in _TRANSIENT_CLASSES or code in _TRANSIENT_CODES
    if isinstance(error, asyncpg.InterfaceError):
        text = str(error)
        return "connection" in text or "pool is clos" in text
    if isinstance(error, asyncpg.InternalClientError):
        # a pooled connection whose server died at the very moment it was used
        return "cannot switch to state" in str(error)
    return isinstance(error, OSError | asyncio.TimeoutError)


def _encode_json(value: object) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: object) -> str:
    """Ids are of asyncpg's subclass of UUID, which orjson doesn't know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


async def prepare_connection(conn: Connection) -> None:
    """JSON columns hold Python objects; the first array query of a connection costs 5–9 ms, so it is spent here."""
    for name in ("json", "jsonb"):
        await conn.set_type_codec(name, encoder=_encode_json, decoder=orjson.loads, schema="pg_catalog")
    await conn.fetchval(SQL_WARM, [], [], [], [], [])


async def create_pool(settings: KitSettings, application_name: str) -> Pool:
    """A pool under the service's own role; the schema comes from the role's pinned search_path."""
    return await asyncpg.create_pool(
        settings.postgres_dsn.get_secret_value(),
        min_size=min(4, settings.postgres_pool_max),
        max_size=settings.postgres_pool_max,
        init=prepare_connection,
        command_timeout=COMMAND_TIMEOUT_S,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={"application_name": application_name},
    )
