"""Whose activity it is: who answers for its area."""

from collections.abc import Callable
from uuid import UUID

from services.activities.domain import Activity
from services.activities.store import activities as store
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found


async def covered(conn: Connection, activity_id: UUID, covers: Callable[[str], bool]) -> Activity:
    """An activity of an area that the caller answers for. Raises the 404 problem for any other."""
    found = await store.activity(conn, activity_id)
    if found is None or not covers(found.area_code):
        raise not_found("activity")
    return found
