"""Events that Kafka refuses, set aside with all that waits behind them, so that the others go on.

A hold is on a key of a topic (one event of it is refused: it is too large) or on a whole topic (it is gone, or may not
be written). Held events are tried again a bounded number of times, with growing pauses; a topic goes on being tried
once a minute. What a key's last try didn't bring through waits for an operator, who has it tried again or gives it up.
A key's events leave in their order, before any that comes later: the relay that leads sends all of them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.kit import metrics
from shared.kit.messaging.work import Record
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, many
from shared.kit.privacy.letters_of_erased import DLQ, content_hours, forget_late, riders_of_each
from shared.kit.publishing.sending import Refused, Row, Sent

FIRST_PAUSE_S = 1.0
TOPIC_PAUSE_S = 60.0
DUE_MOST = 20
SHARE_ROWS = 500
GAUGES = (metrics.OUTBOX_STUCK, metrics.OUTBOX_HELD)
COUNTED_MAX = 100_000
KEY_LENGTH_MAX = 400


@dataclass(frozen=True, slots=True)
class Hold:
    """A key of a topic, or with key None a whole topic, whose events wait; `tries` so far."""

    id: int
    topic: str
    key: str | None
    tries: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """A hold as an operator sees it. `events`: how many wait, counted to 10,000; `next_try_at` None: on their word."""

    id: int
    topic: str
    key: str | None
    code: str
    detail: str
    tries: int
    since: datetime
    next_try_at: datetime | None
    events: int
    first_id: int | None


SQL_HOLDS = "SELECT hold_id, topic, key FROM outbox_holds"
SQL_HOLD = """
INSERT INTO outbox_holds AS h (topic, key, code, detail, next_try_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
ON CONFLICT (topic, key) DO UPDATE SET code = excluded.code RETURNING hold_id
"""
SQL_MOVE = """
WITH gone AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
INSERT INTO outbox_held (id, hold_id, event_id, topic, key, record_key, version, occurred_at, traceparent, headers,
                         payload, riders, content_until)
SELECT g.id, m.hold_id, g.event_id, g.topic, g.key, g.record_key, g.version, g.occurred_at, g.traceparent, g.headers,
       g.payload, string_to_array(m.riders, ','), g.occurred_at + make_interval(hours => m.content_hours)
FROM gone g JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[]) AS m (id, hold_id, riders, content_hours)
    ON m.id = g.id
"""
# A key's hold waits for its topic's: what is held there of the key is older than what may come.
SQL_DUE = Query(
    Hold,
    """
SELECT hold_id AS id, topic, key, tries FROM outbox_holds h
WHERE next_try_at <= now() AND (key IS NULL OR NOT EXISTS (
    SELECT FROM outbox_holds t WHERE t.topic = h.topic AND t.key IS NULL))
ORDER BY next_try_at, hold_id LIMIT $1
""",
)
SQL_HELD_ROWS = """
SELECT id, event_id, topic, key, record_key, version, occurred_at, traceparent, headers, payload FROM (
    SELECT *, sum(size) OVER (ORDER BY id) - size AS bytes_before FROM (
        SELECT *, COALESCE(octet_length(payload), 0) + COALESCE(octet_length(headers), 0)
            + COALESCE(octet_length(record_key), 0) AS size
        FROM outbox_held WHERE hold_id = $1 AND discarded_at IS NULL ORDER BY id LIMIT $2) oldest
) sized WHERE bytes_before < $3 ORDER BY id
"""
SQL_HELD_SENT = "DELETE FROM outbox_held WHERE id = ANY($1::bigint[])"
SQL_HELD_GIVE = """
UPDATE outbox_held h SET hold_id = m.hold_id
FROM unnest($1::bigint[], $2::bigint[]) AS m (id, hold_id) WHERE h.id = m.id
"""
SQL_REFUSED_AGAIN = """
UPDATE outbox_holds SET code = $2, detail = $3, tries = tries + 1,
    next_try_at = CASE WHEN $4::float8 IS NULL THEN 'infinity' ELSE now() + make_interval(secs => $4) END
