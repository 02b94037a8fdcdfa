"""A rider who left: what intake still knows of them goes."""

from collections.abc import Sequence

from services.intake.store import photos, reports
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Traces of content, photos with their places. That a report was accepted stays, under a bare id."""
    riders = [one.rider_id for one in leavers]
    await photos.erase(conn, riders)
    await reports.erase(conn, riders)
