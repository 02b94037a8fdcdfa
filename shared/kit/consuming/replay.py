"""Replay and discard of dead letters, inside the service that could not handle them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.consuming.decode import Unreadable
from shared.kit.consuming.pending import known_otherwise
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import DeadLetter, Group, Locked
from shared.kit.messaging import inbox
from shared.kit.messaging.work import Event, Work, begin, database_now, insert_outbox
from shared.kit.postgres.db import Pool, begun, is_transient, reading

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one key's dead letters."""

    topic: str
    key: str
    ids: tuple[int, ...]
    done: bool
    detail: str


_WITHOUT_CONTENT = {
    "left_out": "there are too many of its topic. Its sender must send the record again; discard the letter",
    "erased": "its rider is erased. Discard it",
    "expired": "nobody can say whom it is about, and its topic has dropped it too. Discard it",
}


class StillFailing(Exception):
    """The record fails as before; its letters stay open."""


class Replayer:
    """Handles open dead letters again, one key at a time and in order, each key in a transaction of its own."""

    def __init__(self, pool: Pool, consumers: Mapping[str, TopicConsumer]) -> None:
        self._pool = pool
        self._consumers = consumers

    async def replay(self, topic: str | None, ids: Sequence[int] | None, *, by: str, reason: str) -> list[Outcome]:
        """Replay the named letters (or all), each with everything that waits behind the same key."""
        async with reading(self._pool) as conn:
            topics = await dead_letters.open_topics(conn, topic, ids)
            unordered = [name for name in topics if not self._is_ordered(name)]
            groups = await dead_letters.open_groups(conn, topic, ids, unordered)
        return [one for group in groups for one in await self._group(group, by, reason)]

    async def _group(self, group: Group, by: str, reason: str) -> list[Outcome]:
        """Replay one key's letters. Those without content stay, and on an ordered topic all that wait with them."""
        topic, shown = group.topic, (group.shown or b"").decode("utf-8", "replace")
        try:
            async with begun(self._pool) as conn:
                locked = await dead_letters.lock_group(conn, group)
                letters = [letter for letter in locked if letter.content == "kept"]
                empty = [letter for letter in locked if letter.content != "kept"]
                if empty and (not letters or self._consumer(topic).topic.ordered):
                    raise StillFailing(_why_not(empty))
                work = await begin(conn)
                work.replays = True
                known, seen = 0, set[UUID]()
                for page in dead_letters.pages(letters):
                    known += await self._handle(work, topic, await dead_letters.whole(conn, page), seen)
                done = [letter.id for letter in letters]
                await dead_letters.resolve(conn, done, "replayed", by=by, reason=reason, now=work.now)
        except Exception as error:
            if is_transient(error):
                raise
            log.warning("replay_failed", topic=topic, letters=len(group.ids), error=type(error).__name__)
            return [Outcome(topic, shown, group.ids, False, f"{type(error).__name__}: {error}"[:500])]
        note = f"{known} had taken effect by another way already" if known else ""
        outcomes = [Outcome(topic, shown, tuple(done), True, note)]
        if empty:
            outcomes.append(Outcome(topic, shown, tuple(letter.id for letter in empty), False, _why_not(empty)))
        return outcomes

    async def _handle(self, work: Work, topic: str, letters: Sequence[DeadLetter], seen: set[UUID]) -> int:
        """Let the letters' events take effect, each once; how many had done so already.

        A letter whose record was readable has entered its id itself. One that was not may find it entered: the
        event came again, readable this time. `seen`: ids of the pages before, and of this one then.
        """
        consumer = self._consumer(topic)
        events: list[Event[Any]] = []
        for item in consumer.decoder.decode([letter.record for letter in letters]):
            if isinstance(item, Unreadable):
                raise StillFailing(f"{item.code}: {item.detail}")
            events.append(item)
        own = {letter.event_id for letter in letters if letter.event_id is not None} - seen
        seen |= own
        entered = await inbox.enter(work.conn, [one.id for one in events], [one.content for one in events])
        due = inbox.due(events, entered | own)
        if others := await inbox.differing(work.conn, events, due):
            refused = known_otherwise(others[0])
            raise StillFailing(f"{refused.code}: {refused.detail}")
        if due:
            await consumer.handler(work, due)
        if work.rejections:
            raise StillFailing(f"{work.rejections[0].code}: {work.rejections[0].detail}")
        await insert_outbox(work.conn, work.rows)
        work.rows.clear()  # the next page's come behind them
        return len(events) - len(due)

    def _is_ordered(self, topic: str) -> bool:
        """Whether a key's letters wait for each other; what nobody consumes is kept together."""
        return all(one.topic.ordered for one in self._consumers.values() if one.decoder.reads(topic))

    def _consumer(self, topic: str) -> TopicConsumer:
        for consumer in self._consumers.values():
            if consumer.decoder.reads(topic):
                return consumer
        raise StillFailing(f"nobody here consumes {topic} any more: discard the letter or bring the consumer back")

    async def discard(self, ids: Sequence[int], *, by: str, reason: str, now: datetime | None = None) -> int:
        """Give letters up for good; what waited behind them stays until it is replayed. Returns how many."""
        async with begun(self._pool) as conn:
            found = await dead_letters.lock_letters(conn, ids)
            if found:
                at = now or await database_now(conn)
                await dead_letters.resolve(conn, found, "discarded", by=by, reason=reason, now=at)
        return len(found)


def _why_not(empty: Sequence[Locked]) -> str:
    """Why letters without content can't be replayed, by the first of them."""
    first, more = empty[0], f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
    return f"letter {first.id}{more} has no content: {_WITHOUT_CONTENT[first.content]}"
