"""Group commit: requests that arrive while one transaction commits share the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from shared.kit.postgres.db import is_transient
from shared.kit.problems import ServiceBusy

Req = TypeVar("Req")
Res = TypeVar("Res")
Flush = Callable[[list[Req]], Awaitable[list[Res | Exception]]]

_log = structlog.get_logger(__name__)


class Batcher(Generic[Req, Res]):
    """One worker hands up to `size_max` waiting requests to `flush`, which must be atomic (one transaction).

    It never waits for a batch to fill. `flush` returns one result or exception per request, in order. When it raises,
    each request of a batch is tried alone once, so that one bad request fails alone; after an outage all fail at once.
    """

    def __init__(
        self, flush: Flush[Req, Res], *, name: str, size_max: int = 200, queue_max: int = 2_000, timeout_s: float = 4.0
    ) -> None:
        self._flush = flush
        self._name = name
        self._size_max = size_max
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[tuple[Req, asyncio.Future[Res]] | None] = asyncio.Queue()
        self._queue_max = queue_max
        self._worker: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Starts the worker. Idempotent."""
        if self._worker is None:
            self._stopping = False
            self._worker = asyncio.create_task(self._work(), name=f"batcher:{self._name}")

    async def stop(self) -> None:
        """Takes nothing new on, finishes what waits, ends the worker. Idempotent."""
        self._stopping = True
        worker, self._worker = self._worker, None
        if worker is not None:
            self._queue.put_nowait(None)
            await worker

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def alive(self) -> bool:
        """Whether the worker runs: a liveness check."""
        return self._worker is not None and not self._worker.done()

    async def submit(self, request: Req) -> Res:
        """The result of this request. Raises what `flush` returned or raised for it, ServiceBusy when not taken on.

        A caller that is cancelled while its batch is being flushed doesn't know whether it took effect.
        """
        if self._stopping or not self.alive():
            raise ServiceBusy(f"{self._name} is not running")
        if self._queue.qsize() >= self._queue_max:
            raise ServiceBusy(f"{self._name} has {self._queue_max} requests waiting", retry_after_s=1)
        answer: asyncio.Future[Res] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((request, answer))
        return await answer

    async def _work(self) -> None:
        while (first := await self._queue.get()) is not None:
            batch, last = [first], False
            while len(batch) < self._size_max and not self._queue.empty():
                item = self._queue.get_nowait()
                if item is None:
                    last = True
                    break
                batch.append(item)
            # whoever gave up (time limit, closed connection) while waiting is not worked for
            await self._settle([(request, answer) for request, answer in batch if not answer.done()])
            if last:
                return

    async def _settle(self, batch: list[tuple[Req, asyncio.Future[Res]]]) -> None:
        if not batch:
            return
        try:
            results = await self._flush_in_time([request for request, _ in batch])
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the waiting callers; the worker must live
            if _is_outage(exc):
                _fail(batch, _busy(exc))
            elif len(batch) == 1:
                _fail(batch, exc)
            else:
                _log.warning("batch failed, trying each alone", batcher=self._name, size=len(batch), exc_info=exc)
                await self._settle_singly(batch)
        else:
            _answer(batch, results)

    async def _settle_singly(self, batch: list[tuple[Req, asyncio.Future[Res]]]) -> None:
        for at, (request, answer) in enumerate(batch):
            if answer.done():
                continue
            try:
                results = await self._flush_in_time([request])
            except Exception as exc:  # noqa: BLE001 - as above
                if _is_outage(exc):
                    _fail(batch[at:], _busy(exc))
                    return
                results = [exc]
            _answer([(request, answer)], results)

    async def _flush_in_time(self, requests: list[Req]) -> list[Res | Exception]:
        async with asyncio.timeout(self._timeout_s):
            results = await self._flush(requests)
        if len(results) != len(requests):
            raise RuntimeError(f"{self._name}: {len(results)} results for {len(requests)} requests")
        return results


def _is_outage(exc: Exception) -> bool:
    # everybody's trouble, not one request's: trying each request alone would only multiply the wait
    return isinstance(exc, ServiceBusy) or is_transient(exc)


def _busy(exc: Exception) -> ServiceBusy:
    if isinstance(exc, ServiceBusy):
        return exc
    busy = ServiceBusy("the database did not answer")
    busy.__cause__ = exc
    return busy


def _fail(batch: list[tuple[Req, asyncio.Future[Res]]], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)


def _answer(batch: list[tuple[Req, asyncio.Future[Res]]], results: list[Res | Exception]) -> None:
    for (_, answer), result in zip(batch, results, strict=True):
        if answer.done():
            continue
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
