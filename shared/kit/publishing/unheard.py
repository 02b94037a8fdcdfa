"""Events for companies that have no topic to hear them on: they go nowhere, and nobody is held up.

A company that speaks HTTP alone has no topics of its own, and one that has left has none any more. What is for them is
no fault of Kafka's that somebody has to look at. So the relay asks which of these topics there are; an event whose
topic isn't there is done with. A topic that appears is found at once, or within LOOK_AGAIN_S where an event for it has
just been dropped.
"""

import asyncio
from collections.abc import Sequence, Set

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from shared.events import registry
from shared.events.topic import OUTBOUND, Audience
from shared.kit import clock, metrics

LOOK_AGAIN_S = 5.0
ANSWER_S = 10.0

Row = asyncpg.Record


class Unheard:
    """What one relay knows of companies' own topics."""

    def __init__(self, service: str, topic_prefix: str) -> None:
        self._some = any(topic.audience is Audience.OUTBOUND for topic in registry.produced_by(service))
        self._prefix = topic_prefix
        self._there: set[str] = set()
        self._missing: dict[str, float] = {}

    async def of(self, producer: AIOKafkaProducer, rows: Sequence[Row]) -> set[int]:
        """Ids of the rows that nobody can hear.

        Raises:
            KafkaError, TimeoutError: the cluster doesn't say which topics there are.
        """
        if not self._some:
            return set()
        wanted = {row["topic"] for row in rows if row["topic"].startswith(OUTBOUND)} - self._there
        if not wanted:
            return set()
        now_s = clock.monotonic_s()
        if any(now_s - self._missing.get(topic, -LOOK_AGAIN_S) >= LOOK_AGAIN_S for topic in wanted):
            await self._look(producer, wanted, now_s)
        return self.dropped([row for row in rows if row["topic"] in wanted - self._there])

    async def gone(self, producer: AIOKafkaProducer, closed: Set[str]) -> Set[str]:
        """Those of the topics that were there when they were looked for, and aren't any more. A broker that deletes one
        may say first that it may not be written: its rights have gone, too."""
        ours = {topic for topic in closed if topic.startswith(OUTBOUND)}
        if not ours:
            return ours
        try:
            await self._look(producer, ours, clock.monotonic_s())
        except (kafka.KafkaError, TimeoutError):
            return set()
        return ours - self._there

    async def _look(self, producer: AIOKafkaProducer, wanted: set[str], now_s: float) -> None:
        async with asyncio.timeout(ANSWER_S):
            cluster = await producer.client.fetch_all_metadata()
        shown = {name.removeprefix(self._prefix) for name in cluster.topics() if name.startswith(self._prefix)}
        if not shown:
            # a broker that has just started, or rights that have gone: that says nothing of these topics
            raise kafka.KafkaConnectionError("the cluster shows no topic at all")
        self._there = {name for name in shown if name.startswith(OUTBOUND)}
        self._missing = dict.fromkeys({*self._missing, *wanted} - self._there, now_s)

    def dropped(self, rows: Sequence[Row]) -> set[int]:
        """Ids of rows that are done with; they are counted."""
        metrics.OUTBOX_UNHEARD.inc(len(rows))
        return {row["id"] for row in rows}
