"""What a person must see: reviews that are overdue, appeals that wait."""

from services.tasks import metrics
from services.tasks.store import claims
from shared.kit.postgres.db import Connection


async def measure(conn: Connection) -> None:
    """Set the gauges."""
    metrics.OVERDUE.set(await claims.overdue(conn))
    metrics.OLDEST_OVERDUE.set(await claims.oldest_overdue_s(conn))
    metrics.APPEALS.set(await claims.appeals_open(conn))
