"""Redis, which may be flushed or away at any time: what is in it can be made again, and nobody waits long for it."""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_CONNECTIONS_MAX = 16


class _Reading(SSLConnection):
    """Reads the files of its URL (`ssl_ca_certs` and so on) again each time that it connects."""

    def _connection_arguments(self) -> Any:
        self.ssl_context.context = None
        return super()._connection_arguments()


def volatile(url: str, patience_s: float) -> Redis:
    """A client that connects on first use and waits at most so long for anything. `url`: redis://…"""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS_MAX,
        timeout=patience_s,
        socket_timeout=patience_s,
        socket_connect_timeout=patience_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    if issubclass(pool.connection_class, SSLConnection):
        pool.connection_class = _Reading
    return Redis.from_pool(pool)
