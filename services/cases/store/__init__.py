"""All SQL of cases. Batches are arrays; a call is one statement whatever the batch's size."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.cases.domain import LIVE, Actor, Candidate, Case, Sighting, State, Taken
from services.cases.duplicates import COMPARED_MAX
from services.cases.store.rows import CaseReport, ChangedCase, Look, NewStep, OpenedCase
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Copy, Query, arrays, columns, copy_rows, many, unnest


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as it was remembered."""

    version: int
    step: str
    state: State
    actor_id: str | None
    actor_name: str | None
    actor_role: str | None
    report_id: UUID | None
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Words:
    """What one report says; `version` of the step that brought it."""

    version: int
    report_id: UUID
    text: str
    photos: tuple[str, ...]


NEAREST_MAX = 4 * COMPARED_MAX
"""Live cases that are looked at for one sighting in one cell."""
_CASE_COLUMNS = """
c.case_id, c.version, c.state, c.kind, c.level, c.grid_code, c.alternatives, c.department, c.lng, c.lat, c.seen_at,
c.opened_at, c.due_at, c.changed_at, c.paused_at, c.claimed_by_id, c.claimed_by_name, c.claimed_by_role, c.handled_by,
c.report_count
"""

# unnest keeps the array's order, so all processes lock in the same order: no deadlock.
SQL_LOCK_PLACES = "SELECT count(pg_advisory_xact_lock(key)) FROM unnest($1::bigint[]) AS key"

SQL_KNOWN_REPORTS = "SELECT report_id FROM case_reports WHERE report_id = ANY($1::uuid[])"

# The rows are locked, so that no person closes a case between this look and the attachment: always in the order of
# their ids. At one place there may be thousands, of years; near in time there are few, and of those the nearest count.
SQL_CANDIDATES = f"""
WITH near AS MATERIALIZED (
    SELECT s.number, l.case_id
    FROM {unnest(Look, "s", first=2)}
    CROSS JOIN LATERAL (
        SELECT c.case_id FROM cases c
        WHERE c.cell = s.cell AND c.kind = s.kind AND c.live
          AND c.seen_at BETWEEN s.seen_at - $1 * interval '1 hour' AND s.seen_at + $1 * interval '1 hour'
          AND c.lng BETWEEN s.west AND s.east AND c.lat BETWEEN s.south AND s.north
        ORDER BY ((c.lng - s.lng) * cosd(s.lat)) ^ 2 + (c.lat - s.lat) ^ 2, c.case_id LIMIT {NEAREST_MAX}
    ) l
)
SELECT near.number, {_CASE_COLUMNS},
       (SELECT r.text FROM case_reports r WHERE r.case_id = c.case_id AND r.version = 1) AS text
FROM near JOIN cases c ON c.case_id = near.case_id AND c.live
ORDER BY c.case_id
FOR UPDATE OF c
"""

SQL_LOCK_CASES = f"""
SELECT {_CASE_COLUMNS} FROM cases c WHERE c.case_id = ANY($1::uuid[]) ORDER BY c.case_id FOR UPDATE
"""

SQL_CASE = f"SELECT {_CASE_COLUMNS} FROM cases c WHERE c.case_id = $1"

SQL_CASES = f"""
SELECT {_CASE_COLUMNS} FROM cases c WHERE c.case_id = ANY($1::uuid[]) ORDER BY c.due_at, c.case_id
"""

# A statement of its own: one that waits for a row lock still reads other tables as they were before it waited.
SQL_ORDINALS = """
SELECT r.case_id, r.rider_id, r.ordinal FROM unnest($1::uuid[], $2::uuid[]) AS asked (case_id, rider_id)
JOIN case_reports r ON r.case_id = asked.case_id AND r.rider_id = asked.rider_id AND r.ordinal IS NOT NULL
"""
SQL_REPORTED_BY = """
SELECT case_id FROM case_reports WHERE rider_id = $1 AND case_id = ANY($2::uuid[]) AND ordinal IS NOT NULL
"""

