"""Claims: what becomes of one rider's part in a task, each step a conditional update behind the task's lock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.tasks.domain import Claim, ClaimState
from shared.kit.auth.resealing import Sealed, uuid_after
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, columns, many, one
from shared.kit.privacy.erasure import Leaver


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim as it is made. `contact_sealed`: whom to call if something happens; only while the task runs."""

    id: UUID
    task_id: UUID
    rider_id: UUID
    company: str
    team_id: UUID | None
    no: int
    state: Literal["claimed", "waiting"]
    of_age: bool
    contact_sealed: str | None


_VALUES = ", ".join(f"${at}" for at in range(1, 10))
SQL_ADD = Query(
    Claim,
    f"""
INSERT INTO claims ({columns(NewClaim)}) VALUES ({_VALUES})
ON CONFLICT (task_id, rider_id) WHERE state <> 'handed_back' DO NOTHING RETURNING {columns(Claim)}
""",
)
SQL_CLAIM = Query(Claim, f"SELECT {columns(Claim)} FROM claims WHERE id = $1")
SQL_LOCK = Query(Claim, f"SELECT {columns(Claim)} FROM claims WHERE id = $1 FOR NO KEY UPDATE")
SQL_OF_RIDER = Query(Claim, f"SELECT {columns(Claim)} FROM claims WHERE rider_id = $1 AND id > $2 ORDER BY id LIMIT $3")
SQL_OF_TASK = Query(Claim, f"SELECT {columns(Claim)} FROM claims WHERE task_id = $1 AND no > $2 ORDER BY no LIMIT $3")
SQL_TO_REVIEW = Query(
    Claim,
    f"""
SELECT {columns(Claim, "c")} FROM claims c JOIN tasks t ON t.id = c.task_id
WHERE c.state = 'finished' AND (c.review_due_at, c.id) > ($1, $2) AND ($3::text[] IS NULL OR t.area_code = ANY($3))
  AND (NOT $4 OR c.review_due_at < now())
ORDER BY c.review_due_at, c.id LIMIT $5
""",
)
SQL_APPEALS = Query(
    Claim,
    f"""
SELECT {columns(Claim, "c")} FROM claims c JOIN tasks t ON t.id = c.task_id
WHERE c.appealed_at IS NOT NULL AND c.appeal_decided_at IS NULL AND (c.appealed_at, c.id) > ($1, $2)
  AND ($3::text[] IS NULL OR t.area_code = ANY($3))
ORDER BY c.appealed_at, c.id LIMIT $4
""",
)
SQL_IN_STATES = Query(
    Claim, f"SELECT {columns(Claim)} FROM claims WHERE task_id = $1 AND state = ANY($2::text[]) ORDER BY no"
)
# Of those who wait the first; the task is locked, so nobody else looks
SQL_PROMOTE = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = 'claimed', promoted = true
WHERE id = (SELECT id FROM claims WHERE task_id = $1 AND state = 'waiting' ORDER BY no LIMIT 1)
RETURNING {columns(Claim)}
""",
)
# What ends a claim takes the contact away
SQL_END = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = $2, ended_at = now(), contact_sealed = NULL
WHERE id = $1 AND state = ANY($3::text[]) RETURNING {columns(Claim)}
""",
)
SQL_END_ALL = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = $2, ended_at = now(), contact_sealed = NULL
WHERE task_id = $1 AND state = ANY($3::text[]) RETURNING {columns(Claim)}
""",
)
SQL_START = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = 'started', started_at = now()
WHERE id = $1 AND state = 'claimed' RETURNING {columns(Claim)}
""",
)
SQL_FINISH = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = 'finished', finished_at = now(), photo_id = $2, note = $3,
    review_due_at = now() + make_interval(days => $4), contact_sealed = NULL
WHERE id = $1 AND state = 'started' RETURNING {columns(Claim)}
""",
)
SQL_FINISH_ALL = """
UPDATE claims SET version = version + 1, state = 'finished', finished_at = now(), contact_sealed = NULL,
    review_due_at = now() + make_interval(days => $2)
