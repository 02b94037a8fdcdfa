"""Dead letters, held and late events of an erased rider: their words go, what others need of the record stays.

A letter, or an event that Kafka refuses, names its riders in `riders`, found when it is set aside: ids where the suite
wrote the record, the mark of the company's number where a company did. Look-ups go by that column's index, never
through bodies.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from shared.events import registry
from shared.events.topic import Audience, EventModel, Topic
from shared.kit.messaging.headers import pack
from shared.kit.messaging.tombstones import Handler
from shared.kit.messaging.work import Event, Gone, Record, Work
from shared.kit.postgres.db import Connection
from shared.kit.privacy import named_riders, whose

INBOUND = "inbound."
DLQ = ".dlq"
REQUEST_NUMBERS_MAX = 4_000
"""Of one request: four times as many as the largest batch has items."""
_NUMBER_FIELDS = {"riders": "external_id", "reports": "rider"}

SQL_LETTERS_OF = """
SELECT id, topic, value, riders FROM dead_letters WHERE riders && $1::text[] AND riders <> '{}' ORDER BY id FOR UPDATE
"""
# What a company sent of an erased rider can't take effect any more: open or not, nothing of it is needed.
SQL_LETTERS_EMPTY = """
UPDATE dead_letters SET value = NULL, key = NULL, headers = $2, detail = '', riders = '{}', content = 'erased',
    status = CASE WHEN status IN ('dead', 'parked', 'rejected') THEN 'discarded' ELSE status END,
    resolved_at = coalesce(resolved_at, now()), resolved_by = coalesce(resolved_by, 'erasure'),
    resolution = coalesce(resolution, 'the rider is erased')
WHERE id = ANY($1::bigint[])
"""
SQL_LETTERS_REDACT = """
UPDATE dead_letters d SET value = u.value, detail = split_part(d.detail, ':', 1)
FROM unnest($1::bigint[], $2::bytea[]) AS u (id, value) WHERE d.id = u.id
"""
SQL_HELD_OF = """
SELECT id, hold_id, topic, payload FROM outbox_held WHERE riders && $1::text[] AND riders <> '{}' ORDER BY id FOR UPDATE
"""
SQL_HELD_REDACT = """
UPDATE outbox_held h SET payload = u.payload FROM unnest($1::bigint[], $2::bytea[]) AS u (id, payload) WHERE h.id = u.id
"""
# What only says that there is a letter: the letter itself has been dealt with.
SQL_HELD_EMPTY = """
UPDATE outbox_held SET payload = '', headers = NULL, key = '', record_key = NULL, riders = '{}',
    discarded_at = coalesce(discarded_at, now()), discarded_by = coalesce(discarded_by, 'erasure'),
    reason = coalesce(reason, 'the rider is erased')
WHERE id = ANY($1::bigint[])
"""
SQL_HOLDS_LOOK = "UPDATE outbox_holds SET next_try_at = now() WHERE hold_id = ANY($1::bigint[])"
SQL_ERASED_NAMED = """
SELECT rider_id::text AS rider_id, number FROM erased_riders
WHERE number = ANY($1::text[]) OR rider_id = ANY($2::uuid[])
"""
SQL_ERASED_HERE = "SELECT rider_id FROM erased_riders WHERE rider_id = ANY($1::uuid[])"


def riders_of(record: Record) -> list[str]:
    """Whom a record is about, as far as it can be read. Of a company's that is too large its key is."""
    if record.topic.startswith(INBOUND):
        return _marks_of(record)
    topic = _own(record.topic)
    # of a record that can't be read anything may stand there: more than an index entry holds, and what no store holds
    return sorted(whose.riders_named(_body_of(record), whose.namings(topic.model) if topic else whose.anywhere()))


async def riders_of_each(records: Iterable[Record]) -> list[list[str]]:
    """Whom each of the records is about. Others go on between two of them: a turn of records that name a thousand
    numbers each is work for seconds."""
    found = []
    for record in records:
        found.append(riders_of(record))
        await asyncio.sleep(0)
    return found


def content_hours(record: Record, named: Sequence[str]) -> int | None:
    """How long the content of a letter may stay, given whom it names; None: as long as the letter.

    What is about a rider, and nobody can say of whom, no erasure would find: it stays no longer than on its topic.
    """
    if record.topic.startswith(INBOUND):
        if named and not _is_too_large(record):
            return None
        return min(topic.kept.whole_hours for topic in _families_of(record.topic))
    if named or record.value is None:
        return None
    topic = _own(record.topic)
    if topic is None or not is_about_riders(topic):
        return None
    body = _body_of(record)
    unknown = body is None or whose.is_about_nobody_known(body, topic.model)
    return topic.kept.whole_hours if unknown else None


def _own(name: str) -> registry.AnyTopic | None:
    return next((one for one in registry.topics() if one.name == name), None)


def _body_of(record: Record) -> dict[str, Any] | None:
    """Of a record of the suite's own; None where it can't be read."""
    try:
        body = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _marks_of(record: Record) -> list[str]:
    """Of a company's record: by its number's field, and by the key where that is the number."""
    _, company, kind = [*record.topic.split("."), "", ""][:3]
    field = _NUMBER_FIELDS.get(kind)
    if field is None:
        return []
    value = b"" if _is_too_large(record) else record.value or b""
    try:
        marks = set(named_riders.marks_named(company, value, (field,), named_riders.MARKS_MAX, torn=True))
    except named_riders.TooMany:
        return []
    if kind == "riders" and record.key:
        marks |= set(named_riders.marks_of(company, record.key.decode(errors="ignore")))
    return sorted(marks) if len(marks) <= named_riders.MARKS_MAX else []


