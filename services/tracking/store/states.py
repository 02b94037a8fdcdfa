"""Cases as the public topic has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.tracking.domain import CaseState
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import columns, row_to


@dataclass(frozen=True, slots=True)
class OnTopic:
    """A case, the step that led to its state, and whether it has left the topic."""

    case: CaseState
    transition: str
    leaves: bool


# Every row, whether it has left or not: a page reads no more than so many. Locked as by a step and by a tombstone, and
# read by a statement of its own: the first one has waited, and sees the steps of before.
SQL_CASES_LOCK = "SELECT case_id FROM cases WHERE case_id > $1 ORDER BY case_id LIMIT $2 FOR NO KEY UPDATE"
SQL_CASES_READ = f"""
SELECT {columns(CaseState, "c")}, s.step AS transition,
       c.state IN ('closed', 'invalid') AND e.case_id IS NULL AS leaves
FROM cases c JOIN case_steps s ON s.case_id = c.case_id AND s.version = c.version
LEFT JOIN ended_cases e ON e.case_id = c.case_id AND e.version = c.version
WHERE c.case_id = ANY($1::uuid[]) ORDER BY c.case_id
"""
SQL_CASES_COUNT = """
SELECT count(*) FILTER (WHERE NOT leaves) AS states, count(*) FILTER (WHERE leaves) AS tombstones FROM (
    SELECT c.state IN ('closed', 'invalid') AND e.case_id IS NULL AS leaves
    FROM cases c LEFT JOIN ended_cases e ON e.case_id = c.case_id AND e.version = c.version
) all_of_them
"""
_case = row_to(CaseState)


async def lock_cases_after(conn: Connection, after: UUID, most: int) -> Sequence[OnTopic]:
    """The next cases after an id, locked until the transaction ends."""
    locked = [row["case_id"] for row in await conn.fetch(SQL_CASES_LOCK, after, most)]
    rows = await conn.fetch(SQL_CASES_READ, locked) if locked else []
    return [OnTopic(_case(row), row["transition"], row["leaves"]) for row in rows]


async def count_cases(conn: Connection) -> tuple[int, int]:
    """(cases on the topic, cases that have left it)."""
    row = await conn.fetchrow(SQL_CASES_COUNT)
    assert row is not None, "a count has a row"
    return row["states"], row["tombstones"]
