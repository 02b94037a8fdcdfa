"""Sending rows of the outbox to Kafka: in order, whole batches per partition, and what Kafka answers to each.

Three answers are kept apart. Acknowledged: Kafka has the row. Refused: Kafka said in so many words that it takes this
row, or anything for this topic, never: others go on. Everything else (silence, a timeout, too few replicas, no right to
anything at all) is an outage: no row is to blame.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import dataclass, field

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.events import registry
from shared.events.envelope import Envelope, to_headers
from shared.kit import clock, metrics
from shared.kit.messaging.headers import key_of, unpack
from shared.kit.messaging.kafka import REQUEST_BYTES_MAX, client_arguments
from shared.kit.publishing.unheard import Unheard
from shared.kit.settings import KitSettings

log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 900_000
SEND_TIMEOUT_S = 10.0
LOOK_S = 1.0
STOP_TIMEOUT_S = 3.0
# A topic that a broker doesn't know is asked for again: one that has just started may not know all of them.
ASK_PAUSES_S = (0.0, 0.1, 0.4)

OF_ROW: dict[type[Exception], str] = {
    kafka.MessageSizeTooLargeError: "too_large",
    kafka.RecordListTooLargeError: "too_large",
    kafka.InvalidTimestampError: "invalid",
    kafka.UnsupportedForMessageFormatError: "invalid",
    kafka.PolicyViolationError: "invalid",
}
OF_TOPIC: dict[type[Exception], str] = {
    kafka.UnknownTopicOrPartitionError: "topic_missing",
    kafka.InvalidTopicError: "topic_missing",
    kafka.TopicAuthorizationFailedError: "topic_forbidden",
}
TOPIC_CODES = frozenset(OF_TOPIC.values())

Row = asyncpg.Record
Headers = Sequence[tuple[str, bytes | None]]


class RelayError(Exception):
    """A round failed; its unacknowledged rows stay in the outbox. The cause says why."""


@dataclass(slots=True)
class Refused:
    """A row that Kafka doesn't take, and why. `code` of TOPIC_CODES: it takes nothing for this topic."""

    row: Row
    code: str
    detail: str

    @property
    def whole_topic(self) -> bool:
        """Whether the refusal is the topic's, not the row's."""
        return self.code in TOPIC_CODES