WHERE hold_id = $1
"""
SQL_RELEASE = """
DELETE FROM outbox_holds h WHERE hold_id = $1 AND NOT EXISTS (
    SELECT FROM outbox_held e WHERE e.hold_id = h.hold_id AND e.discarded_at IS NULL) RETURNING hold_id
"""
SQL_STUCK_LIST = Query(
    Stuck,
    """
SELECT hold_id AS id, topic, key, code, detail, tries, since, NULLIF(next_try_at, 'infinity') AS next_try_at,
    (SELECT count(*) FROM (SELECT FROM outbox_held e WHERE e.hold_id = h.hold_id AND e.discarded_at IS NULL
                           LIMIT 10000) few) AS events,
    (SELECT min(e.id) FROM outbox_held e WHERE e.hold_id = h.hold_id AND e.discarded_at IS NULL) AS first_id
FROM outbox_holds h WHERE hold_id > $1 ORDER BY hold_id LIMIT $2
""",
)
SQL_STUCK_RETRY = """
UPDATE outbox_holds SET next_try_at = now() WHERE $1::bigint[] IS NULL OR hold_id = ANY($1) RETURNING hold_id
"""
# Of a key the event that is refused, of a topic all that wait for it now.
SQL_STUCK_DISCARD = """
UPDATE outbox_held SET discarded_at = now(), discarded_by = $2, reason = $3
WHERE discarded_at IS NULL AND id IN (
    SELECT e.id FROM outbox_held e JOIN outbox_holds h USING (hold_id)
    WHERE h.hold_id = ANY($1::bigint[]) AND e.discarded_at IS NULL AND (h.key IS NULL OR e.id = (
        SELECT min(first.id) FROM outbox_held first WHERE first.hold_id = h.hold_id AND first.discarded_at IS NULL)))
RETURNING event_id
"""
SQL_STUCK_COUNTS = "SELECT topic, code, count(*) AS holds FROM outbox_holds WHERE tries >= $1 GROUP BY topic, code"
SQL_HELD_COUNT = "SELECT count(*) FROM (SELECT FROM outbox_held WHERE discarded_at IS NULL LIMIT $1) waiting"


class Holds:
    """The holds as the leading relay knows them. Only it makes and ends them; operators say what is to be tried."""

    def __init__(self, tries_max: int) -> None:
        self._tries_max = tries_max
        self._topics: dict[str, int] = {}
        self._keys: dict[tuple[str, str], int] = {}

    @property
    def some(self) -> bool:
        """Whether anything is held."""
        return bool(self._topics or self._keys)

    async def load(self, conn: Connection) -> None:
        """Learn what is held, at the beginning of a term."""
        self._topics, self._keys = {}, {}
        for row in await conn.fetch(SQL_HOLDS):
            self._remember(row["hold_id"], row["topic"], row["key"])

    def of(self, row: Row) -> int | None:
        """The hold that an event waits for. Its key's first: what that one holds is older than the topic's."""
        return self._keys.get((row["topic"], _short(row["key"]))) or self._topics.get(row["topic"])

    async def take(self, conn: Connection, refused: Sequence[Refused], waiting: Iterable[Row]) -> None:
        """Move refused events out of the outbox, and with them those that wait for a hold, old or new."""
        for one in refused:
            await self._make(conn, one)
        rows = {row["id"]: row for row in (*(one.row for one in refused), *waiting)}
        if rows:
            riders = await riders_of_each(_record(row) for row in rows.values())
            holds = [self.of(row) for row in rows.values()]
            hours = [_content_hours(row, named) for row, named in zip(rows.values(), riders, strict=True)]
            await conn.execute(SQL_MOVE, list(rows), holds, [",".join(named) for named in riders], hours)
            await forget_late(conn, (one for named in riders for one in named))

    async def due(self, conn: Connection) -> list[Hold]:
        """Holds that are to be tried now."""
        return await many(conn, SQL_DUE, DUE_MOST)

    async def settle(self, conn: Connection, hold: Hold, rows: Sequence[Row], sent: Sent) -> None:
        """Note what became of a share of a hold's events; a hold without events ends."""
        await conn.execute(SQL_HELD_SENT, sent.done)
        for one in sent.refused:
            if hold.key is None and not one.whole_topic:
                await self._make(conn, one)
            else:
                await conn.execute(SQL_REFUSED_AGAIN, hold.id, one.code, one.detail, self._pause_s(hold))
        moved = {row["id"]: found for row in rows if (found := self.of(row)) is not None and found != hold.id}
        if moved:
            await conn.execute(SQL_HELD_GIVE, list(moved), list(moved.values()))
        if await conn.fetchval(SQL_RELEASE, hold.id) is not None:
            if hold.key is None:
                del self._topics[hold.topic]
            else:
                del self._keys[hold.topic, hold.key]

    def _pause_s(self, hold: Hold) -> float | None:
        """Until the next try; None: an operator says when."""
        if hold.tries + 1 < self._tries_max:
            return float(FIRST_PAUSE_S * 2.0**hold.tries)
        return TOPIC_PAUSE_S if hold.key is None else None

    async def _make(self, conn: Connection, one: Refused) -> None:
        topic, key = one.row["topic"], None if one.whole_topic else _short(one.row["key"])
        hold_id = await conn.fetchval(SQL_HOLD, topic, key, one.code, one.detail.replace("\x00", ""), FIRST_PAUSE_S)
        self._remember(hold_id, topic, key)

    def _remember(self, hold_id: int, topic: str, key: str | None) -> None:
        if key is None:
            self._topics[topic] = hold_id
        else:
            self._keys[topic, key] = hold_id


