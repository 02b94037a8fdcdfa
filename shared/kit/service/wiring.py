"""What app.py says of a service: what it hears, provides, serves and does by the clock."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import Gauge

from shared.events import registry
from shared.events.area_changed import AREA_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.events.topic import Topic
from shared.kit import clock, metrics
from shared.kit.about import Misdeclared
from shared.kit.areas import AreaTree
from shared.kit.areas.carrying import ByArea, carry_forever
from shared.kit.areas.following import KnownAreas
from shared.kit.auth import Authenticator, Jwks, JwtVerifier, KeyRing, ReplayGuard, SignatureVerifier
from shared.kit.auth.replay import mark_effect
from shared.kit.auth.resealing import Resealing, Secrets
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.consuming.pending import Refusing
from shared.kit.consuming.replay import Replayer
from shared.kit.consuming.streams import create_broker
from shared.kit.http import RateLimiter
from shared.kit.http.app import create_app
from shared.kit.http.paging import Cursors
from shared.kit.measuring import Measure, Measuring
from shared.kit.messaging import inbox_days
from shared.kit.messaging.tombstones import GoneHandler, Handler
from shared.kit.messaging.work import Event, Work, begin, insert_outbox
from shared.kit.operating.ops import ops_router
from shared.kit.postgres.batcher import Batcher
from shared.kit.postgres.db import Connection, Pool, begun, reading
from shared.kit.postgres.retention import KIT_TABLES, Table
from shared.kit.postgres.schema import KIT_MIGRATIONS, own_migrations
from shared.kit.privacy.erasure import GAUGES_EVERY_S, Erasure, Finish, Forget, each_of, erased_among
from shared.kit.privacy.erasure import measure as measure_erasures
from shared.kit.proxies import Proxies
from shared.kit.publishing import holds
from shared.kit.publishing.relay import Relay
from shared.kit.publishing.states import States, unread
from shared.kit.refusals import Problem
from shared.kit.service.clockwork import Piece, Pulse, Recurring, Turn, name_of
from shared.kit.service.given import Provided
from shared.kit.service.probes import Probes
from shared.kit.service.running import running
from shared.kit.service.tasks import Task, Tasks
from shared.kit.settings import KitSettings

Tallies = Callable[[Connection], Awaitable[dict[str, int]]]
Hook = Callable[[], Awaitable[None]]
Req = TypeVar("Req")
Res = TypeVar("Res")


class Service:
    """Built in a service's app.py and nowhere made a class of its own (a house rule); `app()` is what runs."""

    def __init__(self, name: str, settings: KitSettings, *, title: str, key_ring: KeyRing | None = None) -> None:
        self.name = name
        self.settings = settings
        self.title = title
        self.key_ring = key_ring
        self.broker = create_broker(settings, name)
        self.relay = Relay(settings, name)
        self.consumers: dict[str, TopicConsumer] = {}
        self.routers: list[APIRouter] = []
        self.sent: list[APIRouter] = []
        self.provided = Provided()
        self.provide(settings)
        self.tasks = Tasks(name)
        self.pulse = Pulse()
        self.probes = Probes(self)
        self.draining = False
        self.start_hooks: list[Hook] = []
        self.stop_hooks: list[Hook] = []
        self.tables: list[Table] = [*KIT_TABLES]
        self.migrations = [KIT_MIGRATIONS, own_migrations(name)]
        self.ages = {"inbox": timedelta(hours=settings.inbox_retention_hours)}
        self._pool: Pool | None = None
        self._tallies: Tallies | None = None
        self.states: dict[str, States] = {}
        self.resealing = Resealing((), self.work)
        self.jwks = Jwks(settings.jwks_url)
        self.replay_guard: ReplayGuard | None = None
        self.limiter: RateLimiter | None = None
        self.by_area: ByArea | None = None
        self.erasure: Erasure | None = None
        self.forgets: list[Forget] = []
        self.known_areas = KnownAreas(self.pool_of, settings.areas_poll_s)
        self.on_start(self.known_areas.refresh)
        self.background("follow-areas", self.known_areas.follow)
        if name in AREA_CHANGED.consumers:
            self.consumes(AREA_CHANGED, self.known_areas.take)
        self.measures("refused", partial(holds.measure, settings.outbox_tries_max), *holds.GAUGES, every_s=5.0)
        self.measures("inbox", inbox_days.measure, *inbox_days.GAUGES, every_s=inbox_days.MEASURE_EVERY_S)

    # --- what it hears and serves -----------------------------------------------------------------------------------

    def consumes(
        self, topic: Topic[Any], use_case: Handler, gone: GoneHandler | None = None, *,
        refuses: Iterable[Problem] = (), refusing: Refusing | None = None,
    ) -> None:  # fmt: skip
        """Subscribe a use case to a topic whose declaration names this service; what else it needs it has by `partial`.
        `gone`: hears of tombstones (kit/messaging/tombstones.py). `refuses`: what it rejects records with, for the
        documents. `refusing`: hears of a company's records that become dead letters by its fault, in their transaction.

        Raises:
            ValueError: it doesn't, or the topic has a use case already.
        """
        if self.name not in topic.consumers:
            raise ValueError(f"{topic.name} doesn't declare {self.name} as a consumer")
        if topic.name in self.consumers:
            raise ValueError(f"{topic.name} has a use case already")

        async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
            await use_case(work, events)
            self.pulse.beat()

        self.consumers[topic.name] = consumer = TopicConsumer(self, topic, handle, gone, refusing, tuple(refuses))
        consumer.attach(self.broker)

    def provide(self, *things: object) -> None:
        """Give these to whatever route asks for them by their type, `Given[Rules]`. The settings are given already.

        Raises:
            ValueError: one of that type is provided already.
        """
        for thing in things:
            self.provided.add(thing)

    def include(self, *routers: APIRouter) -> None:
        """Add HTTP routes; each names its policy."""
        self.routers += routers

    def sends(self, *routers: APIRouter) -> None:
        """Say what it sends to others over HTTP: the `webhooks` of its OpenAPI document. Nothing is served."""
        self.sent += routers

    def batches(
        self, use_case: Callable[[Work, list[Req]], Awaitable[Sequence[Res | Exception]]], *, queue_max: int = 2_000
    ) -> None:
        """Provide a Batcher: requests that come while one transaction commits share the next one, in this use case."""

        async def flush(requests: list[Req]) -> list[Res | Exception]:
            async with self.work() as work:
                return [*await use_case(work, requests)]

        batcher: Batcher[Req, Res] = Batcher(flush, name=self.name, queue_max=queue_max)
        self.on_start(batcher.start)
        self.on_stop(batcher.stop)
        self.provide(batcher)

    # --- what it does by the clock ----------------------------------------------------------------------------------

    def every(
        self, seconds: float, piece: Piece, *, leader: bool = False, idle_s: float | None = None, name: str = ""
    ) -> None:
        """Do a bounded piece of work in a transaction: again at once while it does something, else after the pause.

        Not while Kafka takes nothing and events pile up. What fails is logged and tried again after a growing pause.

        Args:
            seconds: the pause, with jitter never longer.
            piece: the use case; see `Piece`.
            leader: only in the process that leads the relay.
            idle_s: the pause while nothing happens in this process: for what others cause. None: the same.
            name: of the task; that of the function, where it says enough.

        Raises:
            ValueError: a task has that name already.
        """

        async def turn() -> int | None:
            async with self._unit() as work:
                done = await piece(work)
            if done or work.rows:
                self.pulse.beat()
            return done

        self._recurs(name or name_of(piece), seconds, turn, leader, idle_s, held_up=self.overloaded)

    def repeats(
        self, seconds: float, turn: Turn, *, leader: bool = False, idle_s: float | None = None, name: str = ""
    ) -> None:
        """The same for what begins its own transactions, or none; also while events pile up."""
        self._recurs(name or name_of(turn), seconds, turn, leader, idle_s)

    def _recurs(
        self, name: str, seconds: float, turn: Turn, leader: bool, idle_s: float | None,
        held_up: Callable[[], bool] = bool,
    ) -> None:  # fmt: skip
        leads = self.leading if leader else None
        idle_s = seconds if idle_s is None else idle_s
        self.background(name, Recurring(turn, self.pulse, seconds, idle_s, leads, held_up).run)

    def background(self, name: str, task: Task) -> None:
        """Run a coroutine for as long as the process lives; it is started again, with growing pauses, when it fails.

        Raises:
            ValueError: the name is taken; the other task would never run.
        """
        self.tasks.keep(name, task)

    def measures(self, name: str, measure: Measure, *gauges: Gauge, every_s: float) -> None:
        """Set gauges from the database regularly, in the one process that leads the relay; the others show none."""
        self.background(f"measure-{name}", Measuring(self.leading, self.pool_of, measure, gauges, every_s).run)

    def on_start(self, *hooks: Hook) -> None:
        """Await these after the pool is open and before anything is consumed or served."""
        self.start_hooks += hooks

    def on_stop(self, *hooks: Hook) -> None:
        """Await these before the pool is closed."""
        self.stop_hooks += hooks

    # --- what it keeps ----------------------------------------------------------------------------------------------

    def keeps(self, *tables: Table, **ages: timedelta) -> None:
        """Say how long the service's own tables keep their rows; `ages`: where a setting says it, by table."""
        self.tables += tables
        self.ages |= ages

    def erases(self, forget: Forget | None = None, finish: Finish | None = None) -> None:
        """Give what removes riders who left from the service's tables; `finish`: from what lies outside of them.

        Every service says so, also one whose tables have nothing of riders: the kit's own may.
        """
        self.forgets += [forget] if forget is not None else []
        forget_all = each_of(self.forgets)
        self.erasure = erasure = Erasure(self.pool_of, self.settings.erasure_settle_s, forget_all, finish)
        if self.name in RIDER_ERASED.consumers:
            self.consumes(RIDER_ERASED, erasure.on_rider_erased)
        self.background("erasure", erasure.forever)
        gauges = metrics.ERASURES_KNOWN, metrics.ERASURES_DONE
        self.measures("erasures", measure_erasures, *gauges, every_s=GAUGES_EVERY_S)

    def tallies(self, count: Tallies) -> None:
        """Give the figures that a reconciliation compares with other services."""
        self._tallies = count

    def restates(self, *states: States) -> None:
        """Say how the states of topics that keep the latest per key are read from the tables once more.

        Raises:
            ValueError: a topic is another's, or named twice.
        """
        for one in states:
            if one.topic.producer != self.name or one.topic.name in self.states:
                raise ValueError(f"{one.topic.name} is not {self.name}'s, or named twice")
            self.states[one.topic.name] = one

    def keeps_by_area(self, by_area: ByArea) -> None:
        """Give what is kept under areas' codes, and how it is carried over when a new map replaces them."""
        self.by_area = by_area
        if by_area.carry is not None:
            carry = partial(carry_forever, by_area, self.known_areas, self.leading, self.work)
            self.background("carry-areas", carry)

    def seals(self, *kinds: Secrets) -> None:
        """Give the sealed secrets in the schema: they are counted, and those of the service's own can be resealed."""
        self.resealing.add(kinds)

    # --- used by routes and use cases -------------------------------------------------------------------------------

    @property
    def pool(self) -> Pool:
        """The connections, once started."""
        if self._pool is None:
            raise RuntimeError("the service is not started")
        return self._pool

    @pool.setter
    def pool(self, pool: Pool) -> None:
        self._pool = pool

    def pool_of(self) -> Pool:
        """The same, for what is built before."""
        return self.pool

    def reading(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        """A connection to read with for a part of a route's way; for all of it there is `Reading`."""
        return reading(self.pool)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """A transaction with an outbox: commits at the end of the block, then wakes the relay and who rests."""
        async with self._unit() as work:
            yield work
        self.pulse.beat()

    @contextlib.asynccontextmanager
    async def _unit(self) -> AsyncIterator[Work]:
        started_s = clock.monotonic_s()
        async with begun(self.pool) as conn:
            work = await begin(conn)
            yield work
            await insert_outbox(conn, work.rows)
            await mark_effect(conn)
        metrics.TRANSACTION_DURATION.observe(clock.monotonic_s() - started_s)
        if work.rows:
            self.committed()

    def committed(self) -> None:
        """Events were committed: wake the relay of this process, if it leads, and who rests."""
        self.relay.wake()
        self.pulse.beat()

    def leading(self) -> bool:
        """Whether this process leads the relay, and does what one process does for all."""
        return self.relay.leading

    def overloaded(self) -> bool:
        """Whether new work should be refused because Kafka takes nothing."""
        return self.relay.depth > self.settings.outbox_rows_max

    async def is_erased(self, rider_id: str) -> bool:
        """Whether a token's rider has been erased; False also for ids that are no rider's."""
        try:
            rider = UUID(rider_id)
        except ValueError:
            return False
        async with self.reading() as conn:
            return bool(await erased_among(conn, [rider]))

    @property
    def tree(self) -> AreaTree:
        """The city's areas as this process knows them now."""
        return self.known_areas.tree

    @property
    def replayer(self) -> Replayer:
        """Replays this service's dead letters."""
        return Replayer(self.pool, self.consumers)

    @property
    def subscriptions(self) -> Sequence[Topic[Any]]:
        """The topics that this service really subscribes to."""
        return [consumer.topic for consumer in self.consumers.values()]

    async def figures(self, conn: Connection) -> dict[str, int]:
        """The service's own tallies, or none."""
        return await self._tallies(conn) if self._tallies is not None else {}

    # --- running ----------------------------------------------------------------------------------------------------

    def app(self) -> FastAPI:
        """The HTTP application; its lifespan runs everything else.

        Raises:
            Misdeclared: nothing consumes a topic that names it, reads states again, or provides what a route takes.
        """
        if missing := {topic.name for topic in registry.consumed_by(self.name)} - set(self.consumers):
            raise Misdeclared(f"{self.name} is declared to consume {sorted(missing)}, and doesn't")
        if mute := unread(self.name, self.states):
            raise Misdeclared(f"{self.name} keeps the latest per key on {mute}: say by `restates` how it is read again")
        if lacking := self.provided.lacks(self.routers):
            raise Misdeclared(f"{self.name} provides no {', no '.join(lacking)}")
        settings, keys = self.settings, self.key_ring
        self.replay_guard = ReplayGuard(self.pool_of) if keys is not None else None
        self.limiter = RateLimiter.from_url(
            settings.redis_url.get_secret_value(), service=self.name, per_minute=settings.rate_limit_per_minute
        )
        jwt = JwtVerifier(self.jwks, issuer=settings.jwt_issuer, audience=settings.jwt_audience, tree=lambda: self.tree)
        signatures = SignatureVerifier(keys) if keys is not None else None
        app = create_app(
            title=self.title,
            version="1",
            health=self.probes,
            routers=[*self.routers, ops_router(self.name)],
            sends=self.sent,
            auth=Authenticator(jwt, signatures, self.replay_guard, self.is_erased if self.erasure else None),
            limiter=self.limiter,
            overloaded=self.overloaded,
            cursors=Cursors(self.name, settings.kafka_password.get_secret_value()),
            body_max=settings.http_body_bytes_max,
            bodies_max=settings.http_bodies_bytes_max,
            lifespan=lambda _: running(self),
            proxies=Proxies.parse(settings.trusted_proxies),
        )
        app.state.service = self
        return app


async def current_service(request: Request) -> Service:
    """The service that a route belongs to."""
    service: Service = request.app.state.service
    return service


CurrentService = Annotated[Service, Depends(current_service)]
"""For routes that write, in `service.work()`."""
