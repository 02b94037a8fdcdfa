"""One of several processes that spend out of the same budgets; it imports little, since each begins by itself."""

import asyncio

import asyncpg

from services.points.store import budgets as store
from services.points.store.budgets import Wanted
from shared.kit.ids import new_id
from shared.kit.postgres.db import prepare_connection

EACH = 40


def spend(dsn: str, ids: list[int], seed: int) -> int:
    """One process: charges its batches over two budgets in its own order, gives some back; what it was paid."""

    async def work() -> int:
        conn = await asyncpg.connect(dsn)
        await prepare_connection(conn)
        kept = 0
        for turn in range(EACH):
            order = ids if (turn + seed) % 2 else ids[::-1]
            wanted = [Wanted(id_, new_id(), 1 + (turn + n) % 7) for n in range(3) for id_ in order]
            async with conn.transaction():
                await store.lock(conn, ids)
                paid = await store.charge(conn, wanted)
            amounts = {one.hold_id: one for one in wanted}
            kept += sum(amounts[one].amount for one in paid)
            unpaid = [one for one in wanted if one.hold_id not in paid]
            if turn % 3 == 0 and paid:
                back = amounts[min(paid, key=str)]
                kept -= back.amount
                await store.give_back(conn, {back.budget_id: (back.amount, 0)})
            for one in unpaid:  # else the first that waits would end the race
                await store.give_back(conn, {one.budget_id: (0, one.amount)})
        await conn.close()
        return kept

    return asyncio.run(work())