def _record(row: Row) -> Record:
    """The event as what tells of a rider's record is read: a letter's as the record that it tells of."""
    return Record(row["topic"].removesuffix(DLQ), 0, 0, row["key"].encode(), row["payload"], ())


def _content_hours(row: Row, named: Sequence[str]) -> int | None:
    """How long what announces a dead letter may stay: like the letter. Other events of the suite's own must leave."""
    return content_hours(_record(row), named) if row["topic"].endswith(DLQ) else None


def _short(key: str) -> str:
    """A key that an index can hold: a dead letter's is as long as somebody has made it."""
    return key if len(key) <= KEY_LENGTH_MAX else f"{key[:40]}… sha256:{hashlib.sha256(key.encode()).hexdigest()}"


async def stuck(conn: Connection, after_id: int = 0, limit: int = 200) -> list[Stuck]:
    """Holds in the order in which they were made."""
    return await many(conn, SQL_STUCK_LIST, after_id, limit)


async def retry(conn: Connection, ids: Sequence[int] | None) -> int:
    """Let these holds (None: all) be tried at once, by whichever process leads. Returns how many there are."""
    return len(await conn.fetch(SQL_STUCK_RETRY, ids))


async def discard(conn: Connection, ids: Sequence[int], *, by: str, reason: str) -> list[str]:
    """Give up a key's refused event, or all that wait for a topic now; what waits behind goes on. Ids of the events."""
    gone = [str(row["event_id"]) for row in await conn.fetch(SQL_STUCK_DISCARD, list(ids), by, reason)]
    await retry(conn, ids)
    return gone


async def count(conn: Connection) -> int:
    """How many events are held, counted to COUNTED_MAX."""
    found: int = await conn.fetchval(SQL_HELD_COUNT, COUNTED_MAX)
    return found


async def measure(tries_max: int, conn: Connection) -> None:
    """Set the gauges: what waits for an operator, and topics that go on refusing."""
    rows = await conn.fetch(SQL_STUCK_COUNTS, tries_max)
    metrics.OUTBOX_STUCK.clear()
    for row in rows:
        metrics.OUTBOX_STUCK.labels(topic=row["topic"], code=row["code"]).set(row["holds"])
    metrics.OUTBOX_HELD.set(await count(conn))
