"""All tasks' figures against all claims and deeds: one statement, so one moment."""

from dataclasses import dataclass

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, one


@dataclass(frozen=True, slots=True)
class Figures:
    """`said`: as the tasks' own figures add up; `rows`: counted row by row."""

    claims_said: int
    places: int
    waiting: int
    handed_back: int
    no_shows: int
    called_off: int
    approved_said: int
    claims_rows: int
    approved_rows: int
    deeds_rows: int

    @property
    def balanced(self) -> bool:
        """Whether every claim is somewhere, and each approved one has its deed."""
        placed = self.places + self.waiting + self.handed_back + self.no_shows + self.called_off
        return self.claims_rows == self.claims_said == placed and (
            self.deeds_rows == self.approved_rows == self.approved_said
        )


SQL_FIGURES = Query(
    Figures,
    """
SELECT said.*, (SELECT count(*) FROM claims) AS claims_rows,
       (SELECT count(*) FROM claims WHERE state = 'approved') AS approved_rows,
       (SELECT count(*) FROM deeds WHERE withdrawn_at IS NULL) AS deeds_rows
FROM (SELECT coalesce(sum(claims), 0)::bigint AS claims_said, coalesce(sum(taken), 0)::bigint AS places,
             coalesce(sum(waiting), 0)::bigint AS waiting, coalesce(sum(handed_back), 0)::bigint AS handed_back,
             coalesce(sum(no_shows), 0)::bigint AS no_shows, coalesce(sum(called_off), 0)::bigint AS called_off,
             coalesce(sum(approved), 0)::bigint AS approved_said
      FROM tasks) AS said
""",
)


async def figures(conn: Connection) -> Figures:
    """As they are now."""
    found = await one(conn, SQL_FIGURES)
    assert found is not None, "an aggregate has a row"
    return found