@dataclass(slots=True)
class Sent:
    """What became of rows. `behind`: not sent, since a row of their key or their topic was refused before them."""

    done: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    behind: list[Row] = field(default_factory=list)
    outage: Exception | None = None


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: CRC32, which librdkafka calls `consistent`. Murmur2 in Python costs more than a send."""
    return zlib.crc32(key) % partitions


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def refusal_of(error: Exception) -> str | None:
    """The code of a refusal, or None for an outage."""
    return OF_ROW.get(type(error)) or OF_TOPIC.get(type(error))


class Sender:
    """Sends rows through one idempotent producer at a time; sound until that one's sequence has a hole."""

    def __init__(self, settings: KitSettings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._source = f"/beegrid/{service}"
        self._partitions: dict[str, int] = {}
        self._unheard = Unheard(service, settings.topic_prefix)
        self._open: AIOKafkaProducer | None = None
        self._sound = False

    def is_sound(self) -> bool:
        """Whether the producer's sequence has no hole yet."""
        return self._sound

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """A new producer; after a refusal it must be left for the next one.

        None where no topic is this service's to write: Kafka gives nobody without such a right a producer's id.

        Raises:
            RelayError: Kafka can't be reached.
        """
        async with contextlib.AsyncExitStack() as stack:
            if registry.produced_by(self._service) or registry.consumed_by(self._service):
                self._open = await stack.enter_async_context(self._producer(idempotent=True))
            self._sound = True
            try:
                yield
            finally:
                self._open, self._sound = None, False

    @contextlib.asynccontextmanager
    async def _producer(self, *, idempotent: bool) -> AsyncIterator[AIOKafkaProducer]:
        """A fresh producer; stopped with a time limit, for a send to a dead broker never ends by itself."""
        producer = AIOKafkaProducer(
            **client_arguments(self._settings, f"{self._service}-relay"),
            acks="all",
            enable_idempotence=idempotent,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
            metadata_max_age_ms=30_000,
        )
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await producer.start()
            yield producer
        except (KafkaError, TimeoutError) as error:
            raise RelayError(f"{type(error).__name__}: {error}") from error
        finally:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await producer.stop()
            except Exception as error:  # noqa: BLE001 a producer that can't stop is dropped; the next one is new
                log.warning("relay_producer_dropped", error=repr(error)[:200])

    async def send(self, rows: Sequence[Row]) -> Sent:
        """Send rows, ascending by id, and wait for the answer to each of them. Raises nothing of Kafka's."""
        producer, sent = self._open, Sent()
        if producer is None:
            raise RuntimeError("send() outside opened()")
        try:
            unheard = await self._unheard.of(producer, rows)
            groups = await self._grouped(producer, [row for row in rows if row["id"] not in unheard], sent)
        except (KafkaError, TimeoutError) as error:
            sent.outage = error
            return sent
        suspects: list[_Group] = []
        await self._all(producer, groups, sent, suspects)
        if suspects and sent.outage is None:
            self._sound = False
            try:
                async with self._producer(idempotent=False) as plain:
                    for group in suspects:
                        await group.sift(plain, sent)
            except RelayError as error:
                sent.outage = error
        if sent.refused:
            self._sound = False
        if any(one.whole_topic for one in sent.refused):
            await self._leave_out_who_left(producer, sent)
        closed = {one.row["topic"] for one in sent.refused if one.whole_topic}
        if not sent.done and len(closed) > 1 and not await self._others_are_there(producer, closed):
            # Nothing got through, and the cluster shows no topic at all: that is its trouble, not the topics'.
            return Sent(outage=RelayError(f"every topic was refused: {sent.refused[0].detail}"))
        sent.done += unheard
        return sent

    async def _leave_out_who_left(self, producer: AIOKafkaProducer, sent: Sent) -> None:
        """A company's topic that has gone takes what was for it along."""
        closed = {one.row["topic"] for one in sent.refused if one.whole_topic}
        gone = await self._unheard.gone(producer, closed)
        rows = [one.row for one in sent.refused if one.row["topic"] in gone]
        rows += [row for row in sent.behind if row["topic"] in gone]
        sent.refused = [one for one in sent.refused if one.row["topic"] not in gone]
        sent.behind = [row for row in sent.behind if row["topic"] not in gone]
        sent.done += self._unheard.dropped(rows)

    async def _others_are_there(self, producer: AIOKafkaProducer, closed: Set[str]) -> bool:
        """Whether the cluster shows this service any topic of the suite besides `closed`: then only these are away.

        A broker that has just started, or a user whose rights have gone, shows none.
        """
        prefix = self._settings.topic_prefix
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                cluster = await producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError):
            return False
        shown = {name.removeprefix(prefix) for name in cluster.topics() if name.startswith(prefix)}
        return bool(shown - closed)

    async def _all(
        self, producer: AIOKafkaProducer, groups: Sequence["_Group"], sent: Sent, suspects: list["_Group"]
    ) -> None:
        """Send all partitions side by side. One whose topic has gone would be tried by the client for ever."""
        cluster = producer.client.cluster
        tasks = {asyncio.create_task(group.send(producer, sent, suspects.append)): group for group in groups}
        pending: set[asyncio.Task[None]] = set(tasks)
        until_s = clock.monotonic_s() + SEND_TIMEOUT_S
        try:
            while pending and clock.monotonic_s() < until_s:
                done, pending = await asyncio.wait(pending, timeout=LOOK_S)
                for task in done:
                    task.result()
                for task in [one for one in pending if not cluster.partitions_for_topic(tasks[one].name)]:
                    pending.discard(task)
                    task.cancel()
                    tasks[task].refuse_topic("topic_missing", "it went away while it was written", sent)
            if pending:
                sent.outage = TimeoutError(f"no answer within {SEND_TIMEOUT_S:.0f} s")
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _grouped(self, producer: AIOKafkaProducer, rows: Sequence[Row], sent: Sent) -> list["_Group"]:
        """Rows by partition, as records; those that can't be records, or whose topic isn't there, are refused."""
        groups: dict[tuple[str, int], _Group] = {}
        counts: dict[str, int | str] = {}
        keys: set[tuple[str, str]] = set()
        for row in rows:
            topic = row["topic"]
            if topic not in counts:
                counts[topic] = await self._partition_count(producer, topic)
                if isinstance(refusal := counts[topic], str):
                    sent.refused.append(Refused(row, refusal, self._settings.topic_prefix + topic))
                    continue
            partitions = counts[topic]
            if isinstance(partitions, str) or (topic, row["key"]) in keys:
                sent.behind.append(row)
                continue
            record = self._record(row)
            if isinstance(record, Refused):
                sent.refused.append(record)
                keys.add((topic, row["key"]))
                continue
            place = (topic, partition_of(record.key or b"", partitions))
            if place not in groups:
                groups[place] = _Group(topic, self._settings.topic_prefix + topic, place[1])
            groups[place].records.append(record)
        return list(groups.values())

    def _record(self, row: Row) -> "_Record | Refused":
        try:
            key, headers = key_of(row), self._headers(row)
        except Exception as error:  # noqa: BLE001 whatever one row raises must not stop the others
            return Refused(row, "invalid", type(error).__name__)
        size = len(key or b"") + len(row["payload"] or b"") + sum(len(name) + len(one or b"") for name, one in headers)
        if size > REQUEST_BYTES_MAX:
            return Refused(row, "too_large", f"{size} bytes, a request has at most {REQUEST_BYTES_MAX}")
        return _Record(row, key, headers)

    def _headers(self, row: Row) -> Headers:
        if row["headers"] is not None:
            return list(unpack(row["headers"]))
        return to_headers(
            Envelope(
                event_id=row["event_id"],
                type=row["topic"],
                source=self._source,
                subject=row["key"],
                version=row["version"],
                occurred_at=row["occurred_at"],
                traceparent=row["traceparent"],
            )
        )

    async def _partition_count(self, producer: AIOKafkaProducer, topic: str) -> int | str:
        """How many partitions a topic has, or why it is refused.

        Raises:
            KafkaError: nobody answers.
        """
        name = self._settings.topic_prefix + topic
        cluster = producer.client.cluster
        if cluster.partitions_for_topic(name):
            return self._count(topic, cluster.partitions_for_topic(name))
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await producer.client.add_topic(name)
            for pause_s in ASK_PAUSES_S:
                await asyncio.sleep(pause_s)
                if not await producer.client.force_metadata_update():
                    raise kafka.KafkaConnectionError("no broker tells which topics there are")
                if partitions := cluster.partitions_for_topic(name):
                    return self._count(topic, partitions)
        self._partitions.pop(topic, None)
        return "topic_forbidden" if name in cluster.unauthorized_topics else "topic_missing"

    def _count(self, topic: str, partitions: set[int]) -> int:
        """As first seen by this process: a topic that grows must not move a key between two of its events."""
        return self._partitions.setdefault(topic, len(partitions))


