"""A rider who left: the timeline keeps its steps, without numbers, exact places and words of theirs."""

from collections.abc import Sequence

from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver

# A function of the schema's owner: this service may not edit what happened, only take these things out.
SQL_ERASE_RIDERS = "SELECT erase_riders($1::uuid[])"


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Take out what is about riders; again changes nothing."""
    await conn.execute(SQL_ERASE_RIDERS, [one.rider_id for one in leavers])
