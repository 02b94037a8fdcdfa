"""What a consumer takes from Kafka, and up to where it has settled it: nothing is ever committed that was not settled.

A consumer works in turns: it fetches, settles everything it was handed, and commits exactly the offsets up to which
that went. Whatever a fetch raises may have moved positions past records that nobody was handed; so before the next
fetch every partition goes back to what its group has committed. The inbox drops what comes twice by that.

What a batch's content raises never comes here: record_sets.py keeps it with the batch. What else is raised again and
again, such as a missing right to read one company's topic, has to do with a partition: each is fetched by itself then,
and one that raises is left out for a while. So it holds up nobody else.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import FetchError
from aiokafka.errors import ConsumerStoppedError

from shared.kit import clock, metrics
from shared.kit.consuming.shares import ALLOWANCE, TURN_BYTES_MAX, Allowance

log = structlog.get_logger(__name__)

Raw: TypeAlias = "ConsumerRecord[bytes, bytes]"
POLL_MS = 1_000
"""How long a turn waits for records, after one that had some."""
POLL_IDLE_MS = 5_000
"""The same after one that had none."""
WAIT_IDLE_MS = 3_000
"""How long the broker holds a fetch that finds nothing, while nothing comes."""
LOOK_BUSY_S, LOOK_IDLE_S = 0.2, 5.0
"""How long aiokafka's fetching task sleeps at most, while records come and while nothing does; an event wakes it."""
WAIT_BUSY_MS = 20
"""The same while records come."""
BURIALS_MAX = 100
"""Of one topic in one turn: a burial takes ten times as long as an effect, and the others wait for it."""
PAUSE_FIRST_S = 0.2
PAUSE_MOST_S = 5.0
FAILURES_TOGETHER, TOGETHER_S = 3, 60.0
"""Fetches of all partitions that raise within so long before each is fetched by itself."""
FAIR_SHARE = 4
"""What one of many partitions that are fetched by themselves has at most of a batch: a fourth."""
PAUSE_APART_S = 0.1
"""After a round through all of them that found nothing."""
APART_S = 60.0
"""So long after the last partition was left out."""


@dataclass(slots=True)
class Handed:
    """One batch as FastStream's acknowledgement sees the consumer: it commits this batch and nothing else."""

    consumer: AIOKafkaConsumer
    offsets: Mapping[TopicPartition, int]

    async def commit(self) -> None:
        """Commit up to where the batch went, in those partitions that are still this member's."""
        mine = self.consumer.assignment()
        if kept := {partition: offset for partition, offset in self.offsets.items() if partition in mine}:
            await self.consumer.commit(kept)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go back, in a partition that is still this member's."""
        if partition in self.consumer.assignment():
            self.consumer.seek(partition, offset)


