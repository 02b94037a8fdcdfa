"""One service in one process: FastAPI for HTTP, FastStream for Kafka, the relay, and what keeps them alive."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, FastAPI, Request
from faststream import FastStream
from prometheus_client import Gauge

from shared.events import registry
from shared.events.area_changed import AREA_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.events.topic import Topic
from shared.kit import clock, holds, inbox_days, letter_bounds, metrics
from shared.kit.areas import AreaTree
from shared.kit.areas.carrying import ByArea, carry_forever
from shared.kit.areas.following import KnownAreas
from shared.kit.auth import Authenticator, Jwks, JwtVerifier, KeyRing, ReplayGuard, SignatureVerifier
from shared.kit.auth.replay import mark_effect
from shared.kit.collector import spare_the_collector
from shared.kit.consumer import TopicConsumer
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool, create_pool
from shared.kit.erasure import GAUGES_EVERY_S, Erasure, Finish, Forget, erased_among
from shared.kit.erasure import measure as measure_erasures
from shared.kit.http import RateLimiter
from shared.kit.http.app import create_app
from shared.kit.http.paging import Cursors
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.kafka import create_broker
from shared.kit.measuring import Measure, Measuring, watch_certificates
from shared.kit.ops import ops_router
from shared.kit.proxies import Proxies
from shared.kit.relay import Relay
from shared.kit.replay import Replayer
from shared.kit.resealing import Resealing, Secrets
from shared.kit.retention import KIT_TABLES, Table
from shared.kit.settings import KitSettings
from shared.kit.sweeping import Sweeper
from shared.kit.tombstones import GoneHandler, Handler
from shared.kit.work import Work, begin, insert_outbox

log = structlog.get_logger(__name__)

Task = Callable[[], Awaitable[None]]
Tallies = Callable[[Connection], Awaitable[dict[str, int]]]
MEASURE_EVERY_S = 2.0
RELAY_SILENT_S = 60.0
CANCEL_AGAIN_S = 1.0  # how long a task may take to end before it is asked once more
OWN_TASKS = frozenset({"relay", "measure", "sweep-old-rows", "roll-inbox", "certificates"})

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
        self._postgres = SharedAnswer(self._ask_postgres)
        self._started = False
        self._start_hooks: list[Task] = []
        self._stop_hooks: list[Task] = []
        self._background: dict[str, Task] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tallies: Tallies | None = None
        self._tables: list[Table] = [*KIT_TABLES]
        self._ages = {"inbox": timedelta(hours=settings.inbox_retention_hours)}
        self.resealing = Resealing((), self.work)
        self.jwks = Jwks(settings.jwks_url)
        self._replay_guard: ReplayGuard | None = None
        self.limiter: RateLimiter | None = None
        self.by_area: ByArea | None = None
        self.known_areas = KnownAreas(lambda: self.pool, settings.areas_poll_s)
        self.on_start(self.known_areas.refresh)
        self.background("follow-areas", self.known_areas.follow)
        if name in AREA_CHANGED.consumers:
            self.consumes(AREA_CHANGED, self.known_areas.take)
        self.erasure: Erasure | None = None
        self.measures("refused", partial(holds.measure, settings.outbox_tries_max), *holds.GAUGES, every_s=5.0)
        self.measures("inbox", inbox_days.measure, *inbox_days.GAUGES, every_s=inbox_days.MEASURE_EVERY_S)

    # --- building ---------------------------------------------------------------------------------------------------

    def consumes(self, topic: Topic[Any], handler: Handler, gone: GoneHandler | None = None) -> None:
        """Subscribe to a topic whose declaration names this service. `gone`: hears of tombstones (kit/tombstones.py).

        Raises:
            ValueError: it doesn't, or the topic has a handler already.
        """
        if self.name not in topic.consumers:
            raise ValueError(f"{topic.name} doesn't declare {self.name} as a consumer")
        if topic.name in self.consumers:
            raise ValueError(f"{topic.name} has a handler already")
        self.consumers[topic.name] = consumer = TopicConsumer(self, topic, handler, gone)
        consumer.attach(self.broker)

    def include(self, router: APIRouter) -> None:
        """Add HTTP routes; each names its policy."""
        self.routers.append(router)

    def background(self, name: str, task: Task) -> None:
        """Run a coroutine for as long as the process lives; it is started anew, with growing pauses, when it fails.

        Raises:
            ValueError: the name is taken; the other task would never run.
        """
        if name in self._background or name in OWN_TASKS:
            raise ValueError(f"{self.name} has a background task {name} already")
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

    def erases(self, forget: Forget, finish: Finish | None = None) -> None:
        """Give what removes riders who left from the service's tables; `finish`: from what lies outside of them.

        Every service says so, also one whose tables have nothing of riders: the kit's own may.
        """
        erasure = Erasure(lambda: self.pool, self.settings.erasure_settle_s, forget, finish)
        self.erasure = erasure
        if self.name in RIDER_ERASED.consumers:
            self.consumes(RIDER_ERASED, erasure.on_rider_erased)
        self.background("erasure", erasure.forever)
        gauges = metrics.ERASURES_KNOWN, metrics.ERASURES_DONE
        self.measures("erasures", measure_erasures, *gauges, every_s=GAUGES_EVERY_S)

    async def is_erased(self, rider_id: str) -> bool:
        """Whether a token's rider has been erased; False also for ids that are no rider's."""
        try:
            rider = UUID(rider_id)
        except ValueError:
            return False
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            return bool(await erased_among(conn, [rider]))

    def keeps(self, *tables: Table, **ages: timedelta) -> None:
        """Say how long the service's own tables keep their rows; `ages`: where a setting says it, by table."""
        self._tables += tables
        self._ages |= ages

    def tallies(self, count: Tallies) -> None:
        """Give the figures that a reconciliation compares with other services."""
        self._tallies = count

    def keeps_by_area(self, by_area: ByArea) -> None:
        """Give what is kept under areas' codes, and how it is carried over when a new map replaces them."""
        self.by_area = by_area
        if by_area.carry is not None:
            self.background(
                "carry-areas", partial(carry_forever, by_area, self.known_areas, lambda: self.relay.leading, self.work)
            )

    def seals(self, *kinds: Secrets) -> None:
        """Give the sealed secrets in the schema: they are counted, and those of the service's own can be resealed."""
        self.resealing = Resealing(kinds, self.work)

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
            work = await begin(conn)
            yield work
            await insert_outbox(conn, work.rows)
            await mark_effect(conn)
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
    def tree(self) -> AreaTree:
        """The city's areas as this process knows them now."""
        return self.known_areas.tree

    @property
    def replayer(self) -> Replayer:
        """Replays this service's dead letters."""
        return Replayer(self.pool, self.consumers)

    async def figures(self, conn: Connection) -> dict[str, int]:
        """The service's own tallies, or none."""
        return await self._tallies(conn) if self._tallies is not None else {}

    # --- probes -----------------------------------------------------------------------------------------------------

    def started(self) -> bool:
        """Start-up: everything is connected for the first time."""
        return self._started

    async def ready(self) -> dict[str, str]:
        """Readiness: can this process take requests now? Not while it drains, without Postgres, or over its limit.

        Kafka is no part of it: the outbox takes what Kafka can't, and a whole suite that turns unready when the broker
        restarts would refuse reports that it could keep. Whoever asks within a second gets one answer about Postgres.
        """
        if self.draining:
            return {"process": "shutting down"}
        problems = dict(await self._postgres.get())
        if self.overloaded():
            problems["outbox"] = f"{self.relay.depth} events wait for Kafka"
        for consumer in self.consumers.values():
            if trouble := consumer.trouble():
                problems[consumer.topic.name] = trouble
        return problems

    async def _ask_postgres(self) -> dict[str, str]:
        try:
            async with asyncio.timeout(2.0):
                async with self.pool.acquire(timeout=1.5) as conn:
                    await conn.fetchval(SQL_PING)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the answer
            return {"postgres": type(error).__name__}
        return {}

    async def troubles(self) -> dict[str, str]:
        """For an operator: what readiness complains of, and what it deliberately leaves out."""
        problems = await self.ready()
        for consumer in self.consumers.values():
            problems |= consumer.stands()
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
        jwt = JwtVerifier(self.jwks, issuer=settings.jwt_issuer, audience=settings.jwt_audience, tree=lambda: self.tree)
        signatures = SignatureVerifier(self.key_ring) if self.key_ring is not None else None
        app = create_app(
            title=self.title,
            version="1",
            health=self,
            routers=[*self.routers, ops_router(self.name)],
            auth=Authenticator(jwt, signatures, self._replay_guard, self.is_erased if self.erasure else None),
            limiter=self.limiter,
            overloaded=self.overloaded,
            cursors=Cursors(self.name, settings.kafka_password.get_secret_value()),
            body_max=settings.http_body_bytes_max,
            bodies_max=settings.http_bodies_bytes_max,
            lifespan=self._lifespan,
            proxies=Proxies.parse(settings.trusted_proxies),
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
            for hook in self._stop_hooks:
                stack.push_async_callback(hook)
            for hook in self._start_hooks:
                await hook()
            self._spawn("relay", self.relay.run)
            self._spawn("measure", self._measure_forever)
            sweeper = Sweeper(lambda: self.relay.leading, lambda: self.pool, self._tables, self._ages)
            self._background["sweep-old-rows"] = sweeper.run
            roller = inbox_days.Roller(lambda: self.relay.leading, lambda: self.pool, self._ages["inbox"])
            self._background["roll-inbox"] = roller.run
            if self.settings.kafka_ca_file is not None:
                self._background["certificates"] = partial(watch_certificates, self.settings.kafka_ca_file)
            for name, task in self._background.items():
                self._spawn(name, lambda name=name, task=task: self._keep_running(name, task))  # type: ignore[misc]  # mypy can't infer lambdas with defaults
            stack.push_async_callback(self._cancel_tasks)
            async with FastStream(self.broker, logger=None):
                self._started = True
                spare_the_collector()
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
        tasks = left = set(self._tasks.values())
        self._tasks = {}
        while left:
            for task in left:
                task.cancel()
            # a library may swallow the first one, as aiokafka does while it makes a producer
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
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
                    await letter_bounds.measure(conn)
            except Exception as error:  # noqa: BLE001 figures may be late, the service goes on
                log.debug("measure_failed", error=type(error).__name__)
            await asyncio.sleep(MEASURE_EVERY_S)
