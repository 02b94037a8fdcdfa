"""Sealed secrets counted, and sealed with another key: page by page, each in a transaction, cryptography in a thread.

A page that is committed stays done, so whoever breaks off goes on with what is left, from the start or from a cursor.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from shared.kit import clock
from shared.kit.auth.sealing import SealBroken, Sealer
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

PAGE_PLACES = 500
UNKNOWN = "unknown"
"""In a count: sealed with none of our keys."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One secret. `place`: where its page goes on, ascending; one place may have several, which are on one page."""

    place: str
    bound_to: str
    key_id: str
    secret: Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What opening it showed: under which sealing key it is, and what to keep instead; None where that is the first."""

    key: str
    renewed: Any | None


Page: TypeAlias = Callable[[Connection, str, int], Awaitable[Sequence[Sealed]]]
"""(connection, place after which, places at most) → secrets by place; "" is before the first."""
Look: TypeAlias = Callable[[Sealed], Seen]
"""Runs in a thread."""
Exchange: TypeAlias = Callable[[Work, Sequence[tuple[Sealed, Any]]], Awaitable[None]]
"""(work, secrets with what to keep instead): only what has not changed since it was read."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets of one kind. Without `exchange` they are a projection, which follows its owner's events."""

    page: Page
    look: Look
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an exchange has come; `cursor`: where to go on, None at the end."""

    seen: int
    resealed: int
    cursor: str | None


def opened_by(sealer: Sealer) -> Look:
    """Looks at secrets that a Sealer has sealed."""

    def look(one: Sealed) -> Seen:
        try:
            key = sealer.key_of(one.secret, one.bound_to, one.key_id)
        except SealBroken:
            return Seen(UNKNOWN, None)
        return Seen(key, sealer.resealed(one.secret, one.bound_to, one.key_id))

    return look


def uuid_after(place: str) -> UUID:
    """A place that is a UUID, for SQL: before the first one where there is none."""
    return UUID(place) if place else UUID(int=0)


class Resealing:
    """All kinds of sealed secrets of one service."""

    def __init__(self, kinds: Sequence[Secrets], work: Callable[[], AbstractAsyncContextManager[Work]]) -> None:
        self._kinds = [*kinds]
        self._work = work

    def add(self, kinds: Sequence[Secrets]) -> None:
        """Further kinds, behind those that are there: cursors name a kind by its place."""
        self._kinds += kinds

    async def count(self) -> Counter[str]:
        """Number of secrets by sealing key's id."""
        found: Counter[str] = Counter()
        cursor: str | None = ""
        while cursor is not None:
            cursor, seen, _ = await self._turn(cursor, renew=False)
            found.update(one.key for one in seen)
        return found

    async def renew(self, cursor: str, for_s: float) -> Progress:
        """Bring what the service owns under the first key, from a cursor on ("": the start), for about so long."""
        until_s = clock.monotonic_s() + for_s
        number, resealed, at = 0, 0, cursor or None
        while True:
            at, seen, done = await self._turn(at or "", renew=True)
            number += len(seen)
            resealed += done
            if at is None or clock.monotonic_s() >= until_s:
                return Progress(number, resealed, at)

    async def _turn(self, cursor: str, *, renew: bool) -> tuple[str | None, list[Seen], int]:
        """One page in a transaction of its own: the next cursor, what was seen, and how many were exchanged."""
        kind_number, place = _read(cursor)
        if kind_number >= len(self._kinds):
            return None, [], 0
        kind = self._kinds[kind_number]
        async with self._work() as work:
            page = await kind.page(work.conn, place, PAGE_PLACES)
            seen = await asyncio.to_thread(lambda: [kind.look(one) for one in page])
            changed = [(one, found.renewed) for one, found in zip(page, seen, strict=True) if found.renewed is not None]
            if renew and changed and kind.exchange is not None:
                await kind.exchange(work, changed)
        following = f"{kind_number}.{page[-1].place}" if page else f"{kind_number + 1}."
        if not page and kind_number + 1 >= len(self._kinds):
            return None, seen, 0
        return following, seen, len(changed) if renew and kind.exchange is not None else 0


def _read(cursor: str) -> tuple[int, str]:
    number, _, place = cursor.partition(".")
    return int(number or 0), place