# New rows come by COPY, which costs the server and the client half of what INSERT from arrays does.
SQL_ENTER_CASES = Copy(OpenedCase, "cases")
SQL_ENTER_REPORTS = Copy(CaseReport, "case_reports")
SQL_ENTER_STEPS = Copy(NewStep, "steps")

# The version read under the row lock is checked again: a step decided on an older state changes nothing.
SQL_UPDATE_CASES = f"""
UPDATE cases c SET version = n.version, state = n.state, live = n.live, grid_code = n.grid_code,
       alternatives = string_to_array(n.alternatives, ','), department = n.department, due_at = n.due_at,
       changed_at = n.changed_at, paused_at = n.paused_at, claimed_by_id = n.claimed_by_id,
       claimed_by_name = n.claimed_by_name, claimed_by_role = n.claimed_by_role, handled_by = n.handled_by,
       report_count = n.report_count
FROM {unnest(ChangedCase)}
WHERE c.case_id = n.case_id AND c.version = n.version_before
RETURNING c.case_id
"""

# The first steps whole; of a crowded case's later ones those that people took, which have an index of their own.
SQL_STEPS = Query(
    StepRow,
    f"""
(SELECT {columns(StepRow)} FROM steps WHERE case_id = $1 AND version <= 100)
UNION ALL
(SELECT {columns(StepRow)} FROM steps
 WHERE case_id = $1 AND version > 100 AND step NOT IN ('attached', 'repeated') ORDER BY version DESC LIMIT 400)
ORDER BY version
""",
)

SQL_CASE_WORDS = Query(
    Words,
    f"""
SELECT {columns(Words)} FROM case_reports WHERE case_id = $1 AND version > $2 ORDER BY version LIMIT $3
""",
)

SQL_DEADLINES = """
SELECT level, CASE WHEN due_at <= $1 THEN 'overdue' ELSE 'soon' END AS state, count(*) AS cases
FROM (SELECT level, due_at, opened_at, paused_at FROM cases WHERE live ORDER BY due_at LIMIT $2) urgent
WHERE paused_at IS NULL AND due_at - $1 < (due_at - opened_at) / 4 GROUP BY 1, 2
"""
URGENT_MAX = 8_000


class Overtaken(RuntimeError):
    """A case changed although its row was locked: the batch must be undone and tried again."""


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report to be kept with its case: the step that brought it, and what it says."""

    taken: Taken
    text: str
    photos: tuple[str, ...]


async def lock_places(conn: Connection, locks: Sequence[int]) -> None:
    """Wait for every other transaction that works on reports around these places; `locks` sorted."""
    await conn.execute(SQL_LOCK_PLACES, locks)


async def known_reports(conn: Connection, report_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the reports belong to a case already."""
    return {row["report_id"] for row in await conn.fetch(SQL_KNOWN_REPORTS, report_ids)}


async def candidates(conn: Connection, sightings: Sequence[Sighting], hours: float) -> dict[int, list[Candidate]]:
    """Live cases near each sighting, seen at most so many hours before or after it, by the sighting's number; locked.

    Of very many the nearest. One case is one object for all sightings.
    """
    looks = [
        Look.of(number, sighting, cell) for number, sighting in enumerate(sightings) for cell in sighting.reach.cells
    ]
    found = await conn.fetch(SQL_CANDIDATES, hours, *arrays(Look, looks))
    if not found:
        return {}
    known: dict[UUID, Candidate] = {}
    by_number: dict[int, list[Candidate]] = defaultdict(list)
    for row in found:
        case_id = row["case_id"]
        if case_id not in known:
            known[case_id] = Candidate(_case(row), row["text"] or "", row["version"])
        by_number[row["number"]].append(known[case_id])
    pairs = {(one.case.case_id, sightings[number].rider_id) for number, near in by_number.items() for one in near}
    for row in await conn.fetch(SQL_ORDINALS, *map(list, zip(*pairs, strict=True))):
        known[row["case_id"]].ordinals[row["rider_id"]] = row["ordinal"]
    return by_number


