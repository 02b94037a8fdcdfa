"""What operators give and take by hand: proposed by one, decided by another."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest

Reason = Literal["goodwill", "wrongly_refused", "wrongly_paid", "cheating", "technical_fault", "other"]
Decision = Literal["approved", "refused", "withdrawn"]
State = Literal["proposed", "approved", "refused", "withdrawn"]
TWO = frozenset({"adjustments_by_two", "adjustments_withdrawn_by_whoever_proposed", "adjustments_not_for_oneself"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody wants to be given to a rider (`amount` > 0) or taken (< 0), in whole points.

    `key` is the proposer's own, `input_hash` of what they asked for under it.
    """

    id: UUID
    rider_id: UUID
    amount: int
    reason: Reason
    words: str
    proposed_by: str
    proposed_name: str
    proposed_at: datetime
    key: str
    input_hash: bytes


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A proposal and what became of it."""

    id: UUID
    rider_id: UUID
    amount: int
    reason: Reason
    words: str
    state: State
    proposed_by: str
    proposed_name: str
    proposed_at: datetime
    decided_by: str | None
    decided_name: str | None
    decided_words: str | None
    decided_at: datetime | None


class NotTwo(Exception):
    """Who proposed decides, or somebody else withdraws. The transaction is lost."""


SQL_PROPOSE = f"""
INSERT INTO adjustments ({columns(Proposal)}) SELECT {columns(Proposal)} FROM {unnest(Proposal)}
ON CONFLICT ON CONSTRAINT adjustments_key_once DO NOTHING RETURNING id
"""
SQL_OF_KEY = "SELECT id, input_hash FROM adjustments WHERE proposed_by = $1 AND key = $2"
SQL_DECIDE = Query(
    Adjustment,
    f"""
UPDATE adjustments SET state = $2, decided_by = $3, decided_name = $4, decided_words = $5, decided_at = $6
WHERE id = $1 AND state = 'proposed' RETURNING {columns(Adjustment)}
""",
)
SQL_ADJUSTMENT = Query(Adjustment, f"SELECT {columns(Adjustment)} FROM adjustments WHERE id = $1")
SQL_ADJUSTMENTS = Query(
    Adjustment,
    f"""
SELECT {columns(Adjustment)} FROM adjustments
WHERE id < $1 AND ($2::uuid IS NULL OR rider_id = $2) AND ($3::text IS NULL OR state = $3)
ORDER BY id DESC LIMIT $4
""",
)


async def propose(conn: Connection, proposal: Proposal) -> tuple[UUID, bytes]:
    """Keep it, unless its proposer has used the key; id and input's hash of what is kept under the key."""
    if await conn.fetchval(SQL_PROPOSE, *arrays(Proposal, [proposal])) is not None:
        return proposal.id, proposal.input_hash
    row = await conn.fetchrow(SQL_OF_KEY, proposal.proposed_by, proposal.key)
    assert row is not None, "it was in the way"
    return row["id"], row["input_hash"]


async def decide(
    conn: Connection, id_: UUID, decision: Decision, by: tuple[str, str], words: str, now: datetime
) -> Adjustment | None:
    """Decide what is still proposed; None where there is no such proposal any more. `by`: id and name.

    Raises:
        NotTwo: the constraint refuses the person.
    """
    try:
        return await one(conn, SQL_DECIDE, id_, decision, *by, words, now)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name in TWO:
            raise NotTwo from error
        raise


async def adjustment(conn: Connection, id_: UUID) -> Adjustment | None:
    """One of them."""
    return await one(conn, SQL_ADJUSTMENT, id_)


async def adjustments(
    conn: Connection, before: UUID, rider_id: UUID | None, state: State | None, limit: int
) -> list[Adjustment]:
    """Those before an id, newest first; of one rider or in one state where that is asked for."""
    return await many(conn, SQL_ADJUSTMENTS, before, rider_id, state, limit)
