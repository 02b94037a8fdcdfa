"""Before a service starts: Postgres and Kafka answer and let it in, and its schema is at least as new as its code. Who
is away is waited for, who refuses ends it.

A process that ends for every server that isn't there yet is started again and again, each time with a traceback that
says nothing; and one that goes on asking with a wrong password looks like one whose server is away.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import asyncpg
import structlog
from aiokafka import errors as kafka
from aiokafka.conn import create_conn

from shared.kit import clock
from shared.kit.messaging.kafka import client_arguments
from shared.kit.postgres.db import CONNECT_TIMEOUT_S, is_transient
from shared.kit.postgres.schema import SchemaBehind, see_applied
from shared.kit.settings import KitSettings

log = structlog.get_logger(__name__)

PAUSE_FIRST_S, PAUSE_MOST_S = 0.5, 5.0
SAY_EVERY_S = 60.0
ANSWER_MS = 10_000
# Trying again changes nothing: somebody has to correct a setting or make the user, its role, its database.
KAFKA_REFUSES = (
    kafka.SaslAuthenticationFailed,
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.UnsupportedSaslMechanismError,
)
POSTGRES_REFUSES = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


class Refused(Exception):
    """A server answers and doesn't let this service in; the text says which, as whom, and its own words."""


async def reach(settings: KitSettings, service: str, migrations: Collection[str] = ()) -> None:
    """Return when both servers let the service in, and its schema has these migrations.

    Raises:
        Refused: a server doesn't.
    """
    await _until(lambda: _ask_postgres(settings, migrations), "postgres")
    await _until(lambda: _ask_kafka(settings, service), "kafka")


async def _until(ask: Callable[[], Awaitable[None]], what: str) -> None:
    began_s, said_s, pause_s = clock.monotonic_s(), 0.0, PAUSE_FIRST_S
    while True:
        try:
            await ask()
        except Exception as error:
            if not (is_transient(error) or isinstance(error, kafka.KafkaError | SchemaBehind)):
                raise
            now_s = clock.monotonic_s()
            if not said_s or now_s - said_s >= SAY_EVERY_S:
                said_s = now_s
                log.warning("server_awaited", server=what, error=f"{error}"[:300], waited_s=round(now_s - began_s))
        else:
            if said_s:
                log.info("server_reached", server=what, waited_s=round(clock.monotonic_s() - began_s))
            return
        await asyncio.sleep(clock.jittered(pause_s))
        pause_s = min(PAUSE_MOST_S, pause_s * 2)


async def _ask_postgres(settings: KitSettings, migrations: Collection[str]) -> None:
    try:
        conn = await asyncpg.connect(settings.postgres_dsn.get_secret_value(), timeout=CONNECT_TIMEOUT_S)
    except POSTGRES_REFUSES as error:
        raise Refused(f"Postgres refuses: {error} (BEEGRID_POSTGRES_DSN)") from error
    try:
        if migrations:
            await see_applied(conn, migrations)
    finally:
        await conn.close(timeout=CONNECT_TIMEOUT_S)


async def _ask_kafka(settings: KitSettings, service: str) -> None:
    """One of the brokers is enough: the others' addresses come from it."""
    arguments = client_arguments(settings, service)
    troubles = []
    for address in arguments.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=ANSWER_MS, **arguments)
        except KAFKA_REFUSES as error:
            who = f"the user {settings.kafka_username}"
            raise Refused(
                f"Kafka at {address} refuses {who}: {error} (BEEGRID_KAFKA_USERNAME, BEEGRID_KAFKA_PASSWORD)"
            ) from error
        except (OSError, kafka.KafkaError, TimeoutError) as error:
            troubles.append(f"{address}: {error!r}")
        else:
            connection.close()
            return
    raise ConnectionError("; ".join(troubles))
