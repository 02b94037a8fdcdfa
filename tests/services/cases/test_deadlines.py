"""Which cases are nearly or really late, as the alerts see them."""

from datetime import timedelta

import pytest

from services.cases import store
from shared.kit.postgres.db import Pool
from tests.services.cases.conftest import SEEN_AT, Cases, Routed

HOUR = timedelta(hours=1)


async def test_cases_become_soon_overdue_and_then_overdue(pool: Pool, cases: Cases, routed: Routed) -> None:
    await cases.report(routed())
    async with pool.acquire() as conn:
        row = await conn.fetchrow("SELECT level, opened_at, due_at FROM cases")
        assert row is not None
        level, limit = row["level"], row["due_at"] - row["opened_at"]
        assert await store.deadlines(conn, row["due_at"] - limit / 2) == {}
        assert await store.deadlines(conn, row["due_at"] - limit / 5) == {(level, "soon"): 1}
        assert await store.deadlines(conn, row["due_at"] + HOUR) == {(level, "overdue"): 1}


async def test_a_resting_limit_and_a_closed_case_are_neither(pool: Pool, cases: Cases, routed: Routed) -> None:
    await cases.report(routed())
    async with pool.acquire() as conn:
        late = SEEN_AT + timedelta(days=3650)
        await conn.execute("UPDATE cases SET paused_at = now()")
        assert await store.deadlines(conn, late) == {}
        await conn.execute("UPDATE cases SET paused_at = NULL, live = false, state = 'closed'")
        assert await store.deadlines(conn, late) == {}


async def test_of_very_many_the_most_urgent_are_counted(
    pool: Pool, cases: Cases, routed: Routed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm may leave more live cases than a gauge can read every few seconds."""
    await cases.report(routed(), routed(metres=200), routed(metres=400))
    async with pool.acquire() as conn:
        await conn.execute("UPDATE cases SET due_at = due_at + interval '9 years' WHERE lat > 30.3 + 0.001")
        late = SEEN_AT + timedelta(days=365)
        assert sum((await store.deadlines(conn, late)).values()) == 1
        await conn.execute("UPDATE cases SET due_at = opened_at + interval '1 day'")
        assert sum((await store.deadlines(conn, late)).values()) == 3
        monkeypatch.setattr(store, "URGENT_MAX", 2)
        assert sum((await store.deadlines(conn, late)).values()) == 2