WHERE task_id = $1 AND state = 'started' RETURNING id
"""
SQL_REVIEW = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = $2, reviewed_by = $3, reviewed_at = now(), decided_at = now(),
    reason = $4, ended_at = now()
WHERE id = $1 AND state = 'finished' RETURNING {columns(Claim)}
""",
)
SQL_OVERTURN = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = 'rejected', overturned_by = $2, decided_at = now(), reason = $3
WHERE id = $1 AND state = 'approved' AND reviewed_by <> $2 AND appealed_at IS NULL RETURNING {columns(Claim)}
""",
)
SQL_APPEAL = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, appeal = $2, appealed_at = now()
WHERE id = $1 AND state = 'rejected' AND appealed_at IS NULL AND decided_at > now() - make_interval(days => $3)
RETURNING {columns(Claim)}
""",
)
SQL_DECIDE = Query(
    Claim,
    f"""
UPDATE claims SET version = version + 1, state = $2, appeal_decided_by = $3, appeal_decided_at = now(),
    decided_at = now(), reason = $4
WHERE id = $1 AND state = 'rejected' AND appealed_at IS NOT NULL AND appeal_decided_at IS NULL
  AND reviewed_by <> $3 AND overturned_by IS DISTINCT FROM $3
RETURNING {columns(Claim)}
""",
)
SQL_MISSED = "SELECT ended_at FROM claims WHERE rider_id = $1 AND state = 'no_show' ORDER BY ended_at DESC LIMIT $2"
# Of riders who left, or may do nothing any more: their places are others'
SQL_GONE = """
SELECT c.id FROM claims c
WHERE c.state IN ('waiting', 'claimed') AND (
    EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = c.rider_id)
    OR EXISTS (SELECT FROM known_riders k WHERE k.rider_id = c.rider_id AND NOT k.active))
ORDER BY c.task_id, c.no LIMIT $1
"""
SQL_READ_CONTACT = """
UPDATE claims SET contact_read_by = $2 WHERE id = $1 AND contact_sealed IS NOT NULL RETURNING contact_sealed
"""
SQL_SEALED = """
SELECT id::text AS place, 'tasks' AS bound_to, id::text AS key_id, contact_sealed AS secret FROM claims
WHERE id > $1 AND contact_sealed IS NOT NULL ORDER BY id LIMIT $2
"""
SQL_RESEAL = """
UPDATE claims c SET contact_sealed = n.fresh FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (id, old, fresh)
WHERE c.id = n.id AND c.contact_sealed = n.old
"""
SQL_OVERDUE = "SELECT count(*) FROM claims WHERE state = 'finished' AND review_due_at < now()"
SQL_OLDEST_OVERDUE_AGE = """
SELECT extract(epoch FROM now() - min(review_due_at))::float8 FROM claims
WHERE state = 'finished' AND review_due_at < now()
"""
SQL_APPEALS_OPEN = "SELECT count(*) FROM claims WHERE appealed_at IS NOT NULL AND appeal_decided_at IS NULL"
SQL_OF_COMPANY = """
SELECT count(DISTINCT c.rider_id) AS riders, count(*) AS tasks, coalesce(sum(d.quantity), 0)::bigint AS points
FROM claims c JOIN deeds d ON d.claim_id = c.id AND d.withdrawn_at IS NULL
WHERE c.company = $1 AND c.state = 'approved' AND c.decided_at >= $2 AND c.decided_at < $3
"""
SQL_FORGET = """
UPDATE claims SET contact_sealed = NULL, note = '', photo_id = NULL, appeal = '', reason = ''
WHERE rider_id = ANY($1::uuid[])
"""


async def add(conn: Connection, new: NewClaim) -> Claim | None:
    """Enter one; None: the rider has one of this task."""
    return await one(conn, SQL_ADD, *(getattr(new, name) for name in NewClaim.__dataclass_fields__))


async def claim(conn: Connection, id_: UUID) -> Claim | None:
    """One claim."""
    return await one(conn, SQL_CLAIM, id_)


async def lock(conn: Connection, id_: UUID) -> Claim | None:
    """One claim behind its task's lock."""
    return await one(conn, SQL_LOCK, id_)


async def of_rider(conn: Connection, rider_id: UUID, after: UUID, limit: int) -> list[Claim]:
    """A rider's claims, the oldest first."""
    return await many(conn, SQL_OF_RIDER, rider_id, after, limit)


async def of_task(conn: Connection, task_id: UUID, after: int, limit: int) -> list[Claim]:
    """A task's claims in its line's order."""
    return await many(conn, SQL_OF_TASK, task_id, after, limit)


async def to_review(
    conn: Connection, areas: Sequence[str] | None, after: tuple[datetime, UUID], limit: int, *, overdue: bool
) -> list[Claim]:
    """Finished work that nobody has reviewed, what falls due first. `areas`: None for the whole city."""
    return await many(conn, SQL_TO_REVIEW, *after, areas, overdue, limit)


async def appeals(
    conn: Connection, areas: Sequence[str] | None, after: tuple[datetime, UUID], limit: int
) -> list[Claim]:
    """Appeals that nobody has decided on, the oldest first. `areas`: None for the whole city."""
    return await many(conn, SQL_APPEALS, *after, areas, limit)


async def in_states(conn: Connection, task_id: UUID, of: Collection[ClaimState]) -> list[Claim]:
    """A task's claims that are in one of these states: as many as it has places and a line."""
    return await many(conn, SQL_IN_STATES, task_id, list(of))


