"""Whatever topic is heard first, the same is known in the end; the city hears every step once."""

import random
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from services.tracking import usecases
from services.tracking.store import figures, journeys
from shared.events.public_case_changed import PublicCaseChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from tests.services.tracking.conftest import T0, TABLES, Story
from tests.support import work_on

SQL_READ_HERE = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
WHERE schemaname = current_schema() AND relname = 'case_reports'
"""


async def test_any_order_of_topics_ends_in_the_same_state(tracking: Any, pool: Pool) -> None:
    story = Story()
    batches = story.whole()
    await tracking.hear(*batches)
    expected = await tracking.state(pool, story)
    assert [len(rows) for rows in expected.values()] == [1, 2, 1, 5, 1, 2]
    for order in permutations(["reports", "routings", "cases", "points"]):
        ordered = [batch for topic in order for batch in batches if batch[0] == topic]
        assert await tracking.state_after(story, ordered) == expected, order


async def test_interleavings_and_repetitions_change_nothing(tracking: Any) -> None:
    dice = random.Random(7)
    story = Story()
    batches = story.whole()
    expected = await tracking.state_after(story, batches)
    for _ in range(10):
        mixed = [*batches, *dice.sample(batches, 3)]
        dice.shuffle(mixed)
        assert await tracking.state_after(story, mixed) == expected


async def test_the_city_hears_each_step_once_without_any_rider(tracking: Any, pool: Pool) -> None:
    story = Story()
    await tracking.hear(*story.whole())
    rows = await pool.fetch("SELECT version, payload FROM outbox WHERE key = $1 ORDER BY id", str(story.case_id))
    assert [row["version"] for row in rows] == [1, 2, 3, 4, 5]
    for row in rows:
        text = bytes(row["payload"]).decode()
        for secret in (story.rider_id, story.report_id, "王芳", "120.3012345", "井盖破损", story.company):
            assert str(secret) not in text
        public = PublicCaseChanged.model_validate_json(text)
        assert (public.lng, public.lat) == (120.3012, 30.3054)
        assert public.kind_name_zh == "供水井盖"
        assert public.report_count == 1
    assert orjson.loads(rows[-1]["payload"])["state"] == "closed"


async def test_progress_export_and_hops(tracking: Any, pool: Pool) -> None:
    company = "progress-co"
    whole, waiting, young = (Story(f"P-{n}", company) for n in range(3))
    lost = waiting.routed(1, outcome="unroutable", grid_code=None, reason="outside")
    await tracking.owner.execute(
        f"TRUNCATE counters, dead_letters, erased_riders, {', '.join(TABLES)}"
    )  # durations are of all reports, other tests' too
    await tracking.hear(*whole.whole(), ("reports", [waiting.received, young.received]), ("routings", [lost]))
    async with pool.acquire() as conn:
        progress = await figures.progress(conn, company)
        rows = await journeys.export_page(conn, company, UUID(int=0), 10)
        hops = {hop.hop: hop for hop in await figures.hops(conn, None)}
        none = await figures.hops(conn, T0.replace(year=2100))
    assert progress == figures.Progress(
        received=3, routed=1, unroutable=1, in_case=1, closed=1, points_posted=1, points=50, settled=2
    )
    shown = {row.external_id: (row.grid_code, row.case_id, row.state, row.points) for row in rows}
    assert shown == {
        "P-0": ("330114001002003", whole.case_id, "closed", 50),
        "P-1": (None, None, "unroutable", 0),
        "P-2": (None, None, "received", 0),
    }
    assert hops["accepted_to_routed"].p50_ms == pytest.approx(100)
    assert hops["case_to_held"].p50_ms == pytest.approx(100)
    assert hops["closed_to_posted"].p99_ms == pytest.approx(800)
    assert none == []


async def test_the_end_of_a_crowd_reads_few_of_its_reports(tracking: Any, pool: Pool) -> None:
    """However many reported it: what a close counts is kept, not read; and it is what history has."""
    story, crowd = Story(company="crowd-1"), 1_500
    steps = [
        story.case(
            n, "attached", "open", n, actor=None, report_count=n,
            report={"report_id": new_id(), "rider_id": new_id(), "company": f"crowd-{n % 3}", "ordinal": n},
        )
        for n in range(2, crowd + 1)
    ]  # fmt: skip
    await tracking.hear(("cases", [story.case(1, "opened", "open", 0)]), ("cases", steps[:700]), ("cases", steps[700:]))
    async with pool.acquire() as conn, conn.transaction():
        before = await conn.fetchval(SQL_READ_HERE)
        await tracking._hear(conn, ("cases", [story.case(crowd + 1, "closed", "closed", 9_000, report_count=crowd)]))
        assert await conn.fetchval(SQL_READ_HERE) - before < 250
        assert await counters.differences(conn) == []
        kept = await counters.kept(conn, "closed")
    assert [kept.of("closed", f"crowd-{n}") for n in range(3)] == [crowd // 3] * 3


async def test_pages_of_an_export_meet(tracking: Any, pool: Pool) -> None:
    stories = [Story(f"E-{n}", "export-co") for n in range(25)]
    await tracking.hear(("reports", [story.received for story in stories]))
    seen: list[str] = []
    after = UUID(int=0)
    async with pool.acquire() as conn:
        while page := await journeys.export_page(conn, "export-co", after, 10):
            seen += [row.external_id for row in page]
            after = page[-1].report_id
    assert sorted(seen) == sorted(f"E-{n}" for n in range(25))


@pytest.mark.parametrize("table", ["reports", "routings", "case_steps", "case_reports", "movements"])
async def test_what_happened_is_not_edited(pool: Pool, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(f"DELETE FROM {table}")


async def test_a_case_leaves_the_public_topic_some_time_after_its_end(tracking: Any, pool: Pool) -> None:
    """With the version of the state that leaves; a step that comes meanwhile keeps it, one that comes later returns."""

    async def steps(story: Story) -> list[tuple[int, bool]]:
        rows = await pool.fetch("SELECT version, payload FROM outbox WHERE key = $1 ORDER BY id", str(story.case_id))
        return [(row["version"], row["payload"] is not None) for row in rows]

    async def retire() -> int:
        async with work_on(pool) as work:
            return await usecases.retire_cases(work, 30)

    await tracking.owner.execute("TRUNCATE ended_cases")
    over, young, reopened, busy, live = (Story(f"L-{n}") for n in range(5))
    long_ago = clock.now() - timedelta(days=31)
    for story, at in ((over, long_ago), (young, clock.now()), (reopened, long_ago), (busy, long_ago)):
        await tracking.hear(
            ("cases", [story.case(1, "opened", "open", 1), story.case(2, "closed", "closed", 2, changed_at=at)])
        )
    await tracking.hear(("cases", [live.case(1, "opened", "open", 1, changed_at=long_ago)]))
    await tracking.hear(("cases", [reopened.case(3, "reopened", "open", 3)]))
    async with tracking.owner.acquire() as step, step.transaction():
        await step.execute("SELECT FROM cases WHERE case_id = $1 FOR NO KEY UPDATE", busy.case_id)
        assert await retire() == 2  # the one that takes a step right now is left for the next look
    assert await steps(over) == [(1, True), (2, True), (2, False)]
    assert [await steps(one) for one in (young, busy)] == [[(1, True), (2, True)]] * 2
    assert await steps(reopened) == [(1, True), (2, True), (3, True)]
    assert await steps(live) == [(1, True)]
    assert (await retire(), await retire()) == (1, 0)
    await tracking.hear(("cases", [over.case(3, "reopened", "open", 3)]))
    await tracking.hear(("cases", [over.case(4, "invalidated", "invalid", 4, changed_at=long_ago)]))
    assert await retire() == 1
    assert await steps(over) == [(1, True), (2, True), (2, False), (3, True), (4, True), (4, False)]
