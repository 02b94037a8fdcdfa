"""Photos: kept once per owner and content, gone after a day if no report uses them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from services.intake import metrics
from services.intake.domain import PhotoRecord
from services.intake.store import photos as store
from services.intake.store.objects import PhotoObjects, StoreUnavailable
from services.intake.usecases.imaging import PhotoWorkers
from shared.events.case_changed import CaseChanged
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection, Pool, begun, reading
from shared.kit.privacy.erasure import Leaver
from shared.kit.refusals import Refusal

PURGE_EVERY_S = 600.0
PURGE_ROWS = 200
DELETES_AT_ONCE = 8
REFUSED_EVERY_S = 60.0
log = structlog.get_logger(__name__)


class Photos:
    """What photos need: database, object store, workers."""

    def __init__(
        self, pool: Callable[[], Pool], objects: PhotoObjects, workers: PhotoWorkers, unused_hours: int
    ) -> None:
        self._pool = pool
        self.objects = objects
        self.workers = workers
        self._unused = timedelta(hours=unused_hours)

    async def keep(self, owner: str, content: bytes) -> tuple[PhotoRecord, bool]:
        """Make the photo again from its pixels and keep it; returns its row and whether it is new.

        No transaction is open while the object store works. The row comes first: a crash in between leaves a row that
        the purge finds, never an object without one.

        Raises:
            Refusal, PhotoQueueFull, PhotosTooSlow, DecoderUnavailable, StoreUnavailable.
        """
        try:
            photo = await self.workers.process(owner, content)
        except Refusal as refused:
            metrics.PHOTOS.labels(outcome=refused.code).inc()
            raise
        async with begun(self._pool()) as conn:
            record = await store.claim(conn, new_id(), owner, photo)
        if record.stored:
            metrics.PHOTOS.labels(outcome="repeated").inc()
            return record, False
        await self.objects.put(record.photo_id, photo.jpeg, photo.thumbnail)
        async with begun(self._pool()) as conn:
            kept = await store.mark_stored(conn, record.photo_id)
        if not kept:
            # the purge may have looked before the objects were there
            await self.objects.delete(record.photo_id)
            raise StoreUnavailable("purged meanwhile")
        metrics.PHOTOS.labels(outcome="stored").inc()
        return record, True

    async def purge_erased(self, leavers: Sequence[Leaver]) -> set[UUID]:
        """Take photos of riders who left out of the object store; returns the riders who still have some there."""
        riders = [one.rider_id for one in leavers]
        gone = 1
        while gone:
            async with begun(self._pool()) as conn:
                going = await store.purging_of(conn, riders, PURGE_ROWS)
            gone = await self._delete(going)
        async with reading(self._pool()) as conn:
            return await store.leavers_with_photos(conn, riders)

    async def purge(self) -> int:
        """Remove uploads that no report used in time, at most PURGE_ROWS; how many went.

        Safe beside another process's round.
        """
        async with begun(self._pool()) as conn:
            await store.mark_orphans(conn, self._unused, PURGE_ROWS)
            going = await store.purging(conn, PURGE_ROWS)
        return await self._delete(going)

    async def _delete(self, going: Sequence[UUID]) -> int:
        """Delete photos' objects, then their rows; returns how many went. Those that can't be deleted wait."""
        at_once = asyncio.Semaphore(DELETES_AT_ONCE)

        async def deleted(photo_id: UUID) -> bool:
            async with at_once:
                try:
                    await self.objects.delete(photo_id)
                except StoreUnavailable as error:
                    log.warning("photo_purge_waits", photo_id=str(photo_id), error=str(error))
                    return False
            return True

        outcomes = await asyncio.gather(*(deleted(photo_id) for photo_id in going))
        gone = [photo_id for photo_id, went in zip(going, outcomes, strict=True) if went]
        kept = [photo_id for photo_id, went in zip(going, outcomes, strict=True) if not went]
        if going:
            async with begun(self._pool()) as conn:
                await store.delete_purged(conn, gone)
                await store.purge_later(conn, kept)
            metrics.PHOTOS_PURGED.inc(len(gone))
        return len(gone)


async def measure_refused(conn: Connection) -> None:
    """Show how many photos the object store refuses to delete."""
    metrics.PHOTOS_REFUSED.set(await store.refused(conn))


async def follow_cases(work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Know where the cases of photographed reports are: whose people may see the photos. Two statements a batch."""
    entries = []
    newest: dict[UUID, Event[CaseChanged]] = {}
    for event in events:
        data = event.data
        if data.report is not None:
            entries.append((data.report.report_id, data.case_id))
        if data.case_id not in newest or newest[data.case_id].version < event.version:
            newest[data.case_id] = event
    await store.enter_cases(work.conn, entries)
    moved = [
        (case_id, event.version, (event.data.grid_code, *event.data.alternatives)) for case_id, event in newest.items()
    ]
    await store.follow_cases(work.conn, moved)


async def find(conn: Connection, photo_id: UUID) -> PhotoRecord | None:
    """A photo that is in the object store."""
    record = await store.photo(conn, photo_id)
    return record if record is not None and record.stored else None
