"""How many records of a topic may become dead letters for one reason before the topic stands still (ADR 0054).

Single poison records are buried and nobody waits for them. A bad release, or a producer's, fails at everything: without
an end to it a whole topic would be buried within minutes, and parked behind itself. So each reason of each topic has an
allowance: letters use it up, records that take effect and time give it back. What finds none left isn't buried.

The allowance is one row that all processes of a service share: the database decides by a conditional update in the
burial's own transaction. A process that buries nothing never asks. Of companies' topics only what is our own fault
counts, each company's by itself: what they send is their matter, and letter_bounds.py bounds it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.kit.letters.codes import HANDLER_FAILED, UNREADABLE
from shared.kit.letters.dead_letters import Burial
from shared.kit.messaging.work import Event, Rejection
from shared.kit.postgres.db import Connection
from shared.kit.privacy.letters_of_erased import INBOUND

PARKED_KEYS = 10
"""With fewer parked keys, what is parked counts for nothing: one poison record may have a thousand behind it."""
OUR_FAULTS = frozenset({HANDLER_FAILED.code, UNREADABLE.code})
"""Codes of what a handler or the reader raises, whoever has sent the record."""
CAUSE_LENGTH_MAX = 200
STANDS = "stands still"
"""How the trouble of such a topic begins."""
STOOD_FOR_S = 120.0
"""After its last try a process is no longer taken to stand still."""
SHOWN_MAX = 1_000
GRANT_HOURS = 24
"""So long an operator's word holds."""

SQL_ALLOWANCES_MAKE = """
INSERT INTO letter_allowances (topic, cause) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (topic, cause) DO NOTHING
"""
# $3 letters, $4 records that took effect, $5 their share, $6 the most, $7 seconds in which that is given back. While
# somebody stands still time gives nothing back: a night would bury as much again each hour.
SQL_ALLOWANCE_USE = """
UPDATE letter_allowances a SET
    used = CASE WHEN by_word THEN a.used ELSE left_over + $3::int END,
    granted = CASE WHEN by_word THEN a.granted - $3::int ELSE a.granted END,
    at = clock_timestamp()
FROM (SELECT topic, cause, granted >= $3::int AND granted_until > clock_timestamp() AS by_word,
             greatest(0, used - $4::bigint * $5::float8 - CASE
                 WHEN stood_at > clock_timestamp() - make_interval(secs => $8::float8) THEN 0
                 ELSE greatest(0, extract(epoch FROM clock_timestamp() - at)::float8) * $6::float8 / $7::float8
             END) AS left_over
      FROM letter_allowances WHERE topic = $1 AND cause = $2 FOR UPDATE) seen
WHERE (a.topic, a.cause) = (seen.topic, seen.cause)
  AND (coalesce(by_word, false) OR left_over + $3::int <= $6::float8)
RETURNING a.topic
"""
SQL_SOME_PARKED = "SELECT count(*) FROM (SELECT FROM parked_keys WHERE topic = $1 LIMIT $2) few"
SQL_STOOD = """
INSERT INTO letter_allowances AS a (topic, cause, stands_since, stood_at)
SELECT topic, cause, clock_timestamp(), clock_timestamp() FROM unnest($1::text[], $2::text[]) AS u (topic, cause)
ORDER BY topic, cause
ON CONFLICT (topic, cause) DO UPDATE SET
    stands_since = CASE WHEN a.stood_at > clock_timestamp() - make_interval(secs => $3) THEN a.stands_since
                        ELSE clock_timestamp() END,
    stood_at = clock_timestamp(), at = clock_timestamp()
"""
SQL_STANDING_LIST = """
SELECT topic, cause, used, CASE WHEN granted_until > now() THEN granted ELSE 0 END AS granted, stands_since, stood_at
FROM letter_allowances WHERE stood_at > now() - make_interval(secs => $1) ORDER BY topic, cause LIMIT $2
"""
SQL_GRANT = """
UPDATE letter_allowances SET granted = $3, granted_until = now() + make_interval(hours => $4), granted_by = $5,
    reason = $6
WHERE topic = $1 AND ($2::text IS NULL OR cause = $2) AND stood_at > now() - make_interval(secs => $7)
RETURNING cause
"""
SQL_BEGIN_AGAIN = """
UPDATE letter_allowances SET used = 0, granted = 0, stood_at = NULL, granted_by = $2, reason = $3
WHERE topic = $1 RETURNING cause
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """`letters_max`: letters for one reason; `share`: of records, that may be letters for good; `within_s` seconds give
    a whole allowance back."""

    letters_max: int
    share: float
    within_s: float


@dataclass(frozen=True, slots=True)
class StandingTopic:
    """A topic that processes of this service leave alone, and why. `used`: letters, less what was given back."""

    topic: str
    cause: str
    used: float
    granted: int
    stands_since: datetime
    stood_at: datetime

    @property
    def words(self) -> str:
        """For an operator."""
        return stands_still(self.stands_since, self.cause)


class LimitReached(Exception):
    """These letters have no room; nothing of their transaction is kept. `causes`: reasons by topic."""

    def __init__(self, causes: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{topic}: {cause}" for topic, cause in causes.items()))
        self.causes = dict(causes)


@dataclass(slots=True)
class Allowances:
    """What one consumer of one process has seen since it began: records that took effect, by topic, as it states to the
    database with each burial."""

    limit: Limit
    effects: Counter[str] = field(default_factory=Counter)
    _stated: Counter[tuple[str, str]] = field(default_factory=Counter)

    def took_effect(self, live: Iterable[Event[Any]], rejections: Iterable[Rejection]) -> None:
        """Note what a committed transaction has handled, but for what its handler refused."""
        self.effects.update(event.record.topic for event in live)
        self.effects.subtract(rejection.record.topic for rejection in rejections)

    async def use(self, conn: Connection, burials: Sequence[Burial]) -> None:
        """Ask for room for new letters, in their transaction, which has to be rolled back where there is none.

        What took effect and is stated in a transaction that is rolled back is stated again by the next.

        Raises:
            LimitReached: some have no room.
        """
        asked = causes_of(burials)
        for topic in sorted({topic for topic, cause in asked if cause == "parked"}):
            if await conn.fetchval(SQL_SOME_PARKED, topic, PARKED_KEYS) < PARKED_KEYS:
                del asked[topic, "parked"]
        if not asked:
            return
        # always in one order: who waits for one row has none that another waits for
        pairs = sorted(asked)
        await conn.execute(SQL_ALLOWANCES_MAKE, *zip(*pairs, strict=True))
        limit, full = self.limit, dict[str, str]()
        for pair in pairs:
            fresh = self.effects[pair[0]] - self._stated[pair]
            numbers = asked[pair], fresh, limit.share, limit.letters_max, limit.within_s, STOOD_FOR_S
            if await conn.fetchval(SQL_ALLOWANCE_USE, *pair, *numbers) is None:
                full.setdefault(*pair)
        if full:
            raise LimitReached(full)

    def used(self, burials: Iterable[Burial]) -> None:
        """Note that a burial is committed, and with it what was stated."""
        for pair in causes_of(burials):
            self._stated[pair] = self.effects[pair[0]]


def stands_still(since: datetime, cause: str) -> str:
    """A topic's trouble, in words."""
    return f"{STANDS} since {since:%H:%M} UTC: too many records failed alike ({cause})"


