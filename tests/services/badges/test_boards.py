"""Boards while many ask at once, on real Redis: made once, beside those that are there, and never half gone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.badges.store.boards import PATIENCE_S, Board, Boards, Score
from shared.devtools.installation import Installation
from shared.kit.volatile import volatile
from tests.support import settings_of

DAY = date(2026, 3, 2)
KEEP_S = 30


class Bench:
    """Boards on one Redis, and a Postgres that answers when it is let."""

    def __init__(self, url: str, makers: int) -> None:
        self.boards = Boards(volatile(url, PATIENCE_S), KEEP_S, makers)
        self.redis = Redis.from_url(url)
        self.go = asyncio.Event()
        self.made = self.making = self.most = 0

    async def make(self) -> list[Score]:
        self.made += 1
        self.making += 1
        self.most = max(self.most, self.making)
        await self.go.wait()
        self.making -= 1
        return [Score("a", 30), Score("b", 20), Score("c", 20), Score("d", 10)]

    def board(self) -> Board:
        return Board(f"test:{uuid4()}", DAY, DAY, None, None)

    async def asked(self, board: Board, own: str | None = None) -> tuple[list[tuple[int, str]], int | None]:
        places, mine = await self.boards.top(board, 3, own, self.make)
        return sorted((one.place, one.key) for one in places), mine.place if mine else None


@pytest.fixture
async def bench(installation: Installation) -> AsyncIterator[Bench]:
    made = Bench(settings_of(installation, "badges").redis_url.get_secret_value(), makers=2)
    yield made
    await made.boards.aclose()
    await made.redis.aclose()


async def test_all_who_ask_meanwhile_share_one_making(bench: Bench) -> None:
    board = bench.board()
    asking = [asyncio.create_task(bench.asked(board, "d")) for _ in range(20)]
    await asyncio.sleep(0.1)
    asking[0].cancel()  # the one who came first goes away
    bench.go.set()
    answers = await asyncio.gather(*asking[1:])
    assert bench.made == 1
    assert all(mine == 4 and {at for at, _ in top} == {1, 2} for top, mine in answers)
    assert await bench.asked(board, "c") == (answers[0][0], 2) and bench.made == 1, "then it is there"


async def test_a_slow_board_keeps_nobody_from_another(bench: Bench) -> None:
    there, slow = bench.board(), [bench.board() for _ in range(5)]
    bench.go.set()
    await bench.asked(there)
    bench.go.clear()
    waiting = [asyncio.create_task(bench.asked(board)) for board in slow]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(1):
        assert (await bench.asked(there, "a"))[1] == 1
    bench.go.set()
    await asyncio.gather(*waiting)
    assert bench.made == 6 and bench.most == 2, "no more connections at a time than the makers have"


async def test_a_board_that_ends_while_it_is_read_is_made_once_more(bench: Bench) -> None:
    """It is there, or it isn't: never empty, and nobody first who isn't."""
    bench.go.set()
    board = bench.board()
    over = asyncio.Event()

    async def flush() -> None:
        while not over.is_set():
            await bench.redis.delete(board.name)

    flushing = asyncio.create_task(flush())
    for _ in range(300):
        top, mine = await bench.asked(board, "d")
        assert len(top) == 3 and mine == 4
    over.set()
    await flushing
    assert bench.made > 1


async def test_nobody_on_a_board_is_an_answer_too(bench: Bench) -> None:
    async def nobody() -> list[Score]:
        bench.made += 1
        return []

    board = bench.board()
    for _ in range(3):
        assert await bench.boards.top(board, 3, "a", nobody) == ([], None)
    assert bench.made == 1


async def test_what_goes_wrong_in_making_is_heard_and_tried_again(bench: Bench) -> None:
    async def broken() -> list[Score]:
        bench.made += 1
        raise LookupError("no such thing")

    board = bench.board()
    for _ in range(2):
        with pytest.raises(LookupError):
            await bench.boards.top(board, 3, None, broken)
    assert bench.made == 2
