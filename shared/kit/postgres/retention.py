"""How long each table keeps its rows, and why: declared once a table, beside the service that owns it.

docs/retention.md is made from these declarations, the sweeper works by them, and a table without one fails the checks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from string import Template

from shared.events import registry

# One for each swept table; tests prepare every one of them.
SQL_SWEEP = Template("""
WITH gone AS (
    DELETE FROM $table WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM $table
        WHERE $rows AND $column < now() - $$1::interval AND $column >= COALESCE($$2::timestamptz, '-infinity')
        ORDER BY $column LIMIT $$3))
    RETURNING $column)
SELECT count(*) AS rows, max($column)::timestamptz AS upto FROM gone
""")


# The same where rows stay and lose what they hold. There is no place where the last share ended: rows fall due in any
# order, and those that are done leave the partial index.
SQL_EMPTY = Template("""
WITH done AS (
    UPDATE $table SET $sets WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM $table WHERE $rows AND $column < now() - $$1::interval ORDER BY $column LIMIT $$2))
    RETURNING *)$then
SELECT count(*) AS rows FROM done
""")
# What follows from emptied events: a hold without any ends when the relay looks, and what waits behind goes on.
SQL_LOOK_AT_HOLDS = Template("UPDATE outbox_holds SET next_try_at = now() WHERE hold_id IN (SELECT hold_id FROM done)")


class Way(StrEnum):
    """How rows leave a table."""

    STAYS = "stays"
    """They don't: the table is the record itself. docs/capacity.md says what that costs. Those that `sweep` selects,
    if it selects any, were never part of the record and leave."""
    BOUNDED = "bounded"
    """They needn't: there are as many as riders, companies, areas or people at work."""
    DRAINED = "drained"
    """The work itself removes them: what stays too long raises an alert."""
    SWEPT = "swept"
    """Deleted by age, oldest first, without an end until none is too old."""
    DROPPED = "dropped"
    """A whole day's partition at a time."""
    FOLLOWS = "follows"
    """With the row of another table that they belong to."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What may be deleted: rows whose `column` is older than `after`, by the database's clock.

    `column` needs a B-tree index that begins with it (of the rows that `where` selects).
    """

    column: str
    after: timedelta
    where: str = "true"


@dataclass(frozen=True, slots=True)
class Emptying:
    """What rows lose before they leave: those of `where` whose `column` is past are given `sets`.

    `where` must not hold any more then. `column` needs a B-tree index that begins with it, of the rows of `where`.
    `then`: a statement about what follows from the rows, which are called `done`, in the same transaction.
    """

    column: str
    where: str
    sets: str
    then: Template | None = None


@dataclass(frozen=True, slots=True)
class Days:
    """A partition a day, dropped whole when its rows are older than `after`.

    `rest`: partitions of what belongs to no day; there rows are deleted whose `column` is older.
    """

    after: timedelta
    column: str
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `row`: what one row is; `kept`: how long, in words; `why`: for what, and why not longer.

    Raises:
        ValueError: the way and what says how it goes don't fit each other.
    """

    name: str
    row: str
    way: Way
    kept: str
    why: str
    sweep: Sweep | None = None
    days: Days | None = None
    empties: Emptying | None = None
    per_report: float = 0.0
    """Rows that one report adds over its life, for docs/capacity.md; 0 where reports don't make them grow."""
    seeded: int = 0
    """Rows that the migrations put there, or a service with nothing to do: so many are nobody's content, and a restore
    takes them away first."""

    def __post_init__(self) -> None:
        if (self.sweep is not None) != (self.way is Way.SWEPT) and (self.sweep is None or self.way is not Way.STAYS):
            raise ValueError(f"{self.name}: a swept table, and no other, says what is swept")
        if self.way is Way.STAYS and self.sweep is not None and self.sweep.where == "true":
            raise ValueError(f"{self.name}: a table that stays says which of its rows don't")
        if (self.way is Way.DROPPED) != (self.days is not None):
            raise ValueError(f"{self.name}: a table that is dropped by days, and no other, says after how long")

    @property
    def swept(self) -> "tuple[Table, ...]":
        """Where rows are deleted by age: the table itself, or its partitions that are no days."""
        if self.days is None:
            return () if self.sweep is None else (self,)
        sweep = Sweep(self.days.column, self.days.after)
        return tuple(Table(name, self.row, Way.SWEPT, self.kept, self.why, sweep) for name in self.days.rest)

    @property
    def empty_sql(self) -> str | None:
        """One share of emptying rows: $1 how long ago they fell due, $2 rows at most."""
        if self.empties is None:
            return None
        what = self.empties
        then = f", followed AS ({what.then.template})" if what.then is not None else ""
        return SQL_EMPTY.substitute(table=self.name, column=what.column, rows=what.where, sets=what.sets, then=then)

    @property
    def sweep_sql(self) -> str | None:
        """One share of the sweep: $1 the age, $2 where the share before it ended, $3 rows at most.

        It begins where the last share ended: under a long snapshot deleted rows stay in the index, and to walk over
        them again in each share would cost more than the deletes.
        """
        if self.sweep is None:
            return None
        return SQL_SWEEP.substitute(table=self.name, column=self.sweep.column, rows=self.sweep.where)


