"""All SQL of cases. Batches are arrays; a call is one statement whatever the batch's size."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.cases.domain import (
    LIVE,
    Actor,
    Candidate,
    Case,
    Report,
    Sighting,
    State,
    Taken,
    cell_of,
)
from shared.kit.db import Connection

_CASE_COLUMNS = """
c.case_id, c.version, c.state, c.kind, c.level, c.grid_code, c.alternatives, c.department, c.lng, c.lat, c.seen_at,
c.opened_at, c.due_at, c.changed_at, c.paused_at, c.claimed_by_id, c.claimed_by_name, c.claimed_by_role, c.handled_by
"""

# unnest keeps the array's order, so all processes lock in the same order: no deadlock.
SQL_LOCK_PLACES = "SELECT count(pg_advisory_xact_lock(key)) FROM unnest($1::bigint[]) AS key"

SQL_KNOWN_REPORTS = "SELECT report_id FROM case_reports WHERE report_id = ANY($1::uuid[])"

# The rows are locked, so that no person closes a case between this look and the attachment.
SQL_CANDIDATES = f"""
SELECT s.number, {_CASE_COLUMNS},
       (SELECT r.text FROM case_reports r WHERE r.case_id = c.case_id AND r.ordinal = 1) AS text
FROM unnest($1::int[], $2::text[], $3::bigint[], $4::float8[], $5::float8[], $6::float8[], $7::float8[])
     AS s (number, kind, cell, west, east, south, north)
JOIN cases c ON c.cell = s.cell AND c.kind = s.kind AND c.live
 AND c.lng BETWEEN s.west AND s.east AND c.lat BETWEEN s.south AND s.north
ORDER BY c.case_id
FOR UPDATE OF c
"""  # noqa: S608 only constants are put in

SQL_LOCK_CASES = f"""
SELECT {_CASE_COLUMNS} FROM cases c WHERE c.case_id = ANY($1::uuid[]) ORDER BY c.case_id FOR UPDATE
"""  # noqa: S608 only constants are put in

SQL_CASE = f"SELECT {_CASE_COLUMNS} FROM cases c WHERE c.case_id = $1"  # noqa: S608 only constants are put in

SQL_REPORTS = """
SELECT case_id, report_id, rider_id, company, ordinal FROM case_reports
WHERE case_id = ANY($1::uuid[]) ORDER BY case_id, ordinal
"""

# New rows come by COPY, which costs the server and the client half of what INSERT from arrays does.
CASE_COLUMNS = (
    "case_id", "version", "state", "live", "kind", "level", "grid_code", "alternatives", "department", "lng", "lat",
    "cell", "seen_at", "opened_at", "due_at", "changed_at",
)  # fmt: skip
REPORT_COLUMNS = ("report_id", "case_id", "ordinal", "rider_id", "company", "text", "photos")
STEP_COLUMNS = (
    "case_id", "version", "step", "state", "actor_id", "actor_name", "actor_role", "report_id", "note", "at",
)  # fmt: skip

# The version read under the row lock is checked again: a step decided on an older state changes nothing.
SQL_UPDATE_CASES = """
UPDATE cases c SET version = n.version, state = n.state, live = n.live, grid_code = n.grid_code,
       alternatives = string_to_array(n.alternatives, ','), department = n.department, due_at = n.due_at,
       changed_at = n.changed_at, paused_at = n.paused_at, claimed_by_id = n.claimed_by_id,
       claimed_by_name = n.claimed_by_name, claimed_by_role = n.claimed_by_role, handled_by = n.handled_by
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bool[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::text[], $14::text[],
            $15::text[])
     AS n (case_id, version_before, version, state, live, grid_code, alternatives, department, due_at, changed_at,
           paused_at, claimed_by_id, claimed_by_name, claimed_by_role, handled_by)
