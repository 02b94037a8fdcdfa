"""A service's life in one process: what is opened in which order, and closed in the reverse one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

import structlog

from shared.kit import metrics
from shared.kit.collector import spare_the_collector
from shared.kit.consuming.streams import listening
from shared.kit.letters import letter_bounds
from shared.kit.measuring import watch_certificates
from shared.kit.messaging import inbox_days
from shared.kit.postgres.db import Pool, authorities_of, create_pool, reading
from shared.kit.postgres.sweeping import Sweeper
from shared.kit.service.tasks import Task

if TYPE_CHECKING:
    from shared.kit.service.wiring import Service

log = structlog.get_logger(__name__)
MEASURE_EVERY_S = 2.0


@contextlib.asynccontextmanager
async def running(service: "Service") -> AsyncIterator[None]:
    """Everything but the HTTP server: connections, what app.py starts, the relay, background work, topics."""
    async with contextlib.AsyncExitStack() as stack:
        service.pool = pool = await create_pool(service.settings, service.name)
        stack.push_async_callback(_close, pool)
        if service.limiter is not None:
            stack.push_async_callback(service.limiter.aclose)
        if service.replay_guard is not None:
            await service.replay_guard.start()
            stack.push_async_callback(service.replay_guard.stop)
        for hook in service.stop_hooks:
            stack.push_async_callback(hook)
        for hook in service.start_hooks:
            await hook()
        service.tasks.spawn("relay", service.relay.run)
        service.tasks.spawn("measure", partial(_measure_forever, service))
        service.tasks.start(_own_tasks(service))
        stack.push_async_callback(service.tasks.cancel)
        async with listening(service.broker):
            service.probes.has_started = True
            spare_the_collector()
            log.info("service_started", service=service.name, topics=len(service.consumers))
            yield
            service.draining = True


def _own_tasks(service: "Service") -> dict[str, Task]:
    sweeper = Sweeper(service.leading, service.pool_of, service.tables, service.ages)
    roller = inbox_days.Roller(service.leading, service.pool_of, service.ages["inbox"])
    own: dict[str, Task] = {"sweep-old-rows": sweeper.run, "roll-inbox": roller.run}
    own["certificates"] = partial(watch_certificates, authorities_of(service.settings))
    return own


async def _close(pool: Pool) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await pool.close()


async def _measure_forever(service: "Service") -> None:
    while True:
        try:
            for consumer in service.consumers.values():
                await consumer.measure()
            pool = service.pool
            metrics.POOL_CONNECTIONS.labels(state="idle").set(pool.get_idle_size())
            metrics.POOL_CONNECTIONS.labels(state="busy").set(pool.get_size() - pool.get_idle_size())
            metrics.POOL_CONNECTIONS_MAX.set(pool.get_max_size())
            async with reading(pool) as conn:
                await letter_bounds.measure(conn)
        except Exception as error:  # noqa: BLE001 figures may be late, the service goes on
            log.debug("measure_failed", error=type(error).__name__)
        await asyncio.sleep(MEASURE_EVERY_S)
