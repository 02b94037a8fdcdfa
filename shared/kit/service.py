"""One service in one process: FastAPI for HTTP, FastStream for Kafka, the relay, and what keeps them alive."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from faststream import FastStream
from prometheus_client import Gauge

from shared.events import registry
from shared.events.topic import Topic
from shared.kit import clock, idempotency, metrics
from shared.kit.auth import Authenticator, Jwks, JwtVerifier, KeyRing, ReplayGuard, SignatureVerifier
from shared.kit.consumer import Handler, TopicConsumer
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool, create_pool
from shared.kit.dead_letters import open_counts
from shared.kit.http import RateLimiter
from shared.kit.http.app import create_app
from shared.kit.kafka import create_broker
from shared.kit.measuring import Measure, Measuring, watch_certificates
from shared.kit.ops import ops_router
from shared.kit.relay import Relay
from shared.kit.replay import Replayer
from shared.kit.settings import KitSettings
from shared.kit.work import Work, insert_outbox

log = structlog.get_logger(__name__)

Task = Callable[[], Awaitable[None]]
Tallies = Callable[[Connection], Awaitable[dict[str, int]]]
Reseal = Callable[[Work, bool], Awaitable[Counter[str]]]
MEASURE_EVERY_S = 2.0
PURGE_EVERY_S = 300.0
PURGE_ROWS = 20_000
RELAY_SILENT_S = 60.0

SQL_PURGE_INBOX = """
DELETE FROM inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM inbox WHERE seen_at < now() - make_interval(hours => $1) LIMIT $2))
"""
SQL_PING = "SELECT 1"


def current_service(request: Request) -> "Service":
    """The service that a route belongs to, for FastAPI's Depends."""
    service: Service = request.app.state.service
    return service


