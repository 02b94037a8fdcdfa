"""Which events a schema has dealt with: each takes effect once, whatever way it comes.

An id is entered in the transaction that deals with its event: where it takes effect, or where it is buried as a dead
letter. Whoever finds it entered already leaves the event alone; only the letter that entered an id may bring it to
effect later.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from shared.kit.messaging.work import Event
from shared.kit.postgres.db import Connection

Item = TypeVar("Item")

# Nearly every id is new, and ON CONFLICT makes each row cost twice: it is used only after a batch had a known one.
SQL_INBOX_NEW = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[])"
SQL_INBOX = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"

SQL_INBOX_GIVE_UP = "DELETE FROM inbox WHERE event_id = ANY($1::uuid[])"


async def enter_new(conn: Connection, ids: Sequence[UUID]) -> None:
    """Enter ids of which none is expected to be known.

    Raises:
        asyncpg.UniqueViolationError: one is, and the transaction is over.
    """
    await conn.execute(SQL_INBOX_NEW, ids)


async def enter(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Enter ids; those that were not known before."""
    return {row["event_id"] for row in await conn.fetch(SQL_INBOX, ids)}


async def enter_stated(conn: Connection, ids: Sequence[UUID | None]) -> set[int]:
    """Enter the ids that senders gave their events over HTTP; the places of those that were dealt with before.

    Sorted, so that two requests with ids in common wait for each other in one direction only.
    """
    if not any(ids):
        return set()
    left = await enter(conn, sorted({id_ for id_ in ids if id_ is not None}))
    known = set()
    for place, id_ in enumerate(ids):
        if id_ is None:
            continue
        if id_ not in left:
            known.add(place)
        left.discard(id_)
    return known


async def give_up(conn: Connection, ids: Iterable[UUID]) -> None:
    """Forget ids that the transaction has entered for events that it refuses: a corrected one may come again."""
    if gone := list(ids):
        await conn.execute(SQL_INBOX_GIVE_UP, gone)


def is_known(error: asyncpg.PostgresError) -> bool:
    """Whether an id was refused because it is entered already."""
    return isinstance(error, asyncpg.UniqueViolationError) and _is_of_inbox(error)


def has_moved(error: asyncpg.PostgresError) -> bool:
    """Whether an id was refused because its day got a partition at this very moment: entered again, it finds it."""
    return isinstance(error, asyncpg.CheckViolationError) and _is_of_inbox(error)


def _is_of_inbox(error: asyncpg.PostgresError) -> bool:
    """The error names the partition."""
    return (error.table_name or "").startswith("inbox_")


def due(items: Iterable[Item], entered: set[UUID]) -> list[Item]:
    """The items whose event is to be dealt with now: each id of `entered` once, and what is no event."""
    left = set(entered)
    found = []
    for item in items:
        id_: Any = item.id if isinstance(item, Event) else None
        if id_ is None or id_ in left:
            left.discard(id_)
            found.append(item)
    return found
