"""Group commit: neighbours share a commit, never a failure."""

import asyncio

import pytest

from shared.kit.postgres.batcher import Batcher
from shared.kit.problems import ServiceBusy


class Book:
    """Writes down each batch; refuses what it is asked to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.poison: set[int] = set()
        self.outage: Exception | None = None

    async def flush(self, batch: list[int]) -> list[str | Exception]:
        await self.gate.wait()
        self.batches.append(list(batch))
        if self.outage is not None:
            raise self.outage
        if self.poison & set(batch):
            raise ValueError("poison")
        return [KeyError(one) if one < 0 else str(one) for one in batch]


async def gathered(batcher: Batcher[int, str], *requests: int) -> list[str | BaseException]:
    return await asyncio.gather(*(batcher.submit(one) for one in requests), return_exceptions=True)


async def test_collects_what_waits_and_no_more() -> None:
    book = Book()
    async with Batcher(book.flush, name="t", size_max=4) as batcher:
        assert await batcher.submit(0) == "0"
        book.gate.clear()
        waiting = asyncio.create_task(gathered(batcher, *range(1, 11)))
        await asyncio.sleep(0.01)
        book.gate.set()
        assert await waiting == [str(n) for n in range(1, 11)]
    assert [len(batch) for batch in book.batches] == [1, 4, 4, 2]


async def test_poison_fails_alone() -> None:
    book = Book()
    book.poison = {3}
    async with Batcher(book.flush, name="t") as batcher:
        results = await gathered(batcher, 1, 2, 3, 4, -5)
        assert isinstance(results[2], ValueError)
        assert isinstance(results[4], KeyError)
        assert [results[at] for at in (0, 1, 3)] == ["1", "2", "4"]
        assert len(book.batches) == 6
        assert batcher.alive()


async def test_outage_is_not_tried_for_each() -> None:
    book = Book()
    async with Batcher(book.flush, name="t", timeout_s=0.05) as batcher:
        book.outage = ConnectionResetError()
        assert all(isinstance(result, ServiceBusy) for result in await gathered(batcher, *range(50)))
        assert len(book.batches) == 1
        book.outage = None
        book.gate.clear()
        assert all(isinstance(result, ServiceBusy) for result in await gathered(batcher, 1, 2))
        book.gate.set()
        assert await batcher.submit(7) == "7"


async def test_outage_while_trying_singly() -> None:
    calls: list[int] = []

    async def flush(batch: list[int]) -> list[str | Exception]:
        calls.append(len(batch))
        if len(batch) > 1:
            raise ValueError("somebody")
        raise OSError("gone")

    async with Batcher(flush, name="t") as batcher:
        assert all(isinstance(result, ServiceBusy) for result in await gathered(batcher, *range(9)))
    assert calls == [9, 1]


async def test_full_queue_and_cancelled_waiters() -> None:
    book = Book()
    async with Batcher(book.flush, name="t", size_max=1, queue_max=2) as batcher:
        book.gate.clear()
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second, third = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
        await asyncio.sleep(0)
        with pytest.raises(ServiceBusy) as busy:
            await batcher.submit(4)
        assert (busy.value.headers or {})["Retry-After"] == "1"
        second.cancel()
        await asyncio.sleep(0)
        book.gate.set()
        assert (await first, await third) == ("1", "3")
    assert book.batches == [[1], [3]]


async def test_stop_finishes_what_waits_and_takes_nothing_new() -> None:
    book = Book()
    batcher = Batcher(book.flush, name="t", size_max=2)
    with pytest.raises(ServiceBusy):
        await batcher.submit(0)
    await batcher.start()
    book.gate.clear()
    waiting = asyncio.create_task(gathered(batcher, 1, 2, 3, 4, 5))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(batcher.stop())
    await asyncio.sleep(0)
    with pytest.raises(ServiceBusy):
        await batcher.submit(6)
    book.gate.set()
    assert await waiting == ["1", "2", "3", "4", "5"]
    await stopping
    assert not batcher.alive()
    await batcher.start()
    assert await batcher.submit(8) == "8"
    await batcher.stop()


async def test_wrong_number_of_results_is_an_error() -> None:
    async def flush(_batch: list[int]) -> list[str | Exception]:
        return []

    async with Batcher(flush, name="t") as batcher:
        with pytest.raises(RuntimeError):
            await batcher.submit(1)
