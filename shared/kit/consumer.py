"""Batch consumers on FastStream: each record takes effect once, a poison record stalls nobody else.

What the kit adds to a FastStream batch subscriber:
- decoding record by record; unreadable ones become dead letters beside their neighbours' effects;
- the inbox: ids that are new, in the effect's own transaction;
- a failing batch is split until the culprits are alone; everybody else's effects commit at once;
- culprits are tried again a bounded number of times, all in the same rounds, so that twenty cost no more time than one;
- a key's successors wait behind its culprit, then are parked beside it as dead letters, in order;
- an outage of Postgres or the network is no culprit: the batch is fetched again, without limit, with growing pauses.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import asyncpg
import structlog
from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from shared.events.topic import Topic
from shared.kit import clock, dead_letters, metrics, spans
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool, is_transient
from shared.kit.dead_letters import Burial
from shared.kit.decode import Decoder, Unreadable
from shared.kit.hearing import Hearing
from shared.kit.settings import KitSettings
from shared.kit.work import Event, Work, insert_outbox

if TYPE_CHECKING:
    from faststream.kafka.subscriber.usecase import BatchSubscriber

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[Work, Sequence[Event[Any]]], Awaitable[None]]
Item: TypeAlias = Event[Any] | Unreadable
RETRY_FIRST_S = 0.1
# Other keys wait while culprits are retried, once per batch that has some: at 1.0 s a backlog of 2,000 records with
# 20 culprits in it made them 7 s late. An outage is no culprit and has pauses of its own.
RETRY_MOST_S = 0.25
OUTAGE_MOST_S = 5.0
SILENT_AFTER_S = 120.0
# The broker answers a fetch with the first byte, or after this: a short wait would cost CPU for nothing all day.
FETCH_WAIT_MS = 500

# Nearly every id is new, and ON CONFLICT makes each row twice as dear: it is spoken only after a batch had a known one.
SQL_INBOX_NEW = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[])"
SQL_INBOX = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"


class Host(Protocol):
    """What a consumer needs of its service."""

    name: str
    settings: KitSettings

    @property
    def pool(self) -> Pool:
        """The service's connections."""

    def committed(self) -> None:
        """Told after each commit that may have queued events."""


class Outage(Exception):
    """Something outside the record is away: FastStream seeks back and the batch comes again."""


@dataclass(slots=True)
class Pending:
    """One record on its way through the rounds; `order` is its place in the batch."""

    order: int
    item: Item
    error: Exception | None = None
    attempts: int = 0

    @property
    def key(self) -> bytes | None:
        """The Kafka key: what order is kept for."""
        return self.item.record.key


