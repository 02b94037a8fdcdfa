"""Numbers of deliveries that are not sent: kept as they change, and nobody reads what has been dead for a month."""

from uuid import UUID

import pytest

from services.notifications.store import deliveries, messages, webhooks
from services.notifications.usecases import sending
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from tests.reads import analyze, rows_read
from tests.services.notifications.stage import NOON, Stage

DEAD = 50_000
SQL_ADD = """
INSERT INTO deliveries (event_id, lane, target_id, template, params, state, attempts_allowed, next_attempt_at,
                        created_at, finished_at)
SELECT gen_random_uuid(), $1, $2, 'case', '{}', $3, 1, now(), now() - i * interval '20 seconds',
       CASE WHEN $3 IN ('sent', 'dead') THEN now() END
FROM generate_series(1, $4::int) AS i
"""


async def _figures(conn: Connection) -> dict[tuple[str, str], int]:
    return {(lane, state): n for lane, state, n, _ in await deliveries.figures(conn) if n}


@pytest.mark.parametrize("asked", ["gauges", "webhooks", "page"])
async def test_what_is_dead_is_not_read(installation: Installation, stage: Stage, asked: str) -> None:
    hook = new_id()
    await stage.rows(SQL_ADD, "webhook", hook, "dead", DEAD)
    await stage.rows(SQL_ADD, "channel", new_id(), "dead", 3)
    await analyze(installation, "notifications", "deliveries")
    async with stage.pool.acquire() as conn:
        before = await rows_read(conn, "deliveries", stage.pool)
        if asked == "gauges":
            found = {(lane, state): (n, age_s) for lane, state, n, age_s in await deliveries.figures(conn)}
            assert (found["webhook", "dead"][0], found["channel", "dead"][0]) == (DEAD, 3)
            assert found["webhook", "dead"][1] >= DEAD * 20 and 60 <= found["channel", "dead"][1] < 600
            assert found.get(("webhook", "pending"), (0, 0.0)) == (0, 0.0)
        elif asked == "webhooks":
            assert await webhooks.figures(conn, [hook, UUID(int=0)]) == {hook: {"dead": DEAD}, UUID(int=0): {}}
        else:
            page = await deliveries.listed(conn, "dead", None, 10)
            rest = await deliveries.listed(conn, "dead", (page[4].created_at, page[4].delivery_id), 5)
            assert page[5:] == rest and [one.created_at for one in page] == sorted(one.created_at for one in page)
        assert await rows_read(conn, "deliveries", stage.pool) - before < 200


async def test_numbers_follow_every_change(stage: Stage) -> None:
    hook, other, channel = new_id(), new_id(), new_id()
    async with stage.pool.acquire() as conn:
        for lane, target, state, n in (
            ("webhook", hook, "pending", 5), ("webhook", hook, "dead", 4), ("webhook", other, "dead", 2),
            ("channel", channel, "failed", 3), ("channel", channel, "sent", 7),
        ):  # fmt: skip
            await conn.execute(SQL_ADD, lane, target, state, n)
        assert await webhooks.figures(conn, [hook, other]) == {hook: {"pending": 5, "dead": 4}, other: {"dead": 2}}
        assert await deliveries.retry_target(conn, hook, NOON, 3, 3) == 3
        assert await webhooks.figures(conn, [hook]) == {hook: {"pending": 5, "failed": 3, "dead": 1}}
        # the channel is gone; what was retried is old
        await sending.sweep(stage.pool, stage.settings.model_copy(update={"delivery_age_hours_max": 24}))
        assert await _figures(conn) == {("webhook", "pending"): 5, ("webhook", "dead"): 6}
        assert await messages.tallies(conn) == {
            "messages": 0, "deliveries_waiting": 5, "deliveries_sent": 7, "deliveries_dead": 6,
        }  # fmt: skip
    async with stage.pool.acquire() as conn:
        await sending.measure(conn)
    async with stage.pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
        await conn.execute("DELETE FROM deliveries WHERE target_id = $1", other)
        assert await webhooks.figures(conn, [other]) == {other: {}}


async def test_a_recount_finds_a_wrong_number(stage: Stage) -> None:
    hook = new_id()
    async with stage.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ADD, "webhook", hook, "dead", 2)
        await conn.execute("UPDATE counters SET n = n + 3 WHERE what IN ('deliveries', 'webhook_deliveries')")
        found = await counters.differences(conn)
        assert {(one.what, one.kept - one.counted) for one in found} == {("deliveries", 3), ("webhook_deliveries", 3)}
        await counters.correct(conn, found)
        assert await counters.differences(conn) == []
        assert await webhooks.figures(conn, [hook]) == {hook: {"dead": 2}}
