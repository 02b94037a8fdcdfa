"""Postgres: the pool under the service's own role, transactions, and which errors pass by themselves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from asyncpg.transaction import Transaction

from shared.kit import clock
from shared.kit.settings import KitSettings

if TYPE_CHECKING:
    _Base: TypeAlias = asyncpg.Connection[asyncpg.Record]
    _Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    _Acquired: TypeAlias = PoolAcquireContext[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    _Base, _Pool, _Acquired = asyncpg.Connection, asyncpg.Pool, PoolAcquireContext
    Connection = asyncpg.Connection | PoolConnectionProxy
    Pool = asyncpg.Pool

COMMAND_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
CONNECTIONS_MIN = 2  # each costs some 30 ms at start, and 5 MB of the server
AT_ONCE_S = 0.1
"""What fails sooner has met a connection that was dead already; another may lead to a server that answers."""
ACQUIRE_TIMEOUT_S = 4.0
# Time to cancel a statement and roll back, for a connection whose user no longer waits; then it is cut.
GIVE_BACK_S = 2.0

log = structlog.get_logger(__name__)

# SQLSTATE classes and codes that pass by themselves: connection (08), rollback by the system (40), resources (53),
# lock not available (55P03), operator intervention (57), system error (58), transaction ended by a timeout (25P0x),
# a read-only server in the middle of a failover (25006).
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_TRANSIENT_CODES = frozenset({"55P03", "25P03", "25P04", "25006"})

SQL_WARM = "SELECT count(*) FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::bigint[])"


class TooMuch(Exception):
    """This transaction would hold more of the server than one may; halves of it can do."""


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
    return isinstance(error, OSError | asyncio.TimeoutError) or is_closed_transport(error)


def is_too_much(error: BaseException) -> bool:
    """Whether a smaller transaction can help: the server's lock table or memory is full (53200), or a share is used up.

    A batch is halved then. Of one record alone it is an outage like any other.
    """
    return isinstance(error, TooMuch) or getattr(error, "sqlstate", None) == "53200"


def is_closed_transport(error: BaseException) -> bool:
    """Whether uvloop refused to write to a connection that the other side has reset: it raises no OSError for that."""
    return isinstance(error, RuntimeError) and "handler is closed" in str(error)


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


class _GivenUp(Transaction):
    """A transaction that isn't rolled back on the spot where its user was cancelled or ran out of time.

    The rollback would wait for the same server, and nothing limits that wait. It is done when the connection is given
    back.
    """

    __slots__ = ()

    async def __aexit__(self, *exc: Any) -> None:
        if exc[0] is None or not issubclass(exc[0], asyncio.CancelledError | TimeoutError):
            await super().__aexit__(*exc)


class _PatientConnection(_Base):
    """Of the pool. No statement leaves anything in a session that would have to be reset (an architecture test)."""

    __slots__ = ("_doubted",)

    def doubt(self) -> None:
        """Have the server answer once before anybody else gets this connection."""
        self._doubted = True

    def get_reset_query(self) -> str:
        """None: it would be one more round trip for each transaction. What is open is rolled back all the same.

        Where its user gave up waiting, the connection may lead nowhere, or be about to be cancelled: it has to answer
        before it is lent again, or is cut.
        """
        doubted, self._doubted = getattr(self, "_doubted", False), False
        return super().get_reset_query() if doubted else ""

    def transaction(self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False) -> Transaction:
        return _GivenUp(self, isolation, readonly, deferrable)


class _Lent(_Acquired):
    """A pooled connection in use. A user who was cancelled or ran out of time goes on without waiting for it."""

    __slots__ = ()

    async def __aexit__(self, *exc: Any) -> None:
        kind, connection = exc[0], self.connection
        if kind is None or connection is None or not issubclass(kind, asyncio.CancelledError | TimeoutError):
            await super().__aexit__(*exc)
            return
        self.done, self.connection = True, None
        connection.doubt()  # type: ignore[attr-defined]  # the pool's connections are of the class above
        task = asyncio.create_task(self.pool.release(connection, timeout=GIVE_BACK_S))
        _giving_back.add(task)
        task.add_done_callback(_given_back)


_giving_back: set[asyncio.Task[None]] = set()


def _given_back(task: asyncio.Task[None]) -> None:
    """The pool has cut a connection that couldn't be reset in time, and makes another when one is needed."""
    _giving_back.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("connection_cut", error=type(error).__name__)


class _LendingPool(_Pool):
    def acquire(self, *, timeout: float | None = None) -> _Acquired:
        return _Lent(self, timeout)


def authorities_of(settings: KitSettings) -> list[Path]:
    """The file of the authority that the DSN names, if any; asyncpg reads it at each connection."""
    named = parse_qs(urlsplit(settings.postgres_dsn.get_secret_value()).query).get("sslrootcert", [])
    return [Path(file) for file in named]


async def create_pool(settings: KitSettings, application_name: str) -> Pool:
    """A pool under the service's own role; the schema comes from the role's pinned search_path."""
    return await _LendingPool(
        settings.postgres_dsn.get_secret_value(),
        min_size=CONNECTIONS_MIN,
        max_size=settings.postgres_pool_max,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=_PatientConnection,
        record_class=asyncpg.Record,
        init=prepare_connection,
        command_timeout=COMMAND_TIMEOUT_S,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={"application_name": application_name},
    )


@contextlib.asynccontextmanager
async def begun(pool: Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction, which is committed at the end of the block.

    Where its BEGIN fails at once, the pooled connection was dead already and nothing has happened: another is taken
    then, once.

    Raises:
        TimeoutError: no connection was free in time.
    """
    async with contextlib.AsyncExitStack() as stack:
        began_s = clock.monotonic_s()
        try:
            conn = await _begin(pool, stack)
        except Exception as error:
            if not is_transient(error) or clock.monotonic_s() - began_s > AT_ONCE_S:
                raise
            conn = await _begin(pool, stack)
        yield conn


async def _begin(pool: Pool, stack: contextlib.AsyncExitStack) -> Connection:
    async with contextlib.AsyncExitStack() as mine:
        conn = await mine.enter_async_context(pool.acquire(timeout=ACQUIRE_TIMEOUT_S))
        await mine.enter_async_context(conn.transaction())
        stack.push_async_exit(mine.pop_all())
    return conn


@contextlib.asynccontextmanager
async def reading(pool: Pool, within_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[Connection]:
    """A connection to read with, and the time that it may take, in one: at most `within_s` to get it, and
    COMMAND_TIMEOUT_S for a statement. A request's own limit is shorter: it ends the statement, and the reader doesn't
    wait for the connection to come back.

    Raises:
        TimeoutError: no connection was free in time, or a statement took too long.
    """
    async with pool.acquire(timeout=within_s) as conn:
        yield conn
