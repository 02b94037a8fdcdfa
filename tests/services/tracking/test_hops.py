"""Durations from stage to stage where the newest reports are all of one crowded case. Real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from services.tracking.store import figures
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from tests.reads import analyze, rows_read
from tests.services.tracking.conftest import Tracking

T0 = datetime(2026, 3, 1, 8, tzinfo=UTC)
CROWD = 3_000
SQL_CASES = """
INSERT INTO cases (case_id, version, state, kind, level, grid_code, street, lng, lat, report_count, opened_at, due_at,
                   changed_at)
SELECT u.id, 1, 'open', 'part-01001', 'routine', 'G1', '', 120.1, 30.2, 1, $2, $2, $2 FROM unnest($1::uuid[]) AS u (id)
"""
SQL_REPORTS = """
INSERT INTO reports (report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at)
SELECT u.id, 'feima', u.id::text, u.id, 'part-01001', 'routine', 120.1, 30.2, $2, $2 FROM unnest($1::uuid[]) AS u (id)
"""
SQL_IN_CASE = """
INSERT INTO case_reports (report_id, case_id, version, company, at)
SELECT u.id, $2, u.n, 'feima', $3 FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, n)
"""
SQL_ATTACHED = """
INSERT INTO case_steps (case_id, version, step, state, report_id, grid_code, note, at)
SELECT $2, u.n, CASE WHEN u.n = 1 THEN 'opened' ELSE 'attached' END, 'open', u.id, 'G1', '', $3
FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, n)
"""
SQL_STEP = """
INSERT INTO case_steps (case_id, version, step, state, grid_code, note, at) VALUES ($1, $2, $3, $3, 'G1', '', $4)
"""
SQL_POSTED = """
INSERT INTO movements (report_id, version, company, movement, amount, at)
SELECT u.id, 1, 'feima', 'posted', 50, $2 FROM unnest($1::uuid[]) AS u (id)
"""


@pytest.mark.parametrize("closed_at", [60, CROWD], ids=["early, reopened", "late"])
async def test_a_crowded_case_is_read_once(tracking: Tracking, installation: Installation, closed_at: int) -> None:
    """It closes twice; the later one counts."""
    case_id, reports = new_id(), [new_id() for _ in range(CROWD)]
    async with tracking.owner.acquire() as conn:
        await tracking.empty(conn)  # other tests' reports may be newer by their ids
        await conn.execute(SQL_CASES, [case_id], T0)
        await conn.execute(SQL_REPORTS, reports, T0)
        await conn.execute(SQL_IN_CASE, reports, case_id, T0 + timedelta(seconds=2))
        await conn.execute(SQL_ATTACHED, reports, case_id, T0)
        await conn.execute("DELETE FROM case_steps WHERE version IN (50, $1)", closed_at)
        await conn.execute(SQL_STEP, case_id, 50, "closed", T0 + timedelta(seconds=5))
        await conn.execute(SQL_STEP, case_id, closed_at, "closed", T0 + timedelta(seconds=10))
        await conn.execute(SQL_POSTED, reports, T0 + timedelta(seconds=13))
    await analyze(installation, "tracking", "reports", "cases", "case_steps", "case_reports", "movements", "routings")
    async with tracking.pool.acquire() as conn:
        before = await rows_read(conn, "case_steps", tracking.pool)
        hops = {hop.hop: hop for hop in await figures.hops(conn, None)}
        assert await rows_read(conn, "case_steps", tracking.pool) - before < 2 * 100
    assert (hops["accepted_to_case"].reports, hops["accepted_to_case"].p50_ms) == (figures.HOPS_REPORTS_MAX, 2_000)
    assert (hops["closed_to_posted"].reports, hops["closed_to_posted"].p99_ms) == (figures.HOPS_REPORTS_MAX, 3_000)
