"""Batch consumers: each record takes effect once, a poison record stalls nobody else.

What they add to a subscription that hands over batches (streams.py):
- decoding record by record; unreadable ones become dead letters beside their neighbours' effects;
- the inbox: ids that are new, in the effect's own transaction;
- a failing batch is split until the culprits are alone; everybody else's effects commit at once;
- culprits are tried again a bounded number of times, all in the same rounds, so that twenty cost no more time than one;
- a key's successors wait behind its culprit, then are parked beside it as dead letters, in order;
- an outage of Postgres or the network is no culprit: the batch is fetched again, without limit, with growing pauses;
- where too many fail alike the topic stands still, and nothing more of it is buried (standing.py, letter_limit.py).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer

from shared.events.topic import Topic
from shared.kit import clock, metrics
from shared.kit.consuming import spans
from shared.kit.consuming.decode import Decoder
from shared.kit.consuming.fetching import Fetching
from shared.kit.consuming.hearing import Hearing
from shared.kit.consuming.pending import (
    Item,
    Pending,
    Refusing,
    burial,
    known_otherwise,
    last_burials,
    refused_records,
)
from shared.kit.consuming.progress import Progress
from shared.kit.consuming.standing import TRIED_AT_ONCE, Standing
from shared.kit.consuming.streams import Broker, Outage, Raws, Subscription
from shared.kit.letters import dead_letters
from shared.kit.letters.codes import PARKED
from shared.kit.letters.dead_letters import Burial
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.letters.letter_limit import Allowances, Limit, LimitReached
from shared.kit.messaging import inbox
from shared.kit.messaging.tombstones import GoneHandler, Handler, minding
from shared.kit.messaging.work import Event, Work, begin, insert_outbox
from shared.kit.postgres.db import Connection, Pool, begun, is_too_much, is_transient
from shared.kit.privacy.letters_of_erased import guarding
from shared.kit.refusals import Problem
from shared.kit.settings import KitSettings

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.1
# Other keys wait while culprits are retried, once per batch that has some: at 1.0 s a backlog of 2,000 records with
# 20 culprits in it made them 7 s late. An outage is no culprit and has pauses of its own.
RETRY_MOST_S = 0.25
OUTAGE_MOST_S = 5.0
# A transaction ends after 30 s, whoever is slow. One that lost its connection after so long may have been too large.
SLOW_S = 24.0


class Host(Protocol):
    """What a consumer needs of its service."""

    name: str
    settings: KitSettings

    @property
    def pool(self) -> Pool:
        """The service's connections."""

    def committed(self) -> None:
        """Informed after each commit that may have queued events."""


class TookEffect(Exception):
    """An event that was to be buried has taken effect by another way."""