async def reported_by(conn: Connection, person_id: str, case_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Which of the cases a rider reported."""
    try:
        rider_id = UUID(person_id)
    except ValueError:
        return frozenset()
    return frozenset(row["case_id"] for row in await conn.fetch(SQL_REPORTED_BY, rider_id, case_ids))


async def lock_cases(conn: Connection, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
    """Cases, locked to the end of the transaction; unknown ids are left out."""
    return {row["case_id"]: _case(row) for row in await conn.fetch(SQL_LOCK_CASES, case_ids)}


async def case(conn: Connection, case_id: UUID) -> Case | None:
    """One case."""
    row = await conn.fetchrow(SQL_CASE, case_id)
    return None if row is None else _case(row)


async def cases(conn: Connection, case_ids: Sequence[UUID]) -> list[Case]:
    """Cases by their ids, the most urgent first."""
    return [_case(row) for row in await conn.fetch(SQL_CASES, case_ids)]


async def insert_cases(conn: Connection, new: Sequence[Case]) -> None:
    """Insert cases that were opened; their version may already count attached reports."""
    await copy_rows(conn, SQL_ENTER_CASES, [OpenedCase.of(one) for one in new])


async def update_cases(conn: Connection, changed: Sequence[tuple[int, Case]]) -> None:
    """Write cases that took steps; each with the version that it had in the database.

    Raises:
        Overtaken: a row had another version.
    """
    if not changed:
        return
    rows = [ChangedCase.of(before, case) for before, case in changed]
    written = await conn.fetch(SQL_UPDATE_CASES, *arrays(ChangedCase, rows))
    if len(written) != len(changed):
        raise Overtaken(f"{len(changed) - len(written)} cases changed under their lock")


async def insert_reports(conn: Connection, new: Sequence[NewReport]) -> None:
    """Keep reports with their cases; a report belongs to one case for good. A repetition has no ordinal of its own."""
    rows = [CaseReport.of(n.taken, n.taken.report, n.text, n.photos) for n in new if n.taken.report is not None]
    await copy_rows(conn, SQL_ENTER_REPORTS, rows)


async def insert_steps(conn: Connection, taken: Sequence[Taken]) -> None:
    """Append steps."""
    await copy_rows(conn, SQL_ENTER_STEPS, [NewStep.of(one) for one in taken])


async def steps(conn: Connection, case_id: UUID) -> list[StepRow]:
    """A case's steps in order: the first hundred, and the latest 400 of those that brought no report."""
    return await many(conn, SQL_STEPS, case_id)


async def words(conn: Connection, case_id: UUID, after: int, rows_max: int) -> list[Words]:
    """What the case's reports say, repetitions too, in the order in which they came: those after a version."""
    return await many(conn, SQL_CASE_WORDS, case_id, after, rows_max)


async def tallies(conn: Connection) -> dict[str, int]:
    """Counts for the reconciliation: reports, cases, open, live, closed, invalid, steps."""
    kept = await counters.kept(conn, "state", "reports", "steps")
    by_state = kept.by_label("state")
    return {
        "reports": kept.of("reports"),
        "cases": sum(by_state.values()),
        "live": sum(n for state, n in by_state.items() if state in LIVE),
        **{state: by_state.get(state, 0) for state in ("open", "closed", "invalid")},
        "steps": kept.of("steps"),
    }


async def deadlines(conn: Connection, now: datetime) -> dict[tuple[str, str], int]:
    """The most urgent live cases by level and `soon` or `overdue`; one whose limit rests counts as neither."""
    return {(row["level"], row["state"]): row["cases"] for row in await conn.fetch(SQL_DEADLINES, now, URGENT_MAX)}


def _case(row: asyncpg.Record) -> Case:
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
        report_count=row["report_count"],
    )
