"""One of several processes whose riders claim places of one task and hand some back; it imports little."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import asyncpg

from services.tasks.domain import Claim
from services.tasks.settings import Settings
from services.tasks.usecases import claiming
from services.tasks.usecases.claiming import Counter, Wish
from shared.kit.areas import NO_MAP
from shared.kit.auth import Sealer
from shared.kit.messaging.work import begin, insert_outbox
from shared.kit.postgres.db import prepare_connection
from shared.kit.refusals import Refusal

CONNECTIONS = 3


@dataclass(frozen=True)
class Heat:
    """What one process does: its riders claim, every third one twice, and after every fifth somebody hands back."""

    dsn: str
    settings: dict[str, object]
    task_id: UUID
    riders: tuple[UUID, ...]
    seed: int


def race(heat: Heat) -> dict[str, int]:
    """Runs a heat; how often what came of it."""
    return asyncio.run(_race(heat))


async def _race(heat: Heat) -> dict[str, int]:
    settings = Settings.model_validate(heat.settings)
    counter = Counter(settings, Sealer(settings.sealing_key.get_secret_value()))
    came: dict[str, int] = {}
    dice = random.Random(heat.seed)
    turns = [*heat.riders, *heat.riders[::3]]
    dice.shuffle(turns)

    async def part(mine: list[UUID]) -> None:
        conn = await asyncpg.connect(heat.dsn)
        await prepare_connection(conn)
        held: list[Claim] = []
        for turn, rider in enumerate(mine):
            wish = Wish(heat.task_id, rider, of_age=True)
            made = await _one(conn, partial(claiming.claim, counter, NO_MAP), wish)
            held += [made] if isinstance(made, Claim) else []
            what = made.state if isinstance(made, Claim) else made
            came[what] = came.get(what, 0) + 1
            if turn % 5 == 4 and held:  # the oldest one, which may have a place, in turn with the newest, which waits
                back = held.pop(0 if turn % 2 else -1)
                await _one(conn, claiming.hand_back, back.id, back.rider_id)
                came["handed_back"] = came.get("handed_back", 0) + 1
        await conn.close()

    await asyncio.gather(*(part(turns[n::CONNECTIONS]) for n in range(CONNECTIONS)))
    return came


async def _one(conn: asyncpg.Connection, use_case: Callable[..., Awaitable[Claim]], *asked: object) -> Claim | str:
    """One transaction: the claim, or why there is none."""
    try:
        async with conn.transaction():
            work = await begin(conn)
            made = await use_case(work, *asked)
            await insert_outbox(conn, work.rows)
    except Refusal as refusal:
        return refusal.code
    return made
