"""What topics tell, written down. Each function takes a batch; its number of statements doesn't depend on the size."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from uuid import UUID

from services.tracking.domain import CaseState, CaseStep, Movement, ReceivedReport, Routing
from shared.kit.db import Connection

SQL_ADD_REPORTS = """
INSERT INTO reports (report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::float8[],
                     $8::float8[], $9::timestamptz[], $10::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_ROUTINGS = """
INSERT INTO routings (report_id, version, outcome, reason, grid_code, grid_name, ambiguous, department, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::text[],
                     $9::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_UPSERT_CASES = """
INSERT INTO cases (case_id, version, state, kind, level, grid_code, department, lng, lat, report_count, opened_at,
                   due_at, changed_at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::float8[], $9::float8[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[])
ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, state = excluded.state,
    grid_code = excluded.grid_code, department = excluded.department, report_count = excluded.report_count,
    due_at = excluded.due_at, changed_at = excluded.changed_at
WHERE cases.version < excluded.version
"""

SQL_ADD_STEPS = """
INSERT INTO case_steps (case_id, version, step, state, actor_name, actor_role, report_id, grid_code, note, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                     $9::text[], $10::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_CASE_REPORTS = """
INSERT INTO case_reports (report_id, case_id, at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_MOVEMENTS = """
INSERT INTO movements (report_id, version, movement, amount, reason, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_UPSERT_COMPANY = """
INSERT INTO companies (company_id, code, version, active, keys) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (company_id) DO UPDATE SET code = excluded.code, version = excluded.version, active = excluded.active,
    keys = excluded.keys
WHERE companies.version < excluded.version
"""

SQL_SEALED = """
SELECT c.code, k ->> 0 AS key_id, k ->> 1 AS sealed FROM companies c, jsonb_array_elements(c.keys) k
"""
SQL_COMPANY_KEYS = "SELECT keys FROM companies WHERE code = $1 AND active"


async def add_reports(conn: Connection, rows: Sequence[ReceivedReport]) -> None:
    """Reports that were received."""
    if rows:
        await conn.execute(SQL_ADD_REPORTS, *_columns(_values(rows)))


async def add_routings(conn: Connection, rows: Sequence[Routing]) -> None:
    """Decisions of routing."""
    if rows:
        await conn.execute(SQL_ADD_ROUTINGS, *_columns(_values(rows)))


async def upsert_cases(conn: Connection, rows: Sequence[CaseState]) -> None:
    """The latest states; at most one per case. An older version changes nothing."""
    if rows:
        # In key order, so that two processes never wait for each other in a circle.
        ordered = sorted(rows, key=lambda row: row.case_id)
        await conn.execute(SQL_UPSERT_CASES, *_columns(_values(ordered)))


async def add_steps(conn: Connection, rows: Sequence[CaseStep]) -> None:
    """Steps of cases, and for those that brought a report, which case the report belongs to."""
    if not rows:
        return
    await conn.execute(SQL_ADD_STEPS, *_columns(_values(rows)))
    links = [(row.report_id, row.case_id, row.at) for row in rows if row.report_id is not None]
    if links:
        await conn.execute(SQL_ADD_CASE_REPORTS, *_columns(links))


async def add_movements(conn: Connection, rows: Sequence[Movement]) -> None:
    """Movements of reports' points."""
    if rows:
        await conn.execute(SQL_ADD_MOVEMENTS, *_columns(_values(rows)))


async def upsert_company(
    conn: Connection, company_id: UUID, code: str, version: int, active: bool, keys: list[tuple[str, str]]
) -> None:
    """A company and its active keys (id, sealed secret), newest first; an older version changes nothing."""
    await conn.execute(SQL_UPSERT_COMPANY, company_id, code, version, active, keys)


async def company_keys(conn: Connection, code: str) -> list[tuple[str, str]]:
    """Keys (id, sealed secret) of an active company, newest first; [] for any other."""
    found = await conn.fetchval(SQL_COMPANY_KEYS, code)
    return [(key_id, sealed) for key_id, sealed in found or []]


async def sealed(conn: Connection) -> list[tuple[str, str, str]]:
    """(company, key id, sealed) of all companies' keys."""
    return [(row["code"], row["key_id"], row["sealed"]) for row in await conn.fetch(SQL_SEALED)]


def _values(rows: Sequence[ReceivedReport | Routing | CaseState | CaseStep | Movement]) -> Iterable[tuple[object, ...]]:
    # Not dataclasses.astuple, which copies every value: ten times slower.
    return map(attrgetter(*(field.name for field in fields(rows[0]))), rows)


def _columns(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))
