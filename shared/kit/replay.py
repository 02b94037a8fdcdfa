"""Replay and discard of dead letters, inside the service that could not handle them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from shared.kit import clock, dead_letters
from shared.kit.consumer import TopicConsumer
from shared.kit.db import ACQUIRE_TIMEOUT_S, Connection, Pool, is_transient
from shared.kit.dead_letters import DeadLetter
from shared.kit.decode import Unreadable
from shared.kit.work import Event, Work, insert_outbox

log = structlog.get_logger(__name__)

SQL_REMEMBER = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one key's dead letters."""

    topic: str
    key: str
    ids: tuple[int, ...]
    done: bool
    detail: str


class StillFailing(Exception):
    """The record fails as before; its letters stay open."""


class Replayer:
    """Handles open dead letters again, one key at a time and in order, each key in a transaction of its own."""

    def __init__(self, pool: Pool, consumers: Mapping[str, TopicConsumer]) -> None:
        self._pool = pool
        self._consumers = consumers

    async def replay(self, topic: str | None, ids: Sequence[int] | None, *, by: str, reason: str) -> list[Outcome]:
        """Replay the named letters (or all), each with everything that waits behind the same key."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            groups = await dead_letters.open_groups(conn, topic, ids)
        return [await self._group(name, key, members, by, reason) for name, key, members in groups]

    async def _group(self, topic: str, key: bytes | None, ids: Sequence[int], by: str, reason: str) -> Outcome:
        shown = (key or b"").decode("utf-8", "replace")
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
                letters = await dead_letters.lock_group(conn, topic, key, ids)
                await self._handle(conn, topic, letters)
                await dead_letters.resolve(conn, letters, "replayed", by=by, reason=reason, now=clock.now())
        except Exception as error:
            if is_transient(error):
                raise
            log.warning("replay_failed", topic=topic, letters=len(ids), error=type(error).__name__)
            return Outcome(topic, shown, tuple(ids), False, f"{type(error).__name__}: {error}"[:500])
        return Outcome(topic, shown, tuple(letter.id for letter in letters), True, "")

    async def _handle(self, conn: Connection, topic: str, letters: Sequence[DeadLetter]) -> None:
        consumer = self._consumer(topic)
        work = Work(conn)
        events: list[Event[Any]] = []
        for item in consumer.decoder.decode([letter.record for letter in letters]):
            if isinstance(item, Unreadable):
                raise StillFailing(f"{item.code}: {item.detail}")
            events.append(item)
        await conn.execute(SQL_REMEMBER, [event.id for event in events])
        if events:
            await consumer.handler(work, events)
        if work.rejections:
            raise StillFailing(f"{work.rejections[0].code}: {work.rejections[0].detail}")
        await insert_outbox(conn, work.rows)

    def _consumer(self, topic: str) -> TopicConsumer:
        for consumer in self._consumers.values():
            if consumer.decoder.reads(topic):
                return consumer
        raise StillFailing(f"nobody here consumes {topic} any more: discard the letter or bring the consumer back")

    async def discard(self, ids: Sequence[int], *, by: str, reason: str, now: datetime | None = None) -> int:
        """Give letters up for good; what waited behind them stays until it is replayed. Returns how many."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
            wanted = set(ids)
            letters: list[DeadLetter] = []
            for topic, key, members in await dead_letters.open_groups(conn, None, list(ids)):
                locked = await dead_letters.lock_group(conn, topic, key, members)
                letters += [letter for letter in locked if letter.id in wanted]
            if letters:
                await dead_letters.resolve(conn, letters, "discarded", by=by, reason=reason, now=now or clock.now())
        return len(letters)