class TopicConsumer:
    """One service's subscription to one Topic."""

    def __init__(
        self,
        host: Host,
        topic: Topic[Any],
        handler: Handler,
        gone: GoneHandler | None = None,
        refusing: Refusing | None = None,
        refuses: tuple[Problem, ...] = (),
    ) -> None:
        self.topic = topic
        self.refusing = refusing
        self.refuses = refuses
        self.handler = guarding(topic, minding(topic, handler, gone))
        self.subscription: Subscription | None = None
        self.decoder = Decoder(topic, host.settings.topic_prefix)
        self.fetching = Fetching(topic.name, host.settings.batch_records_max)
        self._host = host
        self._outages = 0
        self._at_once = host.settings.batch_records_max
        self.progress = Progress(topic.name, host.settings.topic_prefix)
        settings = host.settings
        limit = Limit(settings.letters_alike_max, settings.letters_alike_share, settings.letters_alike_s)
        self.allowances = Allowances(limit)
        self.standing = Standing(topic.name, settings.topic_prefix, lambda: host.pool, self.fetching)
        # Whether the last batch had records that took effect before: then the next one likely has some too.
        self._repeats = False
        # There from the beginning: what appears with its first value has not risen, and no panel would show it.
        for histogram in (metrics.BATCH_SIZE, metrics.BATCH_DURATION, metrics.EVENT_AGE):
            histogram.labels(topic=topic.name)
        for outcome in metrics.OUTCOMES:
            metrics.CONSUMED.labels(topic=topic.name, outcome=outcome)

    def attach(self, broker: Broker) -> None:
        """Subscribe: from the broker's start on, batches come to `process`."""
        host = self._host
        self.subscription = Subscription(broker, host.settings, host.name, self.topic, self.fetching, self.process)

    # --- one batch --------------------------------------------------------------------------------------------------

    async def process(self, raws: Raws) -> None:
        """Settle every record of a polled batch: handled, dropped as duplicate, refused, dead or parked.

        Raises:
            Outage: after a pause, where the database or network is away; nothing is acknowledged.
        """
        started_s = clock.monotonic_s()
        self.progress.begins(raws)
        self.standing.begins()
        metrics.BATCH_SIZE.labels(topic=self.topic.name).observe(len(raws))
        items = self.decoder.decode([self.decoder.record(raw) for raw in raws])
        try:
            with spans.consuming(self.topic.name, items) as traced:
                await self._in_parts([Pending(order, item) for order, item in enumerate(traced)])
            left = await self.standing.settle(raws, self._kafka)
        except Exception as error:
            if not is_transient(error):
                raise
            self._outages += 1
            metrics.RETRIES.labels(topic=self.topic.name, cause="outage").inc()
            log.warning("consumer_waits", topic=self.topic.name, error=type(error).__name__, outages=self._outages)
            await asyncio.sleep(_pause_s(self._outages, OUTAGE_MOST_S))
            raise Outage(type(error).__name__) from error
        finally:
            self.progress.ends()
        self._outages = 0
        self.progress.settled(items, started_s, left)
        await self._let_fill(len(raws), started_s)

    async def _let_fill(self, records: int, started_s: float) -> None:
        """After a small batch, wait until the interval is over: what comes meanwhile shares the next transaction.

        One event alone is never delayed by this, and a full batch means that more is waiting already.
        """
        if records * 2 < self._host.settings.batch_records_max:
            interval_s = self._host.settings.batch_interval_ms / 1000
            await asyncio.sleep(max(0.0, started_s + interval_s - clock.monotonic_s()))

    async def _in_parts(self, pending: Sequence[Pending]) -> None:
        """All at once, or in ever smaller parts while the server ends transactions because they take too long."""
        at_once = min(self._at_once, TRIED_AT_ONCE) if self.standing.tries(pending) else self._at_once
        for start in range(0, len(pending), at_once):
            began_s = clock.monotonic_s()
            try:
                await self._rounds(self.standing.go_on_with(pending[start : start + at_once]))
            except Exception as error:
                if is_transient(error) and clock.monotonic_s() - began_s > SLOW_S:
                    self._at_once = max(1, min(self._at_once, len(pending)) // 2)
                    log.warning("smaller_transactions", topic=self.topic.name, records=self._at_once)
                raise
        self._at_once = min(self._host.settings.batch_records_max, self._at_once * 2)

    async def _rounds(self, pending: list[Pending]) -> None:
        """Everything that can commit does so in the first round; culprits get `handler_attempts_max` rounds."""
        attempts = self._host.settings.handler_attempts_max
        attempt = 0
        while pending and (pending := self.standing.sort_out(await self._pass(pending))):
            attempt += 1
            if attempt >= attempts and await self._give_up(pending):
                return
            metrics.RETRIES.labels(topic=self.topic.name, cause="failure").inc()
            await asyncio.sleep(_pause_s(attempt, RETRY_MOST_S))

    async def _pass(self, pending: list[Pending]) -> list[Pending]:
        """Commit what can be committed, halving around culprits. Returns culprits and those who wait behind them."""
        try:
            await self._transaction([p.item for p in pending])
        except Exception as error:
            if is_transient(error) and not (len(pending) > 1 and is_too_much(error)):
                raise
            if len(pending) == 1:
                pending[0].error = error
                pending[0].attempts += 1
                return pending
        else:
            return []
        middle = len(pending) // 2
        left = await self._pass(pending[:middle])
        blocked = {p.key for p in left if p.key is not None} if self.topic.ordered else set()
        waiting = [p for p in pending[middle:] if p.key in blocked]
        free = [p for p in pending[middle:] if p.key not in blocked]
        right = await self._pass(free) if free else []
        return sorted([*left, *waiting, *right], key=lambda p: p.order)

    async def _transaction(self, items: Sequence[Item]) -> None:
        """Let these records take effect; again with care where one had done so already."""
        try:
            await self._effect(items)
        except asyncpg.IntegrityConstraintViolationError as error:
            repeats = inbox.is_known(error) and not self._repeats
            if not repeats and not inbox.has_moved(error):
                raise
            self._repeats = self._repeats or repeats
            await self._effect(items)

    async def _effect(self, items: Sequence[Item]) -> None:
        """Inbox, effect, dead letters and outgoing events of these records: all or nothing."""
        host, name = self._host, self.topic.name
        started_s = clock.monotonic_s()
        async with begun(host.pool) as conn:
            work = await begin(conn)
            fresh, duplicates = await self._fresh(conn, items)
            self._repeats = duplicates > 0
            parked = await self._parked(conn, fresh)
            live: list[Event[Any]] = []
            burials: list[Burial] = []
            for item in fresh:
                key = item.record.key
                if key is not None and key in parked:
                    burials.append(burial(item, "parked", PARKED.code, "behind a dead letter of its key", 0))
                elif isinstance(item, Event):
                    live.append(item)
                else:
                    burials.append(burial(item, item.status, item.code, item.detail, 1))
                    if key is not None and self.topic.ordered:
                        parked.add(key)
            if live:
                await self.handler(work, live)
            if other := {one.code for one in work.rejections} - {one.code for one in self.refuses}:
                # the record has its reason all the same: only the documents lack it
                log.error("undeclared_refusal", topic=name, codes=sorted(other))
            burials += [Burial(r.record, r.event_id, "rejected", r.code, r.detail, 1) for r in work.rejections]
            letters = await self._bury(conn, burials, work, live)
            rows = [*work.rows, *letters]
            await insert_outbox(conn, rows)
        metrics.TRANSACTION_DURATION.observe(clock.monotonic_s() - started_s)
        if rows:
            host.committed()
        self.allowances.took_effect(live, work.rejections)
        self.allowances.used(burials)
        count = metrics.CONSUMED
        count.labels(topic=name, outcome="handled").inc(len(live) - len(work.rejections))
        if duplicates:
            count.labels(topic=name, outcome="duplicate").inc(duplicates)
        for one in burials:
            count.labels(topic=name, outcome=one.status).inc()
            self.fetching.buried[host.settings.topic_prefix + one.record.topic] += 1

    async def _fresh(self, conn: Connection, items: Sequence[Item]) -> tuple[list[Item], int]:
        """The items without those that took effect already, and how many those are. Behind them those that say
        something else under an id that did, as what they are: refused.

        Raises:
            asyncpg.UniqueViolationError: one took effect already, and none of the batch before.
        """
        events = [item for item in items if isinstance(item, Event)]
        if not events:
            return list(items), 0
        ids, contents = [event.id for event in events], [event.content for event in events]
        if not self._repeats and len(set(ids)) == len(ids):
            await inbox.enter_new(conn, ids, contents)
            return list(items), 0
        fresh = inbox.due(items, await inbox.enter(conn, ids, contents))
        fresh += [known_otherwise(event) for event in await inbox.differing(conn, events, fresh)]
        return fresh, len(items) - len(fresh)

    async def _parked(self, conn: Connection, items: Sequence[Item]) -> set[bytes]:
        if not self.topic.ordered:
            return set()
        keys = {item.record.key for item in items if item.record.key is not None}
        return await dead_letters.parked(conn, self.topic.name, keys) if keys else set()

    async def _bury(
        self, conn: Connection, burials: Sequence[Burial], work: Work, live: Sequence[Event[Any]] | None = None
    ) -> list[Any]:
        """`live`: what was handled beside them, where their sender is to hear of it."""
        if not burials:
            return []
        settings = self._host.settings
        bounds = Bounds(settings.letter_bytes_max, settings.letter_rows_max)
        if self.topic.ordered:  # before: how many keys are parked decides whether what is behind them counts
            keys = [b.record.key for b in burials if b.status == "dead" and b.record.key is not None]
            await dead_letters.park(conn, self.topic.name, keys, work.now)
        room = partial(self.allowances.use, conn)
        heard = None if live is None or self.refusing is None else partial(self._refuse, work, self.refusing, live)
        return await dead_letters.bury(
            conn,
            burials,
            consumer=self._host.name,
            now=work.now,
            bounds=bounds,
            prefix=settings.topic_prefix,
            room=room,
            heard=heard,
        )

    async def _refuse(
        self, work: Work, refusing: Refusing, live: Sequence[Event[Any]], burials: Sequence[Burial]
    ) -> None:
        await refusing(work, refused_records(self.topic, live, burials))

    async def _give_up(self, pending: Sequence[Pending]) -> bool:
        """Culprits become dead letters, and those who waited behind them are parked, in order.

        False, and nothing done, where one has taken effect by another way meanwhile: those behind it wait for nothing.
        Where there are too many, their topic stands still, and only other topics' are buried.
        """
        contents = {p.item.id: p.item.content for p in reversed(pending) if isinstance(p.item, Event)}
        try:
            async with begun(self._host.pool) as conn:
                entered = await inbox.enter(conn, list(contents), list(contents.values()))
                if entered != contents.keys():
                    raise TookEffect
                due = {id(item) for item in inbox.due([p.item for p in pending], entered)}
                burials = last_burials([p for p in pending if id(p.item) in due], ordered=self.topic.ordered)
                await insert_outbox(conn, await self._bury(conn, burials, await begin(conn)))
        except TookEffect:
            self._repeats = True
            return False
        except LimitReached as reached:
            others = self.standing.stop(pending, reached)
            return not others or await self._give_up(others)
        self.allowances.used(burials)
        self._host.committed()
        for one in burials:
            metrics.CONSUMED.labels(topic=self.topic.name, outcome=one.status).inc()
            self.fetching.buried[self._host.settings.topic_prefix + one.record.topic] += 1
            log.error(
                "dead_letter",
                topic=one.record.topic,
                partition=one.record.partition,
                offset=one.record.offset,
                status=one.status,
                error=one.detail.split(":")[0],
            )
        return True

    # --- what it says ----------------------------------------------------------------------------------------------

    @property
    def _kafka(self) -> AIOKafkaConsumer | None:
        return self.subscription.kafka if self.subscription is not None else None

    @property
    def hearing(self) -> Hearing:
        """Whether the broker answers."""
        return self.progress.hearing

    async def measure(self) -> int:
        """Set the lag gauges; returns the records not yet consumed over all assigned partitions."""
        waiting = await self.progress.measure(self._kafka)
        self.standing.show(self._kafka, waiting)
        return waiting

    def stands(self) -> Mapping[str, str]:
        """The topics that this process stands still on, with the reason: nothing that a restart or a balancer helps."""
        return self.standing.mine(self._kafka)

    def trouble(self) -> str | None:
        """Why the process should be started again: the loop has ended, or nothing moves although records wait."""
        if self.subscription is None or not self.subscription.running:
            return "the consumer's loop has ended"
        if self._outages:
            return None  # it waits for somebody else: a restart would not help
        return self.progress.silence


def _pause_s(attempt: int, most_s: float) -> float:
    """Doubling pause with jitter."""
    return clock.jittered(min(most_s, RETRY_FIRST_S * 2.0 ** (attempt - 1)))