WHERE c.case_id = n.case_id AND c.version = n.version_before
RETURNING c.case_id
"""

SQL_STEPS = """
SELECT version, step, state, actor_name, actor_role, report_id, note, at FROM steps WHERE case_id = $1 ORDER BY version
"""

SQL_CASE_WORDS = "SELECT report_id, text, photos FROM case_reports WHERE case_id = $1 ORDER BY ordinal"

# Two ways in, each with its index: the case's own grid, and an ambiguous place that may be one of ours.
SQL_LIST = f"""
WITH areas AS (SELECT area COLLATE "C" AS area FROM unnest($1::text[]) AS area), found AS (
    (SELECT c.case_id, c.due_at FROM areas
     JOIN cases c ON c.live = $2 AND c.grid_code >= areas.area AND c.grid_code < areas.area || '~'
     WHERE ($3::text IS NULL OR c.state = $3) AND ($4::timestamptz IS NULL OR c.due_at < $4)
       AND (c.due_at, c.case_id) > ($5, $6)
     ORDER BY c.due_at, c.case_id LIMIT $7)
    UNION
    (SELECT c.case_id, c.due_at FROM cases c
     WHERE $2 AND c.live AND c.alternatives <> '{{}}' AND ($3::text IS NULL OR c.state = $3)
       AND EXISTS (SELECT FROM areas, unnest(c.alternatives) AS other WHERE starts_with(other, areas.area))
       AND ($4::timestamptz IS NULL OR c.due_at < $4) AND (c.due_at, c.case_id) > ($5, $6)
     ORDER BY c.due_at, c.case_id LIMIT $7)
    ORDER BY due_at, case_id LIMIT $7
)
SELECT {_CASE_COLUMNS} FROM found JOIN cases c USING (case_id) ORDER BY c.due_at, c.case_id
"""  # noqa: S608 only constants are put in

SQL_DEADLINES = """
SELECT level, CASE WHEN due_at <= $1 THEN 'overdue' ELSE 'soon' END AS state, count(*) AS cases
FROM cases WHERE live AND paused_at IS NULL AND due_at - $1 < (due_at - opened_at) / 4 GROUP BY 1, 2
"""
SQL_TALLIES = """
SELECT (SELECT count(*) FROM case_reports) AS reports,
       count(*) AS cases,
       count(*) FILTER (WHERE state = 'open') AS open,
       count(*) FILTER (WHERE live) AS live,
       count(*) FILTER (WHERE state = 'closed') AS closed,
       count(*) FILTER (WHERE state = 'invalid') AS invalid,
       (SELECT count(*) FROM steps) AS steps
FROM cases
"""


class Overtaken(RuntimeError):
    """A case changed although its row was locked: the batch must be undone and tried again."""


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report to be kept with its case."""

    report: Report
    case_id: UUID
    text: str
    photos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as it was remembered."""

    version: int
    step: str
    state: State
    actor_name: str | None
    actor_role: str | None
    report_id: UUID | None
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Words:
    """What one report says."""

    report_id: UUID
    text: str
    photos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Which cases to list, by due time; `after` is the last case of the page before."""

    areas: tuple[str, ...]
    """Prefixes of area codes; "" is the whole city."""
    live: bool
    state: State | None
    due_before: datetime | None
    after: tuple[datetime, UUID]
    rows_max: int


async def lock_places(conn: Connection, locks: Sequence[int]) -> None:
    """Wait for every other transaction that works on reports around these places; `locks` sorted."""
    await conn.execute(SQL_LOCK_PLACES, locks)