def _is_too_large(record: Record) -> bool:
    """Whether a company's record is larger than its topic takes: nobody reads its value, here neither."""
    return len(record.value or b"") > min(topic.record_bytes_max for topic in _families_of(record.topic))


def _families_of(topic: str) -> list[registry.AnyTopic]:
    """The family of a company's topic; of one that nobody has declared all of them."""
    families = registry.inbound_topics()
    name = ".".join([INBOUND + "{company}", *topic.split(".")[2:]])
    return [one for one in families if one.name == name] or list(families)


def numbers_named(company: str, body: bytes) -> list[str] | None:
    """Marks of the numbers under which a company's request names riders, none where it is no JSON; None: too many.

    In reports riders stand under `rider`, in registrations under `external_id`; by itself, in lists, in CloudEvents.
    """
    try:
        return named_riders.marks_named(company, body, _NUMBER_FIELDS.values(), REQUEST_NUMBERS_MAX, torn=False)
    except named_riders.TooMany:
        return None


async def erased_of(conn: Connection, riders: Iterable[str]) -> set[str]:
    """Those of the riders (ids as text, or marks) who are erased. One look-up, none where nobody is named."""
    named = set(riders)
    rows = await _erased_rows(conn, named) if named else []
    return named & {one for row in rows for one in (row["rider_id"], row["number"])}


async def _erased_rows(conn: Connection, named: Iterable[str]) -> list[Any]:
    marks = sorted(named)
    rows: list[Any] = await conn.fetch(SQL_ERASED_NAMED, marks, [UUID(one) for one in marks if whose.id_of(one)])
    return rows


async def forget(conn: Connection, leavers: Mapping[str, str]) -> None:
    """Take the words of riders (id → mark of their number) out of letters and held events about them."""
    await forget_held(conn, leavers)
    rows = await conn.fetch(SQL_LETTERS_OF, [*leavers, *leavers.values()])
    inbound = [row["id"] for row in rows if row["topic"].startswith(INBOUND)]
    if inbound:
        await conn.execute(SQL_LETTERS_EMPTY, inbound, pack(()))
    own = [row for row in rows if not row["topic"].startswith(INBOUND) and row["value"] is not None]
    if own:
        values = [redacted(row["topic"], row["value"], leavers) for row in own]
        await conn.execute(SQL_LETTERS_REDACT, [row["id"] for row in own], values)


async def forget_held(conn: Connection, leavers: Mapping[str, str]) -> None:
    """Take the riders' words out of events that Kafka refuses. What announces a dead letter is given up."""
    rows = await conn.fetch(SQL_HELD_OF, [*leavers, *leavers.values()])
    letters = [row for row in rows if row["topic"].endswith(DLQ)]
    if letters:
        await conn.execute(SQL_HELD_EMPTY, [row["id"] for row in letters])
        # a hold without events ends when the relay looks, and its key with it
        await conn.execute(SQL_HOLDS_LOOK, sorted({row["hold_id"] for row in letters}))
    own = [row for row in rows if not row["topic"].endswith(DLQ)]
    if own:
        values = [redacted(row["topic"], row["payload"], leavers) for row in own]
        await conn.execute(SQL_HELD_REDACT, [row["id"] for row in own], values)


async def forget_late(conn: Connection, riders: Iterable[str]) -> None:
    """The same for events that are set aside after their riders (ids or marks) were erased."""
    named = set(riders)
    if named and (rows := await _erased_rows(conn, named)):
        await forget_held(conn, {row["rider_id"]: row["number"] for row in rows})


def redacted(topic: str, value: bytes, erased: Iterable[str]) -> bytes:
    """A record's body without what it tells of the riders (ids as text)."""
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    declared = _own(topic)
    if declared is None or not isinstance(body, dict):
        return value
    whose.redact(body, declared.model, set(erased))
    return orjson.dumps(body)


def guarding(topic: Topic[Any], handler: Handler) -> Handler:
    """The handler, behind the list of erased riders: late events of theirs reach it without their words."""
    if not is_about_riders(topic):
        return handler

    async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
        await handler(work, await without_erased(work.conn, events))

    return handle


def is_about_riders(topic: Topic[Any]) -> bool:
    """Whether events of the topic carry anything that erasure takes away."""
    return topic.audience is Audience.INTERNAL and any(going.namings for going in whose.goings(topic.model))


async def without_erased(conn: Connection, events: Sequence[Event[Any]]) -> Sequence[Event[Any]]:
    """The events as a handler may see them: late ones of erased riders have lost their words, the others are as before.

    One look-up a batch by the primary key of a small table, none where no event names a rider.
    """
    # what only says that a key has gone names nobody
    there = [event for event in events if not isinstance(event, Gone)]
    named = [whose.riders_named(event.data, whose.namings(type(event.data))) for event in there]
    wanted = [UUID(rider) for rider in set().union(*named)]
    if not wanted:
        return events
    gone = {str(row["rider_id"]) for row in await conn.fetch(SQL_ERASED_HERE, wanted)}
    for event, riders in zip(there, named, strict=True):
        if not gone.isdisjoint(riders):
            event.data = _without(event.data, gone)
    return events


def _without(body: EventModel, gone: set[str]) -> EventModel:
    """What is left can be read as the same event, as it has to where it comes out of a letter."""
    left = body.model_dump(mode="json")
    whose.redact(left, type(body), gone)
    return type(body).model_validate(left)