class TopicConsumer:
    """One service's subscription to one Topic."""

    def __init__(self, host: Host, topic: Topic[Any], handler: Handler) -> None:
        self.topic = topic
        self.handler = handler
        self.subscriber: BatchSubscriber | None = None
        self.decoder = Decoder(topic, host.settings.topic_prefix)
        self._host = host
        self._outages = 0
        self._progress_s = clock.monotonic_s()
        self.hearing = Hearing()
        self._settled_up_to_s = clock.unix_s()
        self._in_hand: Counter[tuple[str, int]] = Counter()
        # Whether the last batch had records that took effect before: then the next one likely has some too.
        self._repeats = False
        for outcome in metrics.OUTCOMES:
            metrics.CONSUMED.labels(topic=topic.name, outcome=outcome)

    # --- wiring -----------------------------------------------------------------------------------------------------

    def attach(self, broker: KafkaBroker) -> None:
        """Subscribe with the group `<prefix><service>.<topic>`: one group a topic, so topics never wait for another."""
        settings = self._host.settings
        name = settings.topic_prefix + self.topic.name
        names = () if self.topic.is_family else (name,)
        instance = settings.kafka_instance_id
        self.subscriber = broker.subscriber(
            *names,
            pattern="^" + name.replace(".", r"\.").replace("{company}", "[a-z][a-z0-9-]+") + "$"
            if self.topic.is_family
            else None,
            group_id=f"{settings.topic_prefix}{self._host.name}.{self.topic.name.replace('{company}', 'all')}",
            group_instance_id=f"{instance}.{self.topic.name}" if instance else None,
            batch=True,
            max_records=settings.batch_records_max,
            batch_timeout_ms=1_000,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            heartbeat_interval_ms=1_000,
            session_timeout_ms=15_000,
            parser=self._parse,
            decoder=self._raw,
        )
        self.subscriber(self.process)

    async def _parse(self, raw: tuple["ConsumerRecord[bytes, bytes]", ...]) -> KafkaAckableMessage:
        """FastStream's own parser decodes every header as UTF-8 and skips the batch where one is not."""
        consumer = self.subscriber.consumer if self.subscriber is not None else None
        if consumer is None:
            raise Outage("the consumer has just been stopped")
        return KafkaAckableMessage(
            raw_message=raw,
            body=b"",
            headers={},
            batch_headers=[],
            message_id=f"{raw[0].offset}-{raw[-1].offset}",
            correlation_id=None,
            path={},
            consumer=consumer,
        )

    async def _raw(self, message: KafkaAckableMessage) -> list["ConsumerRecord[bytes, bytes]"]:
        return list(message.raw_message)

    # --- one batch --------------------------------------------------------------------------------------------------

    async def process(self, raws: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        """Settle every record of a polled batch: handled, dropped as duplicate, refused, dead or parked.

        Raises:
            Outage: after a pause, where the database or network is away; nothing is acknowledged.
        """
        started_s = clock.monotonic_s()
        self._in_hand = Counter((raw.topic, raw.partition) for raw in raws)
        metrics.BATCH_SIZE.labels(topic=self.topic.name).observe(len(raws))
        items = self.decoder.decode([self.decoder.record(raw) for raw in raws])
        try:
            with spans.consuming(self.topic.name, items) as traced:
                await self._rounds([Pending(order, item) for order, item in enumerate(traced)])
        except Exception as error:
            if not is_transient(error):
                raise
            self._outages += 1
            metrics.RETRIES.labels(topic=self.topic.name, cause="outage").inc()
            log.warning("consumer_waits", topic=self.topic.name, error=type(error).__name__, outages=self._outages)
            await asyncio.sleep(_pause_s(self._outages, OUTAGE_MOST_S))
            raise Outage(type(error).__name__) from error
        finally:
            self._in_hand = Counter()
        self._outages = 0
        self._told(items, started_s)
        await self._let_fill(len(raws), started_s)

    async def _let_fill(self, records: int, started_s: float) -> None:
        """After a small batch, wait until the interval is over: what comes meanwhile shares the next transaction.

        One event alone is never delayed by this, and a full batch means that more is waiting already.
        """
        if records * 2 < self._host.settings.batch_records_max:
            interval_s = self._host.settings.batch_interval_ms / 1000
            await asyncio.sleep(max(0.0, started_s + interval_s - clock.monotonic_s()))

    async def _rounds(self, pending: list[Pending]) -> None:
        """Everything that can commit does so in the first round; culprits get `handler_attempts_max` rounds."""
        attempts = self._host.settings.handler_attempts_max
        for attempt in range(attempts):
            if attempt:
                metrics.RETRIES.labels(topic=self.topic.name, cause="failure").inc()
                await asyncio.sleep(_pause_s(attempt, RETRY_MOST_S))
            pending = await self._pass(pending)
            if not pending:
                return
        await self._give_up(pending)

    async def _pass(self, pending: list[Pending]) -> list[Pending]:
        """Commit what can be committed, halving around culprits. Returns culprits and those who wait behind them."""
        try:
            await self._transaction([p.item for p in pending])
        except Exception as error:
            if is_transient(error):
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
        except asyncpg.UniqueViolationError as error:
            if self._repeats or error.table_name != "inbox":
                raise
            self._repeats = True
            await self._effect(items)

    async def _effect(self, items: Sequence[Item]) -> None:
        """Inbox, effect, dead letters and outgoing events of these records: all or nothing."""
        host, name = self._host, self.topic.name
        started_s = clock.monotonic_s()
        async with host.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
            work = Work(conn)
            fresh, duplicates = await self._fresh(conn, items)
            self._repeats = duplicates > 0
            parked = await self._parked(conn, fresh)
            live: list[Event[Any]] = []
            burials: list[Burial] = []
            for item in fresh:
                key = item.record.key
                if key is not None and key in parked:
                    burials.append(_burial(item, "parked", "parked", "behind a dead letter of its key", 0))
                elif isinstance(item, Event):
                    live.append(item)
                else:
                    burials.append(_burial(item, "dead", item.code, item.detail, 1))
                    if key is not None and self.topic.ordered:
                        parked.add(key)
            if live:
                await self.handler(work, live)
            burials += [Burial(r.record, r.event_id, "rejected", r.code, r.detail, 1) for r in work.rejections]
            rows = [*work.rows, *await self._bury(conn, burials, work)]
            await insert_outbox(conn, rows)
        metrics.TRANSACTION_DURATION.observe(clock.monotonic_s() - started_s)
        if rows:
            host.committed()
        count = metrics.CONSUMED
        count.labels(topic=name, outcome="handled").inc(len(live) - len(work.rejections))
        if duplicates:
            count.labels(topic=name, outcome="duplicate").inc(duplicates)
        for burial in burials:
            count.labels(topic=name, outcome=burial.status).inc()

    async def _fresh(self, conn: Connection, items: Sequence[Item]) -> tuple[list[Item], int]:
        """The items without those that took effect already, and how many those are.

        Raises:
            asyncpg.UniqueViolationError: one took effect already, and none of the batch before.
        """
        ids = [item.id for item in items if isinstance(item, Event)]
        if not ids:
            return list(items), 0
        if not self._repeats and len(set(ids)) == len(ids):
            await conn.execute(SQL_INBOX_NEW, ids)
            return list(items), 0
        new = {row["event_id"] for row in await conn.fetch(SQL_INBOX, ids)}
        fresh: list[Item] = []
        for item in items:
            if isinstance(item, Unreadable):
                fresh.append(item)
            elif item.id in new:
                new.discard(item.id)
                fresh.append(item)
        return fresh, len(items) - len(fresh)

    async def _parked(self, conn: Connection, items: Sequence[Item]) -> set[bytes]:
        if not self.topic.ordered:
            return set()
        keys = {item.record.key for item in items if item.record.key is not None}
        return await dead_letters.parked(conn, self.topic.name, keys) if keys else set()

    async def _bury(self, conn: Connection, burials: Sequence[Burial], work: Work) -> list[Any]:
        if not burials:
            return []
        rows = await dead_letters.bury(conn, burials, consumer=self._host.name, now=work.now)
        if self.topic.ordered:
            keys = [b.record.key for b in burials if b.status == "dead" and b.record.key is not None]
            await dead_letters.park(conn, self.topic.name, keys, work.now)
        return rows

    async def _give_up(self, pending: Sequence[Pending]) -> None:
        """Culprits become dead letters, and those who waited behind them are parked, in order."""
        seen: set[bytes] = set()
        burials: list[Burial] = []
        for p in pending:
            waits = self.topic.ordered and p.key is not None and p.key in seen
            if waits:
                burials.append(_burial(p.item, "parked", "parked", "behind a dead letter of its key", p.attempts))
            else:
                burials.append(_burial(p.item, "dead", "handler_failed", _told_error(p.error), p.attempts))
            if p.key is not None:
                seen.add(p.key)
        self._repeats = True
        async with self._host.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
            await self._fresh(conn, [p.item for p in pending])
            await insert_outbox(conn, await self._bury(conn, burials, Work(conn)))
        self._host.committed()
        for burial in burials:
            metrics.CONSUMED.labels(topic=self.topic.name, outcome=burial.status).inc()
            log.error(
                "dead_letter",
                topic=burial.record.topic,
                partition=burial.record.partition,
                offset=burial.record.offset,
                status=burial.status,
                error=burial.detail.split(":")[0],
            )

    # --- what it tells ----------------------------------------------------------------------------------------------

    def _told(self, items: Sequence[Item], started_s: float) -> None:
        name = self.topic.name
        self._progress_s = clock.monotonic_s()
        metrics.BATCH_DURATION.labels(topic=name).observe(self._progress_s - started_s)
        metrics.LAST_PROGRESS.labels(topic=name).set(clock.unix_s())
        oldest = min((i.occurred_at for i in items if isinstance(i, Event)), default=None)
        if oldest is not None:
            self._settled_up_to_s = oldest.timestamp()
            metrics.EVENT_AGE.labels(topic=name).observe(max(0.0, (clock.now() - oldest).total_seconds()))

    async def measure(self) -> int:
        """Set the lag gauges; returns the records not yet consumed over all assigned partitions."""
        consumer = self.subscriber.consumer if self.subscriber is not None else None
        if consumer is None:
            return 0
        total = 0
        for partition in consumer.assignment():
            highwater = consumer.highwater(partition)
            if highwater is None:
                continue
            # The position is behind the batch in hand, which is not consumed before it is settled.
            lag = max(0, highwater - await consumer.position(partition)) + self._in_hand[partition]
            total += lag
            topic = partition.topic.removeprefix(self._host.settings.topic_prefix)
            metrics.LAG.labels(topic=topic, partition=str(partition.partition)).set(lag)
        heard = self.hearing.listen(consumer, idle=total == 0)
        if total == 0:
            self._progress_s = clock.monotonic_s()  # also without a broker: a restart would not help
        if heard:
            self._settled_up_to_s = clock.unix_s()
            metrics.LAST_PROGRESS.labels(topic=self.topic.name).set(clock.unix_s())
        # What waits came after the oldest event of the last settled batch, or after nothing waited.
        lag_s = max(0.0, clock.unix_s() - self._settled_up_to_s) if total else 0.0
        metrics.LAG_SECONDS.labels(topic=self.topic.name).set(lag_s)
        return total

    def trouble(self) -> str | None:
        """Why the process should be started anew: the loop has ended, or nothing moves although records wait."""
        tasks = self.subscriber.tasks if self.subscriber is not None else []
        if not any(not task.done() for task in tasks):
            return "the consumer's loop has ended"
        if self._outages:
            return None  # it waits for somebody else: a restart would not help
        silent_s = clock.monotonic_s() - self._progress_s
        return f"no progress for {silent_s:.0f} s" if silent_s > SILENT_AFTER_S else None


def _pause_s(attempt: int, most_s: float) -> float:
    """Doubling pause with jitter."""
    return clock.jittered(min(most_s, RETRY_FIRST_S * 2.0 ** (attempt - 1)))


def _burial(item: Item, status: dead_letters.Status, code: str, detail: str, attempts: int) -> Burial:
    return Burial(item.record, item.id if isinstance(item, Event) else None, status, code, detail, attempts)


def _told_error(error: Exception | None) -> str:
    """Class and message; of a database error not its DETAIL line, which quotes values."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error.message if hasattr(error, 'message') else error}"
    return f"{type(error).__name__}: {error}"
