"""Which reports are under suspicion. Read behind the accounts' locks: what a decision let go is never left behind."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest

State = Literal["raised", "cleared", "confirmed"]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A report's suspicion as it was last heard of."""

    report_id: UUID
    state: State
    version: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What was decided of a case, and where it is."""

    case_id: UUID
    posted_up_to: int
    voided_up_to: int
    grid_code: str


SQL_KEEP_SUSPICIONS = Query(
    Suspicion,
    f"""
INSERT INTO suspicions AS s ({columns(Suspicion)})
SELECT DISTINCT ON (n.report_id) {columns(Suspicion, "n")} FROM {unnest(Suspicion)}
ORDER BY n.report_id, n.version DESC
ON CONFLICT (report_id) DO UPDATE SET state = excluded.state, version = excluded.version
WHERE s.version < excluded.version
RETURNING {columns(Suspicion, "s")}
""",
)
SQL_SUSPECTS = "SELECT report_id, state FROM suspicions WHERE report_id = ANY($1::uuid[]) AND state <> 'cleared'"
SQL_ENDED = Query(Ended, f"SELECT {columns(Ended)} FROM cases WHERE case_id = ANY($1::uuid[])")


async def keep(conn: Connection, heard: Sequence[Suspicion]) -> list[Suspicion]:
    """Take suspicions over; those that are news. Older ones change nothing."""
    return await many(conn, SQL_KEEP_SUSPICIONS, *arrays(Suspicion, heard))


async def suspects(conn: Connection, reports: Collection[UUID]) -> tuple[set[UUID], set[UUID]]:
    """Those of the reports whose points wait, and those whose points were found not to be their rider's."""
    rows = await conn.fetch(SQL_SUSPECTS, list(reports)) if reports else []
    return (
        {row["report_id"] for row in rows if row["state"] == "raised"},
        {row["report_id"] for row in rows if row["state"] == "confirmed"},
    )


async def ended(conn: Connection, case_ids: Collection[UUID]) -> dict[UUID, Ended]:
    """What was decided of these cases; not locked: their reports' accounts are."""
    return {one.case_id: one for one in await many(conn, SQL_ENDED, list(case_ids))}
