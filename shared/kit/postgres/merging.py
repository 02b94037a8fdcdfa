"""A page over many groups of rows, each in order by an index: little is read beyond it, however long the groups are."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

Place = tuple[datetime, UUID]
"""Where a row stands in the order of the list."""
GROUPS_AT_ONCE = 64
"""Of one statement: each is a page that may have to come from disk, and nobody's connection should be held for long."""
OfGroups = Callable[[Sequence[str], Sequence[Place], int], Awaitable[Sequence[tuple[str, Place]]]]
"""The next rows of each group behind its place, at most so many a group: (group, place), a group's own in order."""


async def merged(groups: Iterable[str], after: Place, rows_max: int, read: OfGroups) -> list[Place]:
    """The first `rows_max` places behind `after` among all the groups, in order. Ask within one snapshot.

    A group is read further only while its last row may stand before the page's end, by twice as many rows each time:
    at most a row a group and a few pages are read, in as many rounds as doublings fit in a page.
    """
    asked = dict.fromkeys(groups, after)
    page: list[Place] = []
    step = min(rows_max, 1 + 2 * rows_max // max(len(asked), 1))
    while asked:
        groups, places = list(asked), list(asked.values())
        rows = [
            row
            for start in range(0, len(groups), GROUPS_AT_ONCE)
            for row in await read(groups[start : start + GROUPS_AT_ONCE], places[start : start + GROUPS_AT_ONCE], step)
        ]
        found = Counter(group for group, _ in rows)
        last = dict(rows)
        page = sorted([*page, *(place for _, place in rows)])[:rows_max]
        end = page[-1] if len(page) == rows_max else None
        asked = {group: last[group] for group, n in found.items() if n == step and (end is None or last[group] < end)}
        step = min(rows_max, 2 * step)
    return page
