"""A signed request is accepted once. Kept in Postgres: a flushed Redis must not let an old request in again."""

import asyncio
from collections.abc import Callable

import structlog

from shared.kit.batcher import Batcher
from shared.kit.db import Pool
from shared.kit.http.problems import conflict

KEPT_HOURS = 1  # signatures are refused after minutes; the rest is a margin for clocks
_PURGE_EVERY_S = 60.0
_PURGE_ROWS = 5_000
_log = structlog.get_logger(__name__)

# Times are the database's: a replica with a wrong clock would otherwise purge what another has just seen
SQL_REMEMBER_REQUESTS = """
INSERT INTO request_ids (company, request_id, seen_at)
SELECT company, request_id, now() FROM unnest($1::text[], $2::text[]) AS seen (company, request_id)
ON CONFLICT DO NOTHING
RETURNING company, request_id
"""

SQL_PURGE_REQUESTS = """
DELETE FROM request_ids WHERE (company, request_id) IN (
    SELECT company, request_id FROM request_ids WHERE seen_at < now() - make_interval(hours => $1) LIMIT $2
    FOR UPDATE SKIP LOCKED
)
"""


class ReplayGuard:
    """Remembers the ids of companies' requests, many in one commit. `pool` is asked at use: it opens later."""

    def __init__(self, pool: Callable[[], Pool], *, size_max: int = 500) -> None:
        self._pool = pool
        self._batcher: Batcher[tuple[str, str], bool] = Batcher(self._remember, name="replay guard", size_max=size_max)

    async def start(self) -> None:
        """Starts taking requests."""
        await self._batcher.start()

    async def stop(self) -> None:
        """Finishes what waits."""
        await self._batcher.stop()

    def alive(self) -> bool:
        """A liveness check."""
        return self._batcher.alive()

    async def accept(self, company: str, request_id: str) -> None:
        """Remembers the request, durably, before it is worked on.

        Raises the 409 problem `replayed_request` when it was seen before, ServiceBusy when it can't be known: then
        the request is refused, since an attacker could otherwise replay during an outage.
        """
        if not await self._batcher.submit((company, request_id)):
            raise conflict("replayed_request", "请求已处理过 / Replayed request", "this webhook-id was used before")

    async def purge(self) -> int:
        """Forgets requests older than KEPT_HOURS, in batches. Returns how many."""
        gone = 0
        while True:
            status = await self._pool().execute(SQL_PURGE_REQUESTS, KEPT_HOURS, _PURGE_ROWS)
            rows = int(status.rsplit(" ", 1)[1])
            gone += rows
            if rows < _PURGE_ROWS:
                return gone

    async def purge_forever(self) -> None:
        """Purges every minute; for a background task."""
        while True:
            await asyncio.sleep(_PURGE_EVERY_S)
            gone = await self.purge()
            _log.debug("request ids purged", rows=gone)

    async def _remember(self, requests: list[tuple[str, str]]) -> list[bool | Exception]:
        # sorted: two replicas that insert the same ids in different orders would wait for each other in a circle
        ordered = sorted(set(requests))
        rows = await self._pool().fetch(SQL_REMEMBER_REQUESTS, [c for c, _ in ordered], [r for _, r in ordered])
        new = {(row["company"], row["request_id"]) for row in rows}
        results: list[bool | Exception] = []
        for request in requests:
            # the same id twice in one batch: the first of them is the new one
            results.append(request in new)
            new.discard(request)
        return results
