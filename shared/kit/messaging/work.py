"""A unit of work: one transaction, the events it publishes and the records it refuses, committed together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.events.topic import EventModel, Latest, Topic
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Copy, copy_rows
from shared.kit.refusals import Refusal

M = TypeVar("M", bound=EventModel)
E = TypeVar("E", bound=EventModel)

SQL_NOW = "SELECT now()"


# Not frozen: a frozen dataclass costs twice as much to make, and three of these are made for every event of a hop.
@dataclass(slots=True, eq=False)
class Record:
    """A Kafka record as it came. Headers keep their bytes, so that a dead letter is the whole truth."""

    topic: str
    """Name without the installation's prefix."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int = 0
    """When the broker got it, in milliseconds since 1970."""


@dataclass(slots=True, eq=False)
class Event(Generic[M]):
    """A decoded record."""

    id: UUID
    data: M
    key: str
    version: int
    occurred_at: datetime
    record: Record
    company: str | None = None
    """Of inbound topics: the company whose topic it is. Only that company's principal can write there."""
    traceparent: str | None = None
    content: bytes | None = None
    """Of an event that a company has given an id: a hash of what it says (cloudevents.py)."""

    @property
    def topic(self) -> str:
        """The topic's name without prefix."""
        return self.record.topic


@dataclass(slots=True, eq=False)
class Gone(Event[Any]):
    """A tombstone: the state of its key has left the topic, and no service should keep it. `data` is None.

    `version` is that of the state that left, the largest there is where the tombstone doesn't say: later than all that
    the topic had of the key.
    """


@dataclass(slots=True, eq=False)
class OutboxRow:
    """One event on its way out; a tombstone has no payload. `headers` only where they aren't made from other fields,
    `record_key` only of a dead letter whose record's key isn't the text `key` (headers.py)."""

    event_id: UUID
    topic: str
    key: str
    version: int
    occurred_at: datetime
    traceparent: str | None
    payload: bytes | None
    headers: bytes | None = None
    record_key: bytes | None = None


SQL_ENTER_OUTBOX = Copy(OutboxRow, "outbox")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A business refusal of a consumed record: no retry, the record becomes a dead letter with this reason."""

    record: Record
    event_id: UUID
    code: str
    detail: str


@dataclass(slots=True)
class Work:
    """What a use case gets. `conn` is inside a transaction; nothing is visible to others before it commits.

    `now` is the transaction's time by the database's clock: `begin` makes every unit.
    """

    conn: Connection
    now: datetime
    rows: list[OutboxRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    replays: bool = False
    """Whether an operator lets dead letters be handled again: what would be set aside once more is refused at once."""

    def publish(
        self,
        topic: Topic[M],
        body: M,
        *,
        version: int,
        cause: Event[Any] | None = None,
        occurred_at: datetime | None = None,
        traceparent: str | None = None,
        company: str | None = None,
    ) -> None:
        """Queue an event; it is inserted last in the transaction, after the aggregate's row is locked.

        Args:
            topic: a topic that this service produces.
            body: the event; its key field names the aggregate.
            version: the aggregate's version after the change, from `UPDATE … SET version = version + 1 RETURNING`.
            cause: the consumed event that led here: its trace goes on.
            occurred_at: when it happened; the unit's `now` if not given.
            traceparent: of an HTTP request, where there is no cause.
            company: whose topic it is, where each company has its own. Where it has none, the event goes nowhere.

        Raises:
            ValueError: each company has its own topic, and none is named.
        """
        if topic.is_family != (company is not None):
            raise ValueError(f"{topic.name}: a company is named where each has its own topic, and only there")
        self.rows.append(
            OutboxRow(
                event_id=new_id(),
                topic=topic.name if company is None else topic.name.format(company=company),
                key=topic.key_of(body),
                version=version,
                occurred_at=occurred_at or self.now,
                traceparent=cause.traceparent if cause is not None else traceparent,
                payload=body.__pydantic_serializer__.to_json(body),
            )
        )

    def retire(self, topic: Topic[Any], key: object, *, version: int, cause: Event[Any] | None = None) -> None:
        """Queue a tombstone: the key leaves a topic that keeps the latest state of each key. Twice does no harm.

        Args:
            topic: a topic that this service produces, whose declaration says when keys leave.
            key: the aggregate's id.
            version: of the state that leaves, which the aggregate keeps: should the key return, no version is missing.
            cause: as in `publish`.

        Raises:
            ValueError: no key leaves the topic.
        """
        if not isinstance(topic.kept, Latest) or not topic.kept.leaves:
            raise ValueError(f"no key leaves {topic.name}")
        trace = cause.traceparent if cause is not None else None
        self.rows.append(OutboxRow(new_id(), topic.name, str(key), version, self.now, trace, None))

    def reject(self, event: Event[E], refusal: Refusal, *, keep: bool = True) -> None:
        """Refuse one consumed record for a reason of business: it becomes a dead letter, its neighbours go on.

        `keep` false: the letter has only the record's place and the reason, since what the record says must go.
        """
        record = event.record
        if not keep:
            record = Record(record.topic, record.partition, record.offset, None, None, ())
        self.rejections.append(Rejection(record, event.id, refusal.code, refusal.detail))


async def begin(conn: Connection) -> Work:
    """The unit of work of the transaction that `conn` is in.

    What it decides by time (a deadline, an age, an end) holds for all processes, and a wrong clock of one of them must
    end nothing early: so its time is the database's.
    """
    return Work(conn, await database_now(conn))


async def database_now(conn: Connection) -> datetime:
    """When the transaction began, or outside of one the statement, by the database's clock."""
    now: datetime = await conn.fetchval(SQL_NOW)
    return now


async def insert_outbox(conn: Connection, rows: Iterable[OutboxRow]) -> None:
    """Insert events in order, in one statement. COPY draws their ids in the order of the rows, as INSERT does."""
    await copy_rows(conn, SQL_ENTER_OUTBOX, list(rows))
