"""More clients than connections: nobody holds one while waiting for another, and locks are taken in one order."""

import asyncio
import random

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres.db import prepare_connection
from tests.services.points.ledger import MANHOLE, NOON, Case, Ledger, redemption

CLIENTS, CONNECTIONS, ROUNDS = 32, 4, 6


@pytest.mark.timeout(120)
async def test_32_clients_on_4_connections_never_stand_still(ledger: Ledger, installation: Installation) -> None:
    dice = random.Random(13)
    riders = [new_id() for _ in range(6)]
    pool = await asyncpg.create_pool(
        installation.dsn("points"), min_size=CONNECTIONS, max_size=CONNECTIONS, init=prepare_connection
    )
    few = Ledger(pool)
    for rider in riders:
        await few.adjust(rider, 1_000)

    async def client(_: int) -> None:
        for _ in range(ROUNDS):
            some = dice.sample(riders, 4)
            wishes = [(new_id(), rider, 1 + dice.randrange(5)) for rider in some]
            case = Case(MANHOLE, NOON)
            await few.deliver(*(redemption(*wish, "requested") for wish in wishes), *map(case.report, some))
            ends = [redemption(*wish, dice.choice(("used", "cancelled"))) for wish in reversed(wishes)]
            await few.deliver(*ends, dice.choice((case.closed, case.invalid))())
            await few.adjust(dice.choice(riders), dice.choice((3, -3)))

    try:
        async with asyncio.timeout(90):
            await asyncio.gather(*map(client, range(CLIENTS)))
    finally:
        await pool.close()
    figures = await ledger.tallies()
    assert (figures["holds_open"], figures["reserved"]) == (0, 0)
    for rider in riders:
        assert await ledger.movements(rider)