async def promote(conn: Connection, task_id: UUID) -> Claim | None:
    """Give a place to the first who waits; None: nobody does."""
    return await one(conn, SQL_PROMOTE, task_id)


async def end(conn: Connection, id_: UUID, state: ClaimState, of: Collection[ClaimState]) -> Claim | None:
    """End a claim that is in one of these states; None: it is in another one."""
    return await one(conn, SQL_END, id_, state, list(of))


async def end_all(conn: Connection, task_id: UUID, state: ClaimState, *of: ClaimState) -> list[Claim]:
    """End a task's claims that are in one of these states."""
    return await many(conn, SQL_END_ALL, task_id, state, list(of))


async def start(conn: Connection, id_: UUID) -> Claim | None:
    """The rider begins; None: they have no place, or have begun."""
    return await one(conn, SQL_START, id_)


async def finish(conn: Connection, id_: UUID, photo_id: UUID | None, note: str, review_days: int) -> Claim | None:
    """The rider is done; None: they haven't begun, or are done."""
    return await one(conn, SQL_FINISH, id_, photo_id, note, review_days)


async def finish_all(conn: Connection, task_id: UUID, review_days: int) -> int:
    """Hand work in for review that was begun and never said to be done; how many."""
    return len(await conn.fetch(SQL_FINISH_ALL, task_id, review_days))


async def review(conn: Connection, id_: UUID, state: ClaimState, by: str, reason: str) -> Claim | None:
    """Approve or reject finished work; None: it isn't finished, or reviewed."""
    return await one(conn, SQL_REVIEW, id_, state, by, reason)


async def overturn(conn: Connection, id_: UUID, by: str, reason: str) -> Claim | None:
    """Reject approved work after all; None: it isn't approved, was appealed, or is the same person's review."""
    return await one(conn, SQL_OVERTURN, id_, by, reason)


async def appeal(conn: Connection, id_: UUID, words: str, days: int) -> Claim | None:
    """Appeal once against a rejection of the last days; None: there is none."""
    return await one(conn, SQL_APPEAL, id_, words, days)


async def decide(conn: Connection, id_: UUID, state: ClaimState, by: str, reason: str) -> Claim | None:
    """Decide on an open appeal; None: there is none, or the person has judged this work."""
    return await one(conn, SQL_DECIDE, id_, state, by, reason)


async def missed(conn: Connection, rider_id: UUID, limit: int) -> list[datetime]:
    """When a rider missed tasks, the newest first."""
    return [row["ended_at"] for row in await conn.fetch(SQL_MISSED, rider_id, limit)]


async def of_gone(conn: Connection, limit: int) -> list[UUID]:
    """Claims with a place or in a line, whose riders have left or may do nothing."""
    return [row["id"] for row in await conn.fetch(SQL_GONE, limit)]


async def read_contact(conn: Connection, id_: UUID, by: str) -> str | None:
    """The sealed contact, and that somebody read it; None: there is none any more."""
    found: str | None = await conn.fetchval(SQL_READ_CONTACT, id_, by)
    return found


async def sealed_page(conn: Connection, place: str, limit: int) -> list[Sealed]:
    """Sealed contacts by claim, behind a place."""
    return [Sealed(**row) for row in await conn.fetch(SQL_SEALED, uuid_after(place), limit)]


async def reseal(conn: Connection, renewed: Sequence[tuple[UUID, str, str]]) -> None:
    """Contacts under another key: (claim, as it was, as it is), where it was not changed or deleted meanwhile."""
    await conn.execute(SQL_RESEAL, *([one[at] for one in renewed] for at in range(3)))


async def overdue(conn: Connection) -> int:
    """How many reviews are overdue."""
    found: int = await conn.fetchval(SQL_OVERDUE)
    return found


async def oldest_overdue_s(conn: Connection) -> float:
    """Seconds since the longest overdue review fell due, 0 where none is."""
    return await age_s(conn, SQL_OLDEST_OVERDUE_AGE)


async def appeals_open(conn: Connection) -> int:
    """How many appeals wait for a decision."""
    found: int = await conn.fetchval(SQL_APPEALS_OPEN)
    return found


async def of_company(conn: Connection, company: str, since: datetime, until: datetime) -> tuple[int, int, int]:
    """(riders, tasks, points) of a company's riders whose work was approved in [since, until)."""
    row = await conn.fetchrow(SQL_OF_COMPANY, company, since, until)
    assert row is not None, "an aggregate has a row"
    return row["riders"], row["tasks"], row["points"]


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Riders leave: what they said and showed goes; that somebody had a place stays, and leads to nobody.

    Places that they have are given to others by the clock.
    """
    await conn.execute(SQL_FORGET, [one.rider_id for one in leavers])
