"""What was judged in a time: read in slices, so that no statement takes long."""

from datetime import datetime

from services.points.earning.dry_run import Past
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many

# What a verdict has made void is no matter of rules, and neither is what was taken back.
SQL_PAST = Query(
    Past,
    f"""
SELECT {columns(Past)} FROM (
    SELECT h.id, h.rider_id, h.source, h.kind, CASE WHEN h.state = 'refused' THEN 0 ELSE h.amount END AS paid,
           coalesce(h.reason = 'already_reported', false) AS repeated,
           coalesce(h.happened_at, h.made_at) AS happened_at,
           coalesce(c.grid_code, d.area_code, '') AS place, coalesce(h.ordinal, 1) AS ordinal,
           coalesce(d.quantity, 1) AS quantity, coalesce(d.role, '') AS role, coalesce(d.outcome, '') AS outcome,
           h.made_at
    FROM holds h LEFT JOIN cases c ON c.case_id = h.case_id LEFT JOIN deeds d ON d.deed_id = h.id
    WHERE h.made_at >= $1 AND h.made_at < $2 AND h.source IN ('report', 'deed')
      AND h.state IN ('held', 'posted', 'refused') AND h.reason IS DISTINCT FROM 'deed_too_old'
      AND h.reason IS DISTINCT FROM 'deed_too_early'
      AND coalesce(h.ordinal > c.voided_up_to, true)
) AS past ORDER BY made_at, id
""",
)


async def past(conn: Connection, since: datetime, until: datetime) -> list[Past]:
    """Everything that was judged from one instant until before another, in the order in which it was heard."""
    return await many(conn, SQL_PAST, since, until)
