"""Changing which department answers where."""

from collections.abc import Callable, Sequence

from services.routing import problems
from services.routing.domain import Responsibility
from services.routing.store import areas
from services.routing.store import responsibilities as store
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection

PAGE_ROWS = 1_000


async def read(
    conn: Connection, covers: Callable[[str], bool], after: tuple[str, str], limit: int
) -> tuple[int, list[Responsibility]]:
    """The revision, and the next responsibilities of covered areas as of then."""
    found: list[Responsibility] = []
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        _, revision = await areas.in_force(conn)
        while len(found) < limit:
            page = await store.page(conn, after, PAGE_ROWS)
            found += [one for one in page if covers(one.area_code)]
            if len(page) < PAGE_ROWS:
                break
            after = page[-1].department_kind, page[-1].area_code
    return revision, found[:limit]


async def change(
    work: Work,
    put: Sequence[Responsibility],
    remove: Sequence[tuple[str, str]],
    by: str,
    expected_revision: int | None,
) -> int:
    """Save and remove responsibilities; every process routes by them within its poll. The new revision.

    Raises:
        Refusal: 409 `revision_moved_on` with the present revision, where another was expected.
    """
    revision = await store.raise_revision(work.conn)
    if expected_revision is not None and expected_revision != revision - 1:
        raise problems.REVISION_MOVED_ON(revision=revision - 1)
    await store.remove(work.conn, remove)
    await store.put(work.conn, put, work.now, by)
    return revision