def causes_of(burials: Iterable[Burial]) -> Counter[tuple[str, str]]:
    """How many of them count, by topic and reason: the code, of what a handler raised with the error's class."""
    found: Counter[tuple[str, str]] = Counter()
    for one in burials:
        if one.code not in OUR_FAULTS and one.record.topic.startswith(INBOUND):
            continue
        kind = f" {one.detail.split(':', 1)[0]}" if one.code in OUR_FAULTS else ""
        found[one.record.topic, f"{one.code}{kind}"[:CAUSE_LENGTH_MAX]] += 1
    return found


async def stood(conn: Connection, causes: Mapping[str, str]) -> None:
    """Note that a process has just found no room for these topics' letters."""
    await conn.execute(SQL_STOOD, list(causes), list(causes.values()), STOOD_FOR_S)


async def standing(conn: Connection) -> list[StandingTopic]:
    """The topics that some process of the service stands still on, by name; the first SHOWN_MAX."""
    return [StandingTopic(**dict(row)) for row in await conn.fetch(SQL_STANDING_LIST, STOOD_FOR_S, SHOWN_MAX)]


async def grant(conn: Connection, topic: str, cause: str | None, letters: int, *, by: str, reason: str) -> list[str]:
    """Let so many letters more be buried of a topic that stands still, within a day. Returns the reasons concerned."""
    rows = await conn.fetch(SQL_GRANT, topic, cause, letters, GRANT_HOURS, by, reason, STOOD_FOR_S)
    return [row["cause"] for row in rows]


async def begin_again(conn: Connection, topic: str, *, by: str, reason: str) -> list[str]:
    """Count a topic's letters from nothing, after the fault has gone. Returns the reasons concerned."""
    return [row["cause"] for row in await conn.fetch(SQL_BEGIN_AGAIN, topic, by, reason)]
