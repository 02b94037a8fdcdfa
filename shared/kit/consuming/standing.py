"""The topics that a consumer stands still on: what it could bury no more of is left where it is, and tried again.

Nothing of them is acknowledged beyond what is settled. Their partitions are asked for nothing during a pause, then the
first few records are tried: once those take effect (a fixed release, missing data that has come) or may be buried
(an operator's word), the rest follows. Other topics of the same consumer, which are other companies', go on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.kit import clock, metrics
from shared.kit.consuming.fetching import Fetching
from shared.kit.consuming.pending import Pending
from shared.kit.letters import letter_limit
from shared.kit.letters.letter_limit import LimitReached, stands_still
from shared.kit.postgres.db import Pool, begun

log = structlog.get_logger(__name__)

PAUSE_FIRST_S, PAUSE_MOST_S = 1.0, 15.0
TRIED_AT_ONCE = 16
"""Records of a transaction where one stood still: a failing batch is halved down to each, and this is tried often."""


@dataclass(slots=True)
class _Stand:
    cause: str
    since: datetime
    times: int = 1


@dataclass(slots=True)
class Standing:
    """One consumer's. `prefix`: before Kafka's names; topics are named without it here."""

    family: str
    prefix: str
    pool: Callable[[], Pool]
    fetching: Fetching
    _left: list[Pending] = field(default_factory=list)
    _causes: dict[str, str] = field(default_factory=dict)
    _stands: dict[str, _Stand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metrics.STANDING.labels(topic=self.family)

    def begins(self) -> None:
        """A batch is in hand; what an outage has left of the one before comes again by itself."""
        self._left, self._causes = [], {}

    def tries(self, pending: Sequence[Pending]) -> bool:
        """Whether the batch has records of a topic that stood still when it was last tried."""
        return bool(self._stands) and any(p.item.record.topic in self._stands for p in pending)

    def go_on_with(self, pending: Sequence[Pending]) -> list[Pending]:
        """Those whose topic goes on; of one that has begun to stand still in this batch nothing more is tried."""
        if not self._causes:
            return list(pending)
        self._left += [p for p in pending if p.item.record.topic in self._causes]
        return [p for p in pending if p.item.record.topic not in self._causes]

    def sort_out(self, pending: Sequence[Pending]) -> list[Pending]:
        """The same after a try: a record that found no room for its letter stops its topic."""
        for p in pending:
            if isinstance(p.error, LimitReached):
                self._causes.update(p.error.causes)
        return self.go_on_with(pending)

    def stop(self, pending: Sequence[Pending], reached: LimitReached) -> list[Pending]:
        """The same, of the burial of all of these."""
        self._causes.update(reached.causes)
        return self.go_on_with(pending)

    async def settle(self, raws: Sequence["ConsumerRecord[bytes, bytes]"], consumer: AIOKafkaConsumer | None) -> int:
        """At a batch's end: leave what stands still, and begin to take again what no longer does. How many are left.

        Raises:
            Exception: the database is away; nothing of the batch may be acknowledged then.
        """
        left, causes = self._left, self._causes
        if not causes and not self._stands:
            return 0
        if causes:
            async with begun(self.pool()) as conn:
                await letter_limit.stood(conn, causes)
        for topic in {raw.topic.removeprefix(self.prefix) for raw in raws} - causes.keys():
            if self._stands.pop(topic, None) is not None:
                log.info("topic_goes_on", topic=topic)
        for topic, cause in causes.items():
            self._stand(topic, cause, [p for p in left if p.item.record.topic == topic], consumer)
        self.show(consumer)
        return len(left)

    def _stand(self, topic: str, cause: str, left: Iterable[Pending], consumer: AIOKafkaConsumer | None) -> None:
        stand = self._stands.get(topic)
        if stand is None:
            stand = self._stands[topic] = _Stand(cause, clock.now())
        else:
            stand.cause, stand.times = cause, stand.times + 1
        pause_s = clock.jittered(min(PAUSE_MOST_S, PAUSE_FIRST_S * 2.0 ** min(stand.times - 1, 10)))
        log.error("topic_stands_still", topic=topic, cause=cause, times=stand.times, tried_again_in_s=round(pause_s, 1))
        offsets: dict[TopicPartition, int] = {}
        for p in left:
            place = TopicPartition(self.prefix + topic, p.item.record.partition)
            offsets[place] = min(p.item.record.offset, offsets.get(place, p.item.record.offset))
        if consumer is not None:
            self.fetching.leave(consumer, self.prefix + topic, offsets, pause_s)

    def show(self, consumer: AIOKafkaConsumer | None, waiting: int | None = None) -> None:
        """Set the gauge. Where nothing waits any more (the topic has dropped it) nobody stands still."""
        if waiting == 0:
            self._stands.clear()
        metrics.STANDING.labels(topic=self.family).set(len(self.mine(consumer)))

    def mine(self, consumer: AIOKafkaConsumer | None) -> Mapping[str, str]:
        """Why, by topic, of those that this process still has partitions of."""
        if not self._stands:
            return {}
        assigned = consumer.assignment() if consumer is not None else ()
        for topic in self._stands.keys() - {partition.topic.removeprefix(self.prefix) for partition in assigned}:
            del self._stands[topic]
        return {topic: stands_still(stand.since, stand.cause) for topic, stand in self._stands.items()}
