"""A page of cases by due time, in areas or in the whole city: it reads about a page, however many there ever were."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.cases import store
from services.cases.domain import LIVE, Case, State
from services.cases.store import grids
from shared.kit.areas import AreaTree
from shared.kit.postgres.db import Connection
from shared.kit.postgres.merging import Place, merged

FIRST = UUID(int=0)
"""Before all cases of one instant."""
MANY = 20
"""Grids a row of the page from which on the city's list is looked at first: a look into each costs more."""
FEW_GRIDS = 128
"""Up to here the database compares ambiguous places to the grids; with more, each row would cost all of them."""
AMBIGUOUS_AT_ONCE = 2_000
"""Ambiguous places that one statement reads where there are more grids than that."""

# Live cases and those of one state have each their indexes
_NEXT_IN_GRID = """
      AND grid_code = mine.code COLLATE "C"
      AND (due_at, case_id) > (mine.due_at, mine.case_id) AND due_at < coalesce($5::timestamptz, 'infinity')
    ORDER BY due_at, case_id LIMIT $4
"""
SQL_LIVE_OF_GRIDS = f"""
SELECT mine.code, c.due_at, c.case_id
FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS mine (code, due_at, case_id)
CROSS JOIN LATERAL (SELECT due_at, case_id FROM cases WHERE live {_NEXT_IN_GRID}) c
ORDER BY mine.code, c.due_at, c.case_id
"""
SQL_STATE_OF_GRIDS = f"""
SELECT mine.code, c.due_at, c.case_id
FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS mine (code, due_at, case_id)
CROSS JOIN LATERAL (SELECT due_at, case_id FROM cases WHERE state = $6 {_NEXT_IN_GRID}) c
ORDER BY mine.code, c.due_at, c.case_id
"""
_NEXT = """
AND (due_at, case_id) > ($1, $2) AND due_at < coalesce($4::timestamptz, 'infinity')
ORDER BY due_at, case_id LIMIT $3
"""
SQL_LIVE_OF_CITY = f"SELECT grid_code, due_at, case_id FROM cases WHERE live {_NEXT}"
SQL_STATE_OF_CITY = f"SELECT grid_code, due_at, case_id FROM cases WHERE state = $5 {_NEXT}"
# Found by the grids first and sorted then: there are few, and the order's index would be read to its end for them.
SQL_MAYBE_IN = """
WITH maybe AS MATERIALIZED (
    SELECT due_at, case_id, state FROM cases WHERE live AND alternatives <> '{}' AND alternatives && $1::text[]
)
SELECT due_at, case_id FROM maybe
WHERE ($6::text IS NULL OR state = $6) AND (due_at, case_id) > ($2, $3)
  AND due_at < coalesce($5::timestamptz, 'infinity')
ORDER BY due_at, case_id LIMIT $4
"""
SQL_AMBIGUOUS_UNTIL = """
SELECT due_at, case_id, alternatives FROM cases
WHERE live AND alternatives <> '{}' AND ($5::text IS NULL OR state = $5)
  AND (due_at, case_id) > ($1, $2) AND (due_at, case_id) < (coalesce($3::timestamptz, 'infinity'), $4)
ORDER BY due_at, case_id LIMIT $6
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which cases to list, by due time; `after` is the last case of the page before."""

    areas: tuple[str, ...] | None
    """Each with all that lies in it; None is the whole city."""
    tree: AreaTree
    state: State | None
    """None: all that are live."""
    due_before: datetime | None
    after: Place
    rows_max: int


async def page(conn: Connection, listing: Listing) -> list[Case]:
    """The cases of a page, the most urgent first."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        if listing.areas is None:
            found = [place for _, place in await _of_city(conn, listing, listing.rows_max)]
        else:
            mine = frozenset(await grids.within(conn, listing.areas, listing.tree, listing.state))
            own = await _of_grids(conn, listing, mine)
            found = sorted({*own, *await _ambiguous(conn, listing, mine, own)})[: listing.rows_max]
        return await store.cases(conn, [case_id for _, case_id in found])


async def _of_grids(conn: Connection, listing: Listing, mine: frozenset[str]) -> list[Place]:
    if len(mine) > MANY * listing.rows_max:
        # So much of the city is theirs that its first cases are likely to fill the page
        seen = [place for grid, place in await _of_city(conn, listing, MANY * listing.rows_max) if grid in mine]
        if len(seen) >= listing.rows_max:
            return seen[: listing.rows_max]

    async def read(codes: Sequence[str], after: Sequence[Place], step: int) -> list[tuple[str, Place]]:
        places = [at for at, _ in after], [case_id for _, case_id in after]
        rows = await (
            conn.fetch(SQL_LIVE_OF_GRIDS, codes, *places, step, listing.due_before)
            if listing.state is None
            else conn.fetch(SQL_STATE_OF_GRIDS, codes, *places, step, listing.due_before, listing.state)
        )
        return [(code, (due_at, case_id)) for code, due_at, case_id in rows]

    return await merged(mine, listing.after, listing.rows_max, read)


async def _of_city(conn: Connection, listing: Listing, rows_max: int) -> list[tuple[str, Place]]:
    wanted = (*listing.after, rows_max, listing.due_before)
    rows = await (
        conn.fetch(SQL_LIVE_OF_CITY, *wanted)
        if listing.state is None
        else conn.fetch(SQL_STATE_OF_CITY, *wanted, listing.state)
    )
    return [(grid, (due_at, case_id)) for grid, due_at, case_id in rows]


async def _ambiguous(
    conn: Connection, listing: Listing, mine: frozenset[str], own: Sequence[Place]
) -> list[tuple[datetime, UUID]]:
    """Live cases of ambiguous places that may be in these grids, as far as they belong before the end of the page."""
    if listing.state is not None and listing.state not in LIVE:
        return []
    if len(mine) > FEW_GRIDS:
        full = len(own) == listing.rows_max
        return await _ambiguous_until(conn, listing, mine, own[-1] if full else (listing.due_before, FIRST))
    rows = await conn.fetch(
        SQL_MAYBE_IN, list(mine), *listing.after, listing.rows_max, listing.due_before, listing.state
    )
    return [(row["due_at"], row["case_id"]) for row in rows]


async def _ambiguous_until(
    conn: Connection, listing: Listing, mine: frozenset[str], until: tuple[datetime | None, UUID]
) -> list[Place]:
    """The first of the city's that may be in these grids; of whom they are is asked here, a look-up a place."""
    found: list[Place] = []
    after, full = listing.after, True
    while full and len(found) < listing.rows_max:
        rows = await conn.fetch(SQL_AMBIGUOUS_UNTIL, *after, *until, listing.state, AMBIGUOUS_AT_ONCE)
        found += [(due_at, case_id) for due_at, case_id, others in rows if not mine.isdisjoint(others)]
        full = len(rows) == AMBIGUOUS_AT_ONCE
        after = (rows[-1]["due_at"], rows[-1]["case_id"]) if rows else after
    return found