@dataclass(slots=True)
class _Record:
    row: Row
    key: bytes | None
    headers: Headers


@dataclass(slots=True)
class _Group:
    """Records of one partition, in order."""

    topic: str
    name: str
    partition: int
    records: list[_Record] = field(default_factory=list)

    async def send(self, producer: AIOKafkaProducer, sent: Sent, suspect: Callable[["_Group"], None]) -> None:
        """In as few batches as fit, each acknowledged before the next. What a refusal leaves open is for `suspect`."""
        while self.records:
            batch, count = self._batch(producer, len(self.records))
            try:
                await self._deliver(producer, batch, count, sent)
            except KafkaError as error:
                code = refusal_of(error)
                if code is None:
                    sent.outage = error
                elif code in TOPIC_CODES:
                    self.refuse_topic(code, _words(error), sent)
                else:
                    suspect(self)
                return

    async def sift(self, producer: AIOKafkaProducer, sent: Sent) -> None:
        """Halve around culprits. `producer` is not idempotent, for a refused batch would make a hole in its sequence;
        since a batch is acknowledged before the next is sent, a repetition by its retries changes no order."""
        most = max(len(self.records) // 2, 1)
        while self.records:
            batch, count = self._batch(producer, most)
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._deliver(producer, batch, count, sent)
                most = 2 * count
            except (KafkaError, TimeoutError) as error:
                code = refusal_of(error)
                if code is None:
                    sent.outage = error
                    return
                if code in TOPIC_CODES:
                    self.refuse_topic(code, _words(error), sent)
                elif count > 1:
                    most = count // 2
                else:
                    self._refuse_first(code, error, sent)

    def _batch(self, producer: AIOKafkaProducer, most: int) -> tuple[BatchBuilder, int]:
        """The first records, at most `most`, as far as they fit into one batch, and how many those are."""
        batch, count = producer.create_batch(), 0
        for record in self.records[:most]:
            value = record.row["payload"]
            if batch.append(key=record.key, value=value, timestamp=None, headers=record.headers) is None:
                break
            count += 1
        batch.close()
        return batch, count

    async def _deliver(self, producer: AIOKafkaProducer, batch: BatchBuilder, count: int, sent: Sent) -> None:
        await (await producer.send_batch(batch, self.name, partition=self.partition))
        sent.done += [record.row["id"] for record in self.records[:count]]
        del self.records[:count]
        metrics.PUBLISHED.labels(topic=self.topic).inc(count)

    def _refuse_first(self, code: str, error: Exception, sent: Sent) -> None:
        """The first record is the culprit; its key's successors aren't sent."""
        culprit = self.records[0]
        sent.refused.append(Refused(culprit.row, code, _words(error)))
        sent.behind += [record.row for record in self.records[1:] if record.key == culprit.key]
        self.records = [record for record in self.records if record.key != culprit.key]

    def refuse_topic(self, code: str, detail: str, sent: Sent) -> None:
        """What is left is not sent: nothing of this topic is taken."""
        first, *rest = self.records
        sent.refused.append(Refused(first.row, code, detail))
        sent.behind += [record.row for record in rest]
        self.records = []
