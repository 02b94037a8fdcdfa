"""A rider who left, in a service that keeps what happened for good: words, numbers and exact places are taken out."""

from collections.abc import Sequence

from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver

# A function of the schema's owner: the service may not edit what happened, only take these things out.
SQL_ERASE_RIDERS = "SELECT erase_riders($1::uuid[])"


async def erase_riders(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Take out what is about riders, by the function `erase_riders` of the service's migrations; again changes nothing.

    For `service.erases`.
    """
    await conn.execute(SQL_ERASE_RIDERS, [one.rider_id for one in leavers])