class Service:
    """Built in a service's app.py: what it consumes, its routes and its background work; `app()` is what runs."""

    def __init__(self, name: str, settings: KitSettings, *, title: str, key_ring: KeyRing | None = None) -> None:
        self.name = name
        self.settings = settings
        self.title = title
        self.key_ring = key_ring
        self.broker = create_broker(settings, name)
        self.relay = Relay(settings, name)
        self.consumers: dict[str, TopicConsumer] = {}
        self.routers: list[APIRouter] = []
        self.draining = False
        self._pool: Pool | None = None
        self._started = False
        self._start_hooks: list[Task] = []
        self._stop_hooks: list[Task] = []
        self._background: dict[str, Task] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tallies: Tallies | None = None
        self._reseal: Reseal | None = None
        self.jwks = Jwks(settings.jwks_url)
        self._replay_guard: ReplayGuard | None = None
        self.limiter: RateLimiter | None = None

    # --- building ---------------------------------------------------------------------------------------------------

    def consumes(self, topic: Topic[Any], handler: Handler) -> None:
        """Subscribe to a topic; the topic's declaration must name this service among its consumers.

        Raises:
            ValueError: it doesn't, or the topic has a handler already.
        """
        if self.name not in topic.consumers:
            raise ValueError(f"{topic.name} doesn't declare {self.name} as a consumer")
        if topic.name in self.consumers:
            raise ValueError(f"{topic.name} has a handler already")
        consumer = TopicConsumer(self, topic, handler)
        consumer.attach(self.broker)
        self.consumers[topic.name] = consumer

    def include(self, router: APIRouter) -> None:
        """Add HTTP routes; each names its policy."""
        self.routers.append(router)

    def background(self, name: str, task: Task) -> None:
        """Run a coroutine for as long as the process lives; it is started anew, with growing pauses, when it fails."""
        self._background[name] = task

    def measures(self, name: str, measure: Measure, *gauges: Gauge, every_s: float) -> None:
        """Set gauges from the database regularly, in the one process that leads the relay; the others show none."""
        measuring = Measuring(lambda: self.relay.leading, lambda: self.pool, measure, gauges, every_s)
        self.background(f"measure-{name}", measuring.run)

    def on_start(self, hook: Task) -> None:
        """Await this after the pool is open and before anything is consumed or served."""
        self._start_hooks.append(hook)

    def on_stop(self, hook: Task) -> None:
        """Await this before the pool is closed."""
        self._stop_hooks.append(hook)

    def tallies(self, count: Tallies) -> None:
        """Give the figures that a reconciliation compares with other services."""
        self._tallies = count

    def seals(self, reseal: Reseal) -> None:
        """Give what counts the sealed secrets in the schema, by sealing key's id, as they were found.

        Told True, it seals those of the service's own anew under the first key; projections follow their events.
        """
        self._reseal = reseal

    @property
    def subscriptions(self) -> Sequence[Topic[Any]]:
        """The topics that this service really subscribes to."""
        return [consumer.topic for consumer in self.consumers.values()]

    # --- used by handlers and routes --------------------------------------------------------------------------------

    @property
    def pool(self) -> Pool:
        """The connections, once started."""
        if self._pool is None:
            raise RuntimeError("the service is not started")
        return self._pool

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """A transaction with an outbox: commits at the end of the block, then wakes the relay."""
        started_s = clock.monotonic_s()
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
            work = Work(conn)
            yield work
            await insert_outbox(conn, work.rows)
        metrics.TRANSACTION_DURATION.observe(clock.monotonic_s() - started_s)
        if work.rows:
            self.committed()

    def committed(self) -> None:
        """Wake the relay of this process, if it leads."""
        self.relay.wake()

    def overloaded(self) -> bool:
        """Whether new work should be refused because Kafka takes nothing."""
        return self.relay.depth > self.settings.outbox_rows_max

    @property
    def replayer(self) -> Replayer:
        """Replays this service's dead letters."""
        return Replayer(self.pool, self.consumers)

    async def figures(self, conn: Connection) -> dict[str, int]:
        """The service's own tallies, or none."""
        return await self._tallies(conn) if self._tallies is not None else {}

    async def sealed(self, *, anew: bool = False) -> Counter[str]:
        """Number of sealed secrets by sealing key's id; `anew`: each is under the first key afterwards."""
        if self._reseal is None:
            return Counter()
        async with self.work() as work:
            return await self._reseal(work, anew)

    # --- probes -----------------------------------------------------------------------------------------------------

    def started(self) -> bool:
        """Start-up: everything is connected for the first time."""
        return self._started

    async def ready(self) -> dict[str, str]:
        """Readiness: can this process take requests now? Not while it drains, without Postgres, or over its limit.

        Kafka is no part of it: the outbox takes what Kafka can't, and a whole suite that turns unready when the broker
        restarts would refuse reports that it could keep.
        """
        if self.draining:
            return {"process": "shutting down"}
        problems: dict[str, str] = {}
        try:
            async with asyncio.timeout(2.0):
                async with self.pool.acquire(timeout=1.5) as conn:
                    await conn.fetchval(SQL_PING)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the answer
            problems["postgres"] = type(error).__name__
        if self.overloaded():
            problems["outbox"] = f"{self.relay.depth} events wait for Kafka"
        for consumer in self.consumers.values():
            if trouble := consumer.trouble():
                problems[consumer.topic.name] = trouble
        return problems

    async def troubles(self) -> dict[str, str]:
        """For an operator: what readiness complains of, and what it deliberately leaves out."""
        problems = await self.ready()
        if self.relay.trouble:
            problems["relay"] = self.relay.trouble
        if silence := next((text for c in self.consumers.values() if (text := c.hearing.trouble)), None):
            problems["kafka"] = silence
        return problems

    def alive(self) -> dict[str, str]:
        """Liveness: would a restart help? Only then."""
        problems = {name: trouble for name, c in self.consumers.items() if (trouble := c.trouble())}
        problems |= {name: "ended" for name, task in self._tasks.items() if task.done()}
        silent_s = clock.monotonic_s() - self.relay.beat_s
        if self._started and silent_s > RELAY_SILENT_S:
            problems["relay"] = f"no turn for {silent_s:.0f} s"
        return problems if self._started else {}

    # --- running ----------------------------------------------------------------------------------------------------

    def app(self) -> FastAPI:
        """The HTTP application; its lifespan runs everything else.

        Raises:
            ValueError: a topic declares this service as consumer, and nothing here consumes it.
        """
        missing = {topic.name for topic in registry.consumed_by(self.name)} - set(self.consumers)
        if missing:
            raise ValueError(f"{self.name} is declared to consume {sorted(missing)}, and doesn't")
        settings = self.settings
        self._replay_guard = ReplayGuard(lambda: self.pool) if self.key_ring is not None else None
        self.limiter = RateLimiter.from_url(
            settings.redis_url.get_secret_value(), service=self.name, per_minute=settings.rate_limit_per_minute
        )
        app = create_app(
            title=self.title,
            version="1",
            health=self,
            routers=[*self.routers, ops_router(self.name)],
            auth=Authenticator(
                jwt=JwtVerifier(self.jwks, issuer=settings.jwt_issuer, audience=settings.jwt_audience),
                signatures=SignatureVerifier(self.key_ring) if self.key_ring is not None else None,
                replay=self._replay_guard,
            ),
            limiter=self.limiter,
            body_max=settings.http_body_bytes_max,
            lifespan=self._lifespan,
        )
        app.state.service = self
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            self._pool = await create_pool(self.settings, self.name)
            stack.push_async_callback(self._close_pool)
            if self.limiter is not None:
                stack.push_async_callback(self.limiter.aclose)
            if self._replay_guard is not None:
                await self._replay_guard.start()
                stack.push_async_callback(self._replay_guard.stop)
                self._background["purge-request-ids"] = self._replay_guard.purge_forever
            for hook in self._stop_hooks:
                stack.push_async_callback(hook)
            for hook in self._start_hooks:
                await hook()
            self._spawn("relay", self.relay.run)
            self._spawn("measure", self._measure_forever)
            self._spawn("purge", self._purge_forever)
            if self.settings.kafka_ca_file is not None:
                self.background("certificates", partial(watch_certificates, self.settings.kafka_ca_file))
            for name, task in self._background.items():
                self._spawn(name, lambda name=name, task=task: self._keep_running(name, task))  # type: ignore[misc]  # mypy can't infer lambdas with defaults
            stack.push_async_callback(self._cancel_tasks)
            async with FastStream(self.broker, logger=None):
                self._started = True
                _spare_the_collector()
                log.info("service_started", service=self.name, topics=len(self.consumers))
                yield
                self.draining = True

    async def _close_pool(self) -> None:
        if self._pool is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._pool.close()

    def _spawn(self, name: str, task: Task) -> None:
        async def run() -> None:
            await task()

        self._tasks[name] = asyncio.create_task(run(), name=name)

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_running(self, name: str, task: Task) -> None:
        failures = 0
        while True:
            started_s = clock.monotonic_s()
            try:
                await task()
            except Exception:
                log.exception("background_failed", task=name)
            failures = failures + 1 if clock.monotonic_s() - started_s < 60 else 1
            await asyncio.sleep(clock.jittered(min(30.0, 0.5 * 2.0 ** min(failures, 6))))

    async def _measure_forever(self) -> None:
        while True:
            try:
                for consumer in self.consumers.values():
                    await consumer.measure()
                metrics.POOL_CONNECTIONS.labels(state="idle").set(self.pool.get_idle_size())
                metrics.POOL_CONNECTIONS.labels(state="busy").set(self.pool.get_size() - self.pool.get_idle_size())
                metrics.POOL_CONNECTIONS_MAX.set(self.pool.get_max_size())
                async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
                    counts = await open_counts(conn)
                metrics.DEAD_LETTERS_OPEN.clear()
                for (topic, status), n in counts.items():
                    metrics.DEAD_LETTERS_OPEN.labels(topic=topic, status=status).set(n)
            except Exception as error:  # noqa: BLE001 figures may be late, the service goes on
                log.debug("measure_failed", error=type(error).__name__)
            await asyncio.sleep(MEASURE_EVERY_S)

    async def _purge_forever(self) -> None:
        while True:
            await asyncio.sleep(clock.jittered(PURGE_EVERY_S, most=1.5))
            try:
                async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
                    await conn.execute(SQL_PURGE_INBOX, self.settings.inbox_retention_hours, PURGE_ROWS)
                    await idempotency.purge(conn)
            except Exception as error:  # noqa: BLE001 the next turn purges more
                log.warning("purge_failed", error=type(error).__name__)


def _spare_the_collector() -> None:
    """Keep what start-up has made out of the cycle collector, and let it run less often.

    A batch makes tens of thousands of short-lived objects without cycles; by default each few hundred of them start a
    collection that walks through all imported modules again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
