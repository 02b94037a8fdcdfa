"""One of several processes that sign riders up for the same activity; it imports little: each begins by itself."""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg

from services.activities.domain import Signup
from services.activities.usecases import signing_up
from services.activities.usecases.signing_up import Wish
from shared.kit.messaging.work import begin, insert_outbox
from shared.kit.postgres.db import prepare_connection

BATCH = 9
CANCELS_EVERY = 20


def run(dsn: str, activity_id: UUID, riders: list[UUID], *, cancels: bool) -> Counter[str]:
    """Sign up riders in batches, each a transaction with its events, as the service does; every twentieth cancels.

    Returns how many it saw in which state, and how many have cancelled.
    """

    async def work() -> Counter[str]:
        conn = await asyncpg.connect(dsn)
        await prepare_connection(conn)
        seen = Counter[str]()
        for start in range(0, len(riders), BATCH):
            part = riders[start : start + BATCH]
            async with conn.transaction():
                unit = await begin(conn)
                made = await signing_up.sign_up(20_000, unit, [Wish(rider, activity_id) for rider in part])
                await insert_outbox(conn, unit.rows)
            seen.update(one.state if isinstance(one, Signup) else one.code for one in made)
            for at, rider in enumerate(part, start):
                if cancels and at % CANCELS_EVERY == 0:
                    async with conn.transaction():
                        unit = await begin(conn)
                        await signing_up.cancel(unit, activity_id, rider)
                        await insert_outbox(conn, unit.rows)
                    seen["cancelled"] += 1
        await conn.close()
        return seen

    return asyncio.run(work())
