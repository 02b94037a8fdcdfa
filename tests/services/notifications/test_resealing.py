"""A sealing key is exchanged in bounded pages: a process killed in the middle has lost nothing and goes on.

BEEGRID_FAULTS=full exchanges 100,000 addresses.
"""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from services.notifications.usecases import sealing
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit.auth import Sealer, resealing
from shared.kit.auth.resealing import UNKNOWN, Resealing
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from tests.full import FULL
from tests.services.notifications.stage import NOON, Stage

ADDRESSES = 100_000 if FULL else 3_200
KILLED_AT_PAGE = 3


async def addresses(stage: Stage, sealer: Sealer) -> None:
    rows = [
        (channel := new_id(), "33", "mail", sealer.seal(f"{n}@b.cn".encode(), SEALED_FOR, str(channel)), "h", [], NOON)
        for n in range(ADDRESSES)
    ]
    columns = ("channel_id", "area", "kind", "sealed", "hint", "topics", "created_at")
    async with stage.pool.acquire() as conn:
        await conn.copy_records_to_table("channels", records=rows, columns=columns)


def keys() -> tuple[Sealer, Sealer, Sealer]:
    """Only the former key, both with the new one first, only the new one."""
    old, new = "a" * 43 + "=", "b" * 43 + "="
    return Sealer(old), Sealer(f"{new},{old}"), Sealer(new)


@pytest.mark.timeout(60 + ADDRESSES // 500)
async def test_a_killed_exchange_goes_on_where_it_was(stage: Stage) -> None:
    old, both, new = keys()
    await addresses(stage, old)
    pages = count(1)

    @asynccontextmanager
    async def dying() -> AsyncIterator[Work]:
        """The process is killed before the commit of a page."""
        async with stage.work() as work:
            yield work
            if next(pages) == KILLED_AT_PAGE:
                raise ConnectionResetError("killed")

    with pytest.raises(ConnectionResetError):
        await Resealing(sealing.secrets(both), dying).renew("", 60.0)
    done = (KILLED_AT_PAGE - 2) * resealing.PAGE_PLACES  # the first page was of webhooks, of which there are none
    exchange = Resealing(sealing.secrets(both), stage.work)
    assert await exchange.count() == {both.keys[0].id: done, both.keys[1].id: ADDRESSES - done}
    cursor: str | None = ""
    resealed = shares = 0
    while cursor is not None:
        share = await exchange.renew(cursor, 0.0)  # no time: one page a share
        resealed, shares, cursor = resealed + share.resealed, shares + 1, share.cursor
    assert resealed == ADDRESSES - done
    assert shares > ADDRESSES // resealing.PAGE_PLACES
    assert await Resealing(sealing.secrets(new), stage.work).count() == {new.keys[0].id: ADDRESSES}
    assert await Resealing(sealing.secrets(old), stage.work).count() == {UNKNOWN: ADDRESSES}


async def test_cryptography_is_off_the_event_loop_and_a_page_is_bounded(stage: Stage) -> None:
    old, both, _ = keys()
    await addresses(stage, old)
    pages: list[int] = []
    threads: set[int] = set()
    kinds = [_watched(kind, pages, threads) for kind in sealing.secrets(both)]
    assert (await Resealing(kinds, stage.work).renew("", 60.0)).resealed == ADDRESSES
    assert threads and threading.get_ident() not in threads
    assert max(pages) <= resealing.PAGE_PLACES


def _watched(kind: resealing.Secrets, pages: list[int], threads: set[int]) -> resealing.Secrets:
    async def page(conn: Any, after: str, most: int) -> Sequence[resealing.Sealed]:
        found = await kind.page(conn, after, most)
        pages.append(len(found))
        return found

    def look(one: resealing.Sealed) -> resealing.Seen:
        threads.add(threading.get_ident())
        return kind.look(one)

    return resealing.Secrets(page, look, kind.exchange)