async def known_reports(conn: Connection, report_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the reports belong to a case already."""
    return {row["report_id"] for row in await conn.fetch(SQL_KNOWN_REPORTS, report_ids)}


async def candidates(conn: Connection, sightings: Sequence[Sighting]) -> dict[int, list[Candidate]]:
    """Live cases near each sighting, by the sighting's number; locked. One case is one object for all sightings."""
    rows = [
        (number, sighting.kind, cell, *sighting.reach[:4])
        for number, sighting in enumerate(sightings)
        for cell in sighting.reach.cells
    ]
    found = await conn.fetch(SQL_CANDIDATES, *_columns(rows))
    if not found:
        return {}
    reports = await reports_of(conn, {row["case_id"] for row in found})
    known: dict[UUID, Candidate] = {}
    by_number: dict[int, list[Candidate]] = defaultdict(list)
    for row in found:
        case_id = row["case_id"]
        if case_id not in known:
            known[case_id] = Candidate(_case(row, reports[case_id]), row["text"] or "", row["version"])
        by_number[row["number"]].append(known[case_id])
    return by_number


async def reports_of(conn: Connection, case_ids: Iterable[UUID]) -> dict[UUID, tuple[Report, ...]]:
    """Reports of cases, in order.

    A statement of its own: one that waits for a row lock still reads other tables as they were before it waited.
    """
    found: dict[UUID, list[Report]] = defaultdict(list)
    for row in await conn.fetch(SQL_REPORTS, list(case_ids)):
        found[row["case_id"]].append(Report(row["report_id"], row["rider_id"], row["company"], row["ordinal"]))
    return defaultdict(tuple, {case_id: tuple(reports) for case_id, reports in found.items()})


async def lock_cases(conn: Connection, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
    """Cases with their reports, locked to the end of the transaction; unknown ids are left out."""
    rows = await conn.fetch(SQL_LOCK_CASES, case_ids)
    reports = await reports_of(conn, [row["case_id"] for row in rows])
    return {row["case_id"]: _case(row, reports[row["case_id"]]) for row in rows}


async def case(conn: Connection, case_id: UUID) -> Case | None:
    """One case with its reports."""
    row = await conn.fetchrow(SQL_CASE, case_id)
    if row is None:
        return None
    return _case(row, (await reports_of(conn, [case_id]))[case_id])


async def cases(conn: Connection, listing: Listing) -> list[Case]:
    """A page of cases, the most urgent first."""
    wanted = (listing.areas, listing.live, listing.state, listing.due_before, *listing.after, listing.rows_max)
    rows = await conn.fetch(SQL_LIST, *wanted)
    reports = await reports_of(conn, [row["case_id"] for row in rows])
    return [_case(row, reports[row["case_id"]]) for row in rows]


async def insert_cases(conn: Connection, new: Sequence[Case]) -> None:
    """Insert cases that were opened; their version may already count attached reports."""
    if not new:
        return
    rows = [
        (c.case_id, c.version, "open", True, c.kind, c.level, c.grid_code, c.alternatives, c.department, c.lng, c.lat,
         cell_of(c.lng, c.lat), c.seen_at, c.opened_at, c.due_at, c.changed_at)
        for c in new
    ]  # fmt: skip
    await conn.copy_records_to_table("cases", records=rows, columns=CASE_COLUMNS)


async def update_cases(conn: Connection, changed: Sequence[tuple[int, Case]]) -> None:
    """Write cases that took steps; each with the version that it had in the database.

    Raises:
        Overtaken: a row had another version.
    """
    if not changed:
        return
    rows = (
        (
            c.case_id,
            before,
            c.version,
            c.state,
            c.state in LIVE,
            c.grid_code,
            ",".join(c.alternatives),
            c.department,
            c.due_at,
            c.changed_at,
            c.paused_at,
            c.claimed_by and c.claimed_by.id,
            c.claimed_by and c.claimed_by.name,
            c.claimed_by and c.claimed_by.role,
            c.handled_by,
        )
        for before, c in changed
    )
    written = await conn.fetch(SQL_UPDATE_CASES, *_columns(rows))
    if len(written) != len(changed):
        raise Overtaken(f"{len(changed) - len(written)} cases changed under their lock")


async def insert_reports(conn: Connection, new: Sequence[NewReport]) -> None:
    """Keep reports with their cases; a report belongs to one case for good."""
    if not new:
        return
    rows = [
        (r.report.report_id, r.case_id, r.report.ordinal, r.report.rider_id, r.report.company, r.text, r.photos)
        for r in new
    ]
    await conn.copy_records_to_table("case_reports", records=rows, columns=REPORT_COLUMNS)


async def insert_steps(conn: Connection, taken: Sequence[Taken]) -> None:
    """Append steps."""
    if not taken:
        return
    rows = [
        (t.case.case_id, t.case.version, t.step, t.case.state, t.actor and t.actor.id, t.actor and t.actor.name,
         t.actor and t.actor.role, t.report_id, t.note, t.case.changed_at)
        for t in taken
    ]  # fmt: skip
    await conn.copy_records_to_table("steps", records=rows, columns=STEP_COLUMNS)


async def steps(conn: Connection, case_id: UUID) -> list[StepRow]:
    """All steps of a case, in order."""
    return [StepRow(**row) for row in await conn.fetch(SQL_STEPS, case_id)]


async def words(conn: Connection, case_id: UUID) -> list[Words]:
    """What the case's reports say, in order."""
    rows = await conn.fetch(SQL_CASE_WORDS, case_id)
    return [Words(row["report_id"], row["text"], tuple(row["photos"])) for row in rows]


async def tallies(conn: Connection) -> dict[str, int]:
    """Counts for the reconciliation: reports, cases, open, live, closed, invalid, steps."""
    row = await conn.fetchrow(SQL_TALLIES)
    return dict(row) if row else {}


async def deadlines(conn: Connection, now: datetime) -> dict[tuple[str, str], int]:
    """Live cases by level and `soon` or `overdue`; a limit that rests while the reporter is asked counts as neither."""
    return {(row["level"], row["state"]): row["cases"] for row in await conn.fetch(SQL_DEADLINES, now)}


def _columns(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))


def _case(row: asyncpg.Record, reports: tuple[Report, ...]) -> Case:
    claimed_by = None
    if row["claimed_by_id"] is not None:
        claimed_by = Actor(row["claimed_by_id"], row["claimed_by_name"], row["claimed_by_role"])
    return Case(
        case_id=row["case_id"],
        version=row["version"],
        state=row["state"],
        kind=row["kind"],
        level=row["level"],
        grid_code=row["grid_code"],
        alternatives=tuple(row["alternatives"]),
        department=row["department"],
        lng=row["lng"],
        lat=row["lat"],
        seen_at=row["seen_at"],
        opened_at=row["opened_at"],
        due_at=row["due_at"],
        changed_at=row["changed_at"],
        paused_at=row["paused_at"],
        claimed_by=claimed_by,
        handled_by=row["handled_by"],
        reports=reports,
    )