def faults(declared: Iterable[Table], present: Iterable[str]) -> Iterator[str]:
    """What is wrong between the declarations of a schema and its tables, by name."""
    names = [table.name for table in declared]
    yield from (f"{name}: declared twice" for name in sorted({name for name in names if names.count(name) > 1}))
    yield from (
        f"{name}: nobody says how long it keeps its rows, and why" for name in sorted(set(present) - set(names))
    )
    yield from (f"{name}: declared, and not there" for name in sorted(set(names) - set(present)))


INBOUND_KEPT = max(timedelta(hours=topic.kept.whole_hours) for topic in registry.inbound_topics())
"""As long as any company's topic keeps a record."""
_UNNAMED_KEPT = ", ".join(
    f"{topic.name.split('.')[2]} {topic.kept.whole_hours // 24} days"
    for topic in sorted(registry.inbound_topics(), key=lambda topic: topic.name)
)

KIT_TABLES = (
    Table("counters", "a shard of a kept number", Way.BOUNDED, "as long as the suite", "numbers are never counted"),
    Table(
        "outbox", "an event that is committed and not yet on Kafka", Way.DRAINED, "until Kafka has acknowledged it",
        "a 2xx means that the event reaches Kafka; OutboxStuck is raised after a minute", per_report=1.0,
    ),
    Table("outbox_state", "what the leading relay says of the outbox", Way.BOUNDED, "one row", "how much waits",
          seeded=1),
    Table(
        "outbox_holds", "a key or a topic for which Kafka refuses events", Way.DRAINED, "until its events have left",
        "the order of a key's events; OutboxRefused is raised",
    ),
    Table(
        "outbox_held", "an event that Kafka refuses, or that waits behind one", Way.SWEPT,
        "until Kafka has it, or an operator gives it up; then 30 days. A dead letter's that names nobody: given up "
        "when the letter loses its content",
        "nothing accepted is lost without a person's word, and that can be looked up for a month; no erasure finds "
        "what names nobody, and the letter itself stays listed",
        Sweep("discarded_at", timedelta(days=30), "discarded_at IS NOT NULL"),
        empties=Emptying(
            "content_until", "content_until IS NOT NULL",
            "content_until = NULL, payload = '', headers = NULL, key = '', record_key = NULL, "
            "discarded_at = coalesce(discarded_at, now()), discarded_by = coalesce(discarded_by, 'sweeper'), "
            "reason = coalesce(reason, 'nobody can say whom it is about, and its topic has dropped it too')",
            SQL_LOOK_AT_HOLDS,
        ),
    ),
    Table(
        "inbox", "the id of an event that has taken effect", Way.DROPPED, "22 days",
        "a record is repeated as long as its topic keeps it (7 days) and a dead letter may wait; see "
        "BEEGRID_INBOX_RETENTION_HOURS",
        days=Days(timedelta(hours=24 * 22), "seen_at", ("inbox_derived", "inbox_other")), per_report=1.0,
    ),
    Table(
        "dead_letters", "a record that could not take effect, whole while its topic is within its bounds", Way.SWEPT,
        f"open: until somebody replays or discards it; then 30 days. Content that names nobody: {_UNNAMED_KEPT}",
        "nothing is lost without a person's word; what was decided can be looked up for a month; no erasure finds what "
        "names nobody, so it stays no longer than on its own topic",
        Sweep("resolved_at", timedelta(days=30), "resolved_at IS NOT NULL"),
        empties=Emptying(
            "content_until", "content = 'kept' AND content_until IS NOT NULL",
            "content = 'expired', value = NULL, headers = '[]', detail = split_part(detail, ':', 1), "
            "key = CASE WHEN topic LIKE 'inbound.%' THEN NULL ELSE key END",
        ),
    ),
    Table(
        "dead_letter_ranges", "a partition of a company's topic with more dead letters than are kept", Way.SWEPT,
        f"{INBOUND_KEPT.days} days after the last of them",
        "says where they stand in the company's topic, for as long as that keeps them",
        Sweep("last_at", INBOUND_KEPT),
    ),
    Table(
        "letter_allowances", "a reason for which records of a topic became dead letters", Way.BOUNDED,
        "as long as the suite", "so many fail alike that the topic stands still; as many as topics and errors",
    ),
    Table(
        "parked_keys", "a key whose events wait behind a dead letter", Way.DRAINED, "until its letters are resolved",
        "the order of a key's events",
    ),
    Table(
        "request_ids", "a company's signed request and its first answer", Way.SWEPT, "1 hour",
        "a captured request must not take effect again while its signature is good, which is minutes; the rest is for "
        "senders who did not get the answer",
        Sweep("seen_at", timedelta(hours=1)), per_report=1.0,
    ),
    Table(
        "idempotency_keys", "a person's POST and its first answer", Way.SWEPT, "48 hours",
        "a phone that lost the answer asks again within minutes; two days outlast a weekend's dead battery",
        Sweep("created_at", timedelta(hours=48)), per_report=1.0,
    ),
    Table(
        "known_areas", "an area of the city's maps", Way.BOUNDED, "as long as the suite",
        "what is still kept under the code of an area that vanished stays somebody's",
    ),
    Table("known_map", "how often the map has changed", Way.BOUNDED, "one row", "processes ask it for changes"),
    Table(
        "erased_riders", "the id of a rider who is forgotten", Way.BOUNDED, "for good",
        "late events, replayed letters and restored backups are held against it; it leads to nobody",
    ),
)  # fmt: skip
"""Those that every service has."""
