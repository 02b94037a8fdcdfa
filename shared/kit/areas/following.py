"""How a process keeps up with the map: events into the schema, and the schema into memory."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from shared.events.area_changed import AreaChanged
from shared.kit.areas import store
from shared.kit.areas.store import KeptArea
from shared.kit.areas.tree import NO_MAP, AreaTree, KnownArea
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool, is_transient, reading

log = structlog.get_logger(__name__)


class KnownAreas:
    """What one process knows of the city's areas; `tree` is exchanged whole."""

    def __init__(self, pool: Callable[[], Pool], poll_s: float) -> None:
        self.tree: AreaTree = NO_MAP
        self._pool = pool
        self._poll_s = poll_s
        self._revision = 0
        self._lock = asyncio.Lock()

    async def take(self, work: Work, events: Sequence[Event[AreaChanged]]) -> None:
        """Keep the newest state of each area; older states, late or replayed, change nothing."""
        newest: dict[str, Event[AreaChanged]] = {}
        for event in events:
            if event.key not in newest or newest[event.key].version < event.version:
                newest[event.key] = event
        await store.keep(work.conn, [_kept(event) for event in newest.values()])

    async def refresh(self) -> None:
        """Read what changed in the schema, whichever process wrote it. Raises what the database raises."""
        async with self._lock, reading(self._pool()) as conn:
            revision = await store.revision_of(conn)
            if revision == self._revision:
                return
            changed = await store.since(conn, self._revision if revision > self._revision else 0)
            before = self.tree.areas.values() if revision > self._revision else ()
            areas = {area.code: area for area in (*before, *(kept.area for kept in changed))}
            self.tree = await asyncio.to_thread(AreaTree.of, list(areas.values()))
            self._revision = revision
        log.info("areas_known", areas=len(self.tree.areas), changed=len(changed))

    async def follow(self) -> None:
        """Refresh for ever. While the database is away the old tree stays."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("areas_not_checked", error=type(error).__name__)


def _kept(event: Event[AreaChanged]) -> KeptArea:
    data = event.data
    return KeptArea(KnownArea(data.area_code, data.level, data.path, data.in_force, data.successors), event.version)
