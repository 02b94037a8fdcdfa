"""Relays with the classic defects, to see the checker find them."""

import asyncio
import random
from collections.abc import Sequence

from shared.kit.postgres.db import Connection
from shared.kit.publishing.relay import SQL_DELETE, SQL_OLDEST, Relay
from shared.kit.publishing.sending import RelayError, Row, Sent

ROWS = 40
BYTES = 1_000_000


class DeletesFirst(Relay):
    """Deletes rows, then sends them: a kill in between, here in its third round, loses the round."""

    rounds = 0

    async def _lead(self, conn: Connection) -> None:
        while True:
            rows = await conn.fetch(SQL_OLDEST, 0, [], [], ROWS, BYTES)
            await conn.execute(SQL_DELETE, [row["id"] for row in rows])
            if rows:
                self.rounds += 1
                if self.rounds == 3:
                    raise RelayError("killed between delete and send")
                await self._send(rows)
            await asyncio.sleep(0.02)


class Unordered(Relay):
    """Sends every row by itself, whichever comes first."""

    async def _send(self, rows: Sequence[Row]) -> Sent:
        return await super()._send(random.Random(1).sample(list(rows), len(rows)))
