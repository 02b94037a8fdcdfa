"""How far a consumer has come: what its gauges show, and when it is taken to have stopped."""

from collections import Counter
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from shared.kit import clock, metrics
from shared.kit.consuming.hearing import Hearing
from shared.kit.consuming.pending import Item

SILENT_AFTER_S = 120.0


class Progress:
    """One consumer's; `prefix` stands before Kafka's names of topics."""

    def __init__(self, topic: str, prefix: str) -> None:
        self.hearing = Hearing()
        self._topic = topic
        self._prefix = prefix
        self._moved_s = clock.monotonic_s()
        self._settled_up_to_s = clock.unix_s()
        self._in_hand: Counter[tuple[str, int]] = Counter()

    def begins(self, raws: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        """A batch is in hand."""
        self._in_hand = Counter((raw.topic, raw.partition) for raw in raws)
        # A process that starts with a backlog, or is given another's, is behind before it settles anything of it.
        self._settled_up_to_s = min(self._settled_up_to_s, *(raw.timestamp / 1000 for raw in raws))

    def ends(self) -> None:
        """It no longer is, settled or not."""
        self._in_hand = Counter()

    def settled(self, items: Sequence[Item], started_s: float, left: int) -> None:
        """The batch is settled but for `left` records, which stay where they are and are as old as they are."""
        self._moved_s = clock.monotonic_s()
        metrics.BATCH_DURATION.labels(topic=self._topic).observe(self._moved_s - started_s)
        if left == len(items):
            return
        metrics.LAST_PROGRESS.labels(topic=self._topic).set(clock.unix_s())
        # The broker's time: a rider's phone may have seen the thing days before it could tell.
        oldest_s = min(item.record.timestamp_ms for item in items) / 1000
        metrics.EVENT_AGE.labels(topic=self._topic).observe(max(0.0, clock.unix_s() - oldest_s))
        if not left:
            self._settled_up_to_s = oldest_s

    async def measure(self, consumer: AIOKafkaConsumer | None) -> int:
        """Set the lag gauges; returns the records not yet consumed over all assigned partitions."""
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
            topic = partition.topic.removeprefix(self._prefix)
            metrics.LAG.labels(topic=topic, partition=str(partition.partition)).set(lag)
        heard = self.hearing.listen(consumer, idle=total == 0)
        if not consumer.subscription():  # a family that has no topic yet: nothing can be waiting
            heard = True
        if total == 0:
            self._moved_s = clock.monotonic_s()  # also without a broker: a restart would not help
        if heard:
            self._settled_up_to_s = clock.unix_s()
            metrics.LAST_PROGRESS.labels(topic=self._topic).set(clock.unix_s())
        # What waits came to the broker after the oldest record of the batch in hand or settled last, or after nothing
        # waited.
        lag_s = max(0.0, clock.unix_s() - self._settled_up_to_s) if total else 0.0
        metrics.LAG_SECONDS.labels(topic=self._topic).set(lag_s)
        return total

    @property
    def silence(self) -> str | None:
        """That nothing moves although records wait, where that has been so for long."""
        silent_s = clock.monotonic_s() - self._moved_s
        return f"no progress for {silent_s:.0f} s" if silent_s > SILENT_AFTER_S else None
