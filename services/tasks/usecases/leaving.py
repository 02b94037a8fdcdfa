"""A rider leaves: the service forgets them. Places that they had are given to others by the clock."""

from collections.abc import Sequence

from services.tasks.store import claims, teams
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Words, photos, contacts and memberships go; again changes nothing."""
    await claims.forget(conn, leavers)
    await teams.forget(conn, leavers)