class Fetching:
    """The turns of one consumer."""

    def __init__(self, topic: str, records_max: int) -> None:
        self._topic = topic
        self._records_max = records_max
        self._handed: dict[TopicPartition, int] = {}
        self.buried: Counter[str] = Counter()
        """Records of the turn in hand that became dead letters, by Kafka's name of the topic: the consumer counts."""
        self._turns = 0
        self._last_turn: dict[TopicPartition | str, int] = {}
        self._taken: Counter[str] = Counter()
        self._poison: dict[str, float] = {}
        self._astray = False
        self._idle = False
        self._failures = 0
        self._raised_s: deque[float] = deque(maxlen=FAILURES_TOGETHER)
        self._assigned: Collection[TopicPartition] = ()
        self._apart_until_s = 0.0
        self._left_out_until_s: dict[TopicPartition, float] = {}
        self._stand_until_s: dict[TopicPartition, float] = {}
        metrics.RETRIES.labels(topic=topic, cause="fetch")

    async def next_batch(self, consumer: AIOKafkaConsumer) -> tuple[Raw, ...]:
        """The next records, or none after a while.

        Raises:
            ConsumerStoppedError: the consumer has been stopped.
        """
        try:
            _go_on_fetching(consumer)
            self._take_up_again(consumer)
            if self._astray:
                await _back_to_committed(consumer)
                self._astray = False
            apart = clock.monotonic_s() < self._apart_until_s
            found = await (self._fetch_apart(consumer) if apart else self._fetch(consumer))
            self._idle = not found
            _hold_fetches(consumer, idle=self._idle)
            self._handed = {partition: await consumer.position(partition) for partition in found}
        except ConsumerStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 whatever a fetch raises, what it has dropped must come again
            self._astray = True
            self._failures += 1
            self._tell_apart(consumer)
            metrics.RETRIES.labels(topic=self._topic, cause="fetch").inc()
            log.error("fetch_failed", topic=self._topic, error=type(error).__name__, failures=self._failures)
            await asyncio.sleep(clock.jittered(min(PAUSE_MOST_S, PAUSE_FIRST_S * 2.0 ** min(self._failures - 1, 10))))
            return ()
        self._failures = 0
        return tuple(chain.from_iterable(found.values()))

    def handed(self, consumer: AIOKafkaConsumer) -> Handed:
        """The batch in hand, for its acknowledgement."""
        return Handed(consumer, self._handed)

    def leave(
        self, consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[TopicPartition, int], pause_s: float
    ) -> None:
        """Go back to these offsets, up to where the batch in hand is settled, and leave the whole topic for a while.

        `topic` is Kafka's name. The rest of the batch is acknowledged; what is another member's meanwhile stays so.
        """
        for partition in consumer.assignment():
            if partition.topic != topic:
                continue
            if (offset := offsets.get(partition)) is not None:
                self._handed[partition] = offset
                consumer.seek(partition, offset)
            consumer.pause(partition)
            self._stand_until_s[partition] = clock.monotonic_s() + pause_s
        # not this member's any more: nothing of it is acknowledged beyond what is settled
        for partition in offsets.keys() - consumer.assignment():
            self._handed.pop(partition, None)

    def _take_up_again(self, consumer: AIOKafkaConsumer) -> None:
        """Fetch again what was left long enough."""
        now_s = clock.monotonic_s()
        for partition in [one for one, until_s in self._stand_until_s.items() if until_s <= now_s]:
            del self._stand_until_s[partition]
            if partition in consumer.assignment():
                consumer.resume(partition)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Raw]]:
        """Up to a turn of records: each company that has some waiting gets its share, whoever has more the rest.

        A company is a topic, whatever the number of its partitions: aiokafka alone would empty one partition after
        another, in the order in which their answers came.
        """
        self._turns += 1
        for topic, count in self._taken.items():
            self._poison[topic] = self.buried[topic] / count
        self.buried.clear()
        turn = _Turn(consumer, self._records_max)
        if not _waiting(consumer, turn.passed):
            idle = self._idle and not self._stand_until_s
            await turn.take((), 1, TURN_BYTES_MAX, POLL_IDLE_MS if idle else POLL_MS)
        while turn.left > 0 and turn.bytes_left > 0 and (rows := self._rows(consumer, turn)):
            for number, row in enumerate(rows):
                await self._share(turn, row, len(rows) - number)
        if not turn.found and turn.passed:  # none has room: another consumer's batches are open
            await turn.take((), 1, TURN_BYTES_MAX, WAIT_BUSY_MS)
        for partition in turn.found:
            self._last_turn[partition] = self._last_turn[partition.topic] = self._turns
        self._taken = turn.taken
        return turn.found

    def _rows(self, consumer: AIOKafkaConsumer, turn: "_Turn") -> list[list[TopicPartition]]:
        """The partitions with records waiting, by company: first who waits longest.

        Within a company an open batch comes first, so that each has one of them at most: they take up memory.
        """
        companies: dict[str, list[TopicPartition]] = {}
        for partition in _waiting(consumer, turn.passed):
            topic = partition.topic
            if turn.last_bytes[topic] < turn.bytes_left and turn.taken[topic] < self._places(topic):
                companies.setdefault(topic, []).append(partition)
        answers = consumer._fetcher._records  # as in _hold_fetches
        for row in companies.values():
            row.sort(key=lambda one: (not getattr(answers[one], "begun", False), self._last_turn.get(one, 0)))
        return [companies[topic] for topic in sorted(companies, key=lambda topic: self._last_turn.get(topic, 0))]

    async def _share(self, turn: "_Turn", row: Sequence[TopicPartition], companies: int) -> None:
        """Let one company have its share of what is left among so many."""
        topic, consumer = row[0].topic, turn.consumer
        records = min(-(-turn.left // companies), self._places(topic) - turn.taken[topic])
        bytes_left = -(-turn.bytes_left // companies)
        for partition in row:
            if records <= 0 or bytes_left <= turn.last_bytes[topic]:
                return
            count, size = await turn.take((partition,), records, bytes_left)
            if count and partition in consumer._fetcher._records:
                return  # it has more: a second one is not opened beside it
            records, bytes_left = records - count, bytes_left - size

    def _places(self, topic: str) -> int:
        """How many of its records a turn may take: so many that few are buried, if they are like its last."""
        poison = self._poison.get(topic, 0.0)
        return self._records_max if poison * self._records_max <= BURIALS_MAX else max(1, int(BURIALS_MAX / poison))

    def _tell_apart(self, consumer: AIOKafkaConsumer) -> None:
        """After a fetch that raised. Such need not come in a row: between them others' records may get through."""
        now_s, assigned = clock.monotonic_s(), consumer.assignment()
        if assigned != self._assigned:
            self._raised_s.clear()
            self._assigned = assigned
        self._raised_s.append(now_s)
        if len(self._raised_s) == FAILURES_TOGETHER and now_s - self._raised_s[0] < TOGETHER_S:
            self._apart_until_s = now_s + APART_S

    async def _fetch_apart(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Raw]]:
        """Up to a batch of records, from each partition by itself; one that raises is left out for PAUSE_MOST_S.

        Raises:
            Exception: what the last has raised, where all have.
        """
        now_s, found, left = clock.monotonic_s(), dict[TopicPartition, list[Raw]](), self._records_max
        wanted = [one for one in consumer.assignment() if self._left_out_until_s.get(one, 0.0) <= now_s]
        random.shuffle(wanted)
        share, raised = max(1, left // max(1, len(wanted)), left // FAIR_SHARE), 0
        allowance = Allowance(TURN_BYTES_MAX)
        ALLOWANCE.set(allowance)
        for partition in wanted:
            try:
                records = await consumer.getmany(partition, timeout_ms=0, max_records=min(left, share))
            except ConsumerStoppedError:
                raise
            except Exception as error:
                raised += 1
                if raised == len(wanted) and len(wanted) == len(consumer.assignment()):
                    raise
                self._left_out_until_s[partition] = now_s + PAUSE_MOST_S
                self._apart_until_s = now_s + APART_S
                metrics.RETRIES.labels(topic=self._topic, cause="fetch").inc()
                kind = type(error).__name__
                log.error("partition_left_out", topic=partition.topic, partition=partition.partition, error=kind)
                await _back_to_committed(consumer, partition)
                continue
            found.update(records)
            left -= sum(map(len, records.values()))
            if left <= 0 or allowance.bytes_left <= 0:
                break
        if not found:
            await asyncio.sleep(PAUSE_APART_S)
        return found


@dataclass(slots=True)
class _Turn:
    """What one turn has taken so far."""

    consumer: AIOKafkaConsumer
    left: int
    bytes_left: int = TURN_BYTES_MAX
    found: dict[TopicPartition, list[Raw]] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    last_bytes: Counter[str] = field(default_factory=Counter)
    """The size of each company's last record: one like it must not exceed the turn."""
    passed: set[TopicPartition] = field(default_factory=set)
    """Partitions that gave nothing: they have no room now."""

    async def take(
        self, partitions: Sequence[TopicPartition], records_max: int, bytes_max: int, wait_ms: int = 0
    ) -> tuple[int, int]:
        """Take from these partitions, or from any; how many records, and their bytes."""
        if self.found and any(isinstance(self.consumer._fetcher._records.get(one), FetchError) for one in partitions):
            self.passed.update(partitions)  # it would cost what has been taken; it is first when its turn has come
            return 0, 0
        allowance = Allowance(bytes_max)
        ALLOWANCE.set(allowance)
        found = await self.consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=records_max)
        count, size = sum(map(len, found.values())), bytes_max - allowance.bytes_left
        for partition, records in found.items():
            self.found.setdefault(partition, []).extend(records)
            self.taken[partition.topic] += len(records)
            self.last_bytes[partition.topic] = allowance.last_bytes
        if not count:
            self.passed.update(partitions)
        self.left -= count
        self.bytes_left -= size
        return count, size


def _waiting(consumer: AIOKafkaConsumer, passed: AbstractSet[TopicPartition]) -> list[TopicPartition]:
    """The partitions of which an answer waits in this process."""
    return [partition for partition in consumer._fetcher._records if partition not in passed]


def _hold_fetches(consumer: AIOKafkaConsumer, *, idle: bool) -> None:
    """How long the broker holds the next fetches.

    aiokafka has one fetch at a time with a broker. One that is sent while a partition's records are still being
    worked on leaves that partition out, and then its next records wait until that fetch returns: seconds a hop.
    """
    fetcher = consumer._fetcher  # there is no other place
    fetcher._fetch_max_wait_ms = WAIT_IDLE_MS if idle else WAIT_BUSY_MS
    fetcher._fetcher_timeout = LOOK_IDLE_S if idle else LOOK_BUSY_S


def _go_on_fetching(consumer: AIOKafkaConsumer) -> None:
    """Begin aiokafka's task that fetches again where it has ended: nobody asks it, and the consumer would be deaf.

    Raises:
        Exception: what has ended it.
    """
    fetcher = consumer._fetcher  # as in _hold_fetches
    ended: asyncio.Task[None] = fetcher._fetch_task
    if not ended.done() or ended.cancelled() or (error := ended.exception()) is None:
        return
    # what has raised in one of these would raise again
    fetcher._pending_tasks = {task for task in fetcher._pending_tasks if not task.done()}
    fetcher._fetch_task = asyncio.create_task(fetcher._fetch_requests_routine())
    raise error


def let_go(consumer: AIOKafkaConsumer) -> None:
    """Drop the answers that a stopped consumer still has: an open batch of theirs would keep its room from others in
    this process until the garbage collector comes by.
    """
    consumer._fetcher._records.clear()  # as in _hold_fetches


async def _back_to_committed(consumer: AIOKafkaConsumer, *partitions: TopicPartition) -> None:
    """Go back in these partitions, or in all that are this member's."""
    for partition in partitions or consumer.assignment():
        committed = await consumer.committed(partition)
        if committed is None:
            await consumer.seek_to_beginning(partition)
        else:
            consumer.seek(partition, committed)
