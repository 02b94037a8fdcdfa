"""Photos go through a few warm decoding processes: none can take the service's memory, its time or its secrets."""

import asyncio

import structlog

from services.intake import metrics
from services.intake.domain import ProcessedPhoto
from services.intake.settings import Settings
from services.intake.usecases.decoding.child import Child, DecoderUnavailable
from services.intake.usecases.turns import PhotoQueueFull, PhotosTooSlow, Turns
from shared.kit import clock
from shared.kit.refusals import Refusal

__all__ = ["DecoderUnavailable", "PhotoQueueFull", "PhotoWorkers", "PhotosTooSlow"]
log = structlog.get_logger(__name__)


class PhotoWorkers:
    """Decodes and shrinks photos in other processes; at most `queue_max` are in memory at once."""

    def __init__(self, workers: int, queue_max: int, *, memory_mb: int, seconds: int) -> None:
        self._workers = workers
        self._turns = Turns(workers, queue_max)
        self._memory_mb = memory_mb
        self._seconds = seconds
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @staticmethod
    def of(settings: Settings) -> "PhotoWorkers":
        """As many, and as narrow, as the settings say."""
        return PhotoWorkers(
            settings.photo_workers,
            settings.photo_queue_max,
            memory_mb=settings.photo_memory_mb,
            seconds=settings.photo_seconds,
        )

    async def start(self) -> None:
        """Have every process warm. Raises DecoderUnavailable."""
        while len(self._idle) < self._workers:
            self._idle.append(await Child.start(self._memory_mb, self._seconds))

    @property
    def pids(self) -> list[int]:
        """Of the processes that run now."""
        return [child.pid for child in (*self._idle, *self._busy) if child.alive]

    async def process(self, caller: str, content: bytes) -> ProcessedPhoto:
        """The photo remade. `caller`: the principal's key.

        Raises:
            Refusal: also when its process reached a limit; others' photos don't notice.
            PhotoQueueFull, PhotosTooSlow: at once.
            DecoderUnavailable: no process can be started.
        """
        started_s = clock.monotonic_s()
        try:
            async with self._turns.turn(caller):
                return await self._processed(caller, content)
        finally:
            metrics.PHOTO_DURATION.observe(clock.monotonic_s() - started_s)

    async def _processed(self, caller: str, content: bytes) -> ProcessedPhoto:
        child = await self._taken()
        self._busy.add(child)
        usable = False
        started_s = clock.monotonic_s()
        try:
            photo = await child.remade(content)
            usable = True
            return photo
        except Refusal:
            usable = child.alive
            raise
        finally:
            # a caller who has gone leaves a process in the middle of their photo
            self._turns.charge(caller, clock.monotonic_s() - started_s)
            self._busy.discard(child)
            if usable:
                self._idle.append(child)
            else:
                self._replace(child)

    async def _taken(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._replace(child)
        return await Child.start(self._memory_mb, self._seconds)

    def _replace(self, child: Child) -> None:
        """End a process beside the request that it was used for; the next photo starts another."""
        metrics.PHOTO_DECODERS_ENDED.inc()
        log.warning("photo_decoder_ended", pid=child.pid)
        task = asyncio.create_task(child.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """End all processes, also those in the middle of a photo: whoever waits has gone or is refused."""
        await asyncio.gather(*(child.kill() for child in (*self._idle, *self._busy)), *self._ending)
        self._idle.clear()
