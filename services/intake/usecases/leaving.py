"""A rider who left: what intake still knows of them goes."""

from collections.abc import Sequence

from services.intake.store import photos, reports, waiting
from shared.kit.messaging.headers import pack
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Traces of content, photos with their places. That a report was accepted stays, under a bare id."""
    riders = [one.rider_id for one in leavers]
    await photos.erase(conn, riders)
    await reports.erase(conn, riders)
    await waiting.erase(conn, [one.number for one in leavers], pack(()))
