"""Which cases are nearly or really late, as the alerts see them."""

from datetime import timedelta

from services.cases import store
from shared.kit.db import Pool
from tests.store.cases.conftest import SEEN_AT, Cases, Routed

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
