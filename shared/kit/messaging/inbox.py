"""Which events a schema has dealt with: each takes effect once, whatever way it comes.

An id is entered in the transaction that deals with its event: where it takes effect, or where it is buried as a dead
letter. Whoever finds it entered already leaves the event alone; only the letter that entered an id may bring it to
effect later.

An id that a company gave its event is entered with a hash of what the event says: another event under that id is
refused, instead of being taken for the first one once more. Ids that were entered without one are taken at their word.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from shared.kit.messaging.work import Event
from shared.kit.postgres.db import Connection

Item = TypeVar("Item")

# Nearly every id is new, and ON CONFLICT makes each row cost twice: it is used only after a batch had a known one.
SQL_INBOX_NEW = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[])"
SQL_INBOX_NEW_SAYING = "INSERT INTO inbox (event_id, content) SELECT * FROM unnest($1::uuid[], $2::bytea[])"
SQL_INBOX = "INSERT INTO inbox (event_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"
SQL_INBOX_SAYING = """
INSERT INTO inbox (event_id, content) SELECT * FROM unnest($1::uuid[], $2::bytea[])
ON CONFLICT DO NOTHING RETURNING event_id
"""
SQL_INBOX_CONTENTS = "SELECT event_id, content FROM inbox WHERE event_id = ANY($1::uuid[]) AND content IS NOT NULL"

SQL_INBOX_GIVE_UP = "DELETE FROM inbox WHERE event_id = ANY($1::uuid[])"


async def enter_new(conn: Connection, ids: Sequence[UUID], contents: Sequence[bytes | None] = ()) -> None:
    """Enter ids of which none is expected to be known. `contents`: of each, where any event of them has one.

    Raises:
        asyncpg.UniqueViolationError: one is, and the transaction is over.
    """
    if any(contents):
        await conn.execute(SQL_INBOX_NEW_SAYING, ids, contents)
    else:
        await conn.execute(SQL_INBOX_NEW, ids)


async def enter(conn: Connection, ids: Sequence[UUID], contents: Sequence[bytes | None] = ()) -> set[UUID]:
    """Enter ids; those that were not known before. Of an id that is there twice the first content counts."""
    if any(contents):
        return {row["event_id"] for row in await conn.fetch(SQL_INBOX_SAYING, ids, contents)}
    return {row["event_id"] for row in await conn.fetch(SQL_INBOX, ids)}


async def enter_stated(
    conn: Connection, ids: Sequence[UUID | None], contents: Sequence[bytes | None]
) -> tuple[set[int], set[int]]:
    """Enter the ids that senders gave their events over HTTP, each with its content.

    Returns:
        The places of those that were dealt with before, and of those of them that say something else now.

    Sorted, so that two requests with ids in common wait for each other in one direction only.
    """
    stated: dict[UUID, bytes | None] = {}
    for id_, content in zip(ids, contents, strict=True):
        if id_ is not None:
            stated.setdefault(id_, content)
    if not stated:
        return set(), set()
    ordered = sorted(stated)
    left = await enter(conn, ordered, [stated[id_] for id_ in ordered])
    known: dict[int, UUID] = {}
    for place, id_ in enumerate(ids):
        if id_ is None:
            continue
        if id_ not in left:
            known[place] = id_
        left.discard(id_)
    entered = await _contents(conn, known.values())
    return set(known), {place for place, id_ in known.items() if entered.get(id_, contents[place]) != contents[place]}


async def differing(conn: Connection, items: Iterable[Any], dealt_with: Iterable[Any]) -> list[Event[Any]]:
    """Of the events that aren't `dealt_with` now, those that say something else than the one that has their id."""
    taken = {id(item) for item in dealt_with}
    left = [one for one in items if isinstance(one, Event) and one.content is not None and id(one) not in taken]
    entered = await _contents(conn, [event.id for event in left])
    return [event for event in left if entered.get(event.id, event.content) != event.content]


async def _contents(conn: Connection, ids: Collection[UUID]) -> dict[UUID, bytes]:
    if not ids:
        return {}
    return {row["event_id"]: row["content"] for row in await conn.fetch(SQL_INBOX_CONTENTS, list(ids))}


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
