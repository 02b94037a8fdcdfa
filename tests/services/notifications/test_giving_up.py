"""A backlog that is given up goes in small shares, and all of it at once. Real Postgres."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.notifications.store import deliveries
from services.notifications.usecases import sending
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection
from tests.reads import analyze, rows_read
from tests.services.notifications.stage import Stage

BACKLOG = 2_600
SHARE = 100
AGE = timedelta(hours=72)
SQL_WAITING = """
INSERT INTO deliveries (event_id, lane, target_id, template, params, state, attempts_allowed, next_attempt_at,
                        created_at)
SELECT gen_random_uuid(), $1, $2, 'case', '{}', $3, 1, now(), now() - $4::interval - i * interval '1 ms'
FROM generate_series(1, $5::int) AS i
"""
SQL_WEBHOOK = """
INSERT INTO webhooks (company, webhook_id, url, sealed, active, version, updated_at)
VALUES ($1, $2, 'http://x', 's', $3, 1, now())
"""
SQL_CHANNEL = """
INSERT INTO channels (channel_id, area, kind, sealed, hint, topics, created_at, verified_at)
VALUES ($1, 'G1', 'wecom', 's', 'h', '{}', now(), now())
"""
SQL_LEFT = "SELECT lane, state, count(*) AS n FROM deliveries GROUP BY lane, state"


async def hook(stage: Stage, company: str, *, active: bool) -> UUID:
    made = new_id()
    await stage.rows(SQL_WEBHOOK, company, made, active)
    return made


async def channel(stage: Stage) -> UUID:
    made = new_id()
    await stage.rows(SQL_CHANNEL, made)
    return made


async def left(stage: Stage) -> dict[tuple[str, str], int]:
    return {(row["lane"], row["state"]): row["n"] for row in await stage.rows(SQL_LEFT)}


async def test_the_whole_backlog_goes_at_once(stage: Stage) -> None:
    on, off, there = await hook(stage, "mt", active=True), await hook(stage, "el", active=False), await channel(stage)
    day, week = timedelta(days=1), timedelta(days=7)
    for lane, target, state, age in (
        ("webhook", on, "pending", week), ("webhook", on, "failed", week), ("webhook", off, "pending", day),
        ("channel", new_id(), "pending", day), ("channel", new_id(), "failed", day), ("channel", there, "failed", week),
    ):  # fmt: skip
        await stage.rows(SQL_WAITING, lane, target, state, age, BACKLOG)
    await stage.rows(SQL_WAITING, "webhook", on, "pending", day, 7)
    await stage.rows(SQL_WAITING, "channel", there, "pending", day, 8)
    await sending.sweep(stage.pool, stage.settings)
    assert await left(stage) == {
        ("webhook", "dead"): 3 * BACKLOG, ("channel", "dead"): BACKLOG, ("webhook", "pending"): 7,
        ("channel", "pending"): 8,
    }  # fmt: skip


async def _share(conn: Connection, what: str) -> Any:
    match what:
        case "orphans":
            return await deliveries.drop_orphans(conn, "pending", None, SHARE)
        case "switched off":
            return await deliveries.give_up_switched_off(conn, SHARE)
        case _:
            return await deliveries.give_up_old(conn, AGE, SHARE)


@pytest.mark.parametrize("what", ["orphans", "switched off", "old"])
@pytest.mark.parametrize("due", [True, False], ids=["all", "nothing"])
async def test_a_share_reads_a_share(installation: Installation, stage: Stage, what: str, due: bool) -> None:
    """Whether all that waits is due, or nothing of it."""
    on, off, there = await hook(stage, "mt", active=True), await hook(stage, "el", active=False), await channel(stage)
    target = {"orphans": new_id() if due else there, "switched off": off if due else on, "old": on}[what]
    lane, age = "channel" if what == "orphans" else "webhook", timedelta(days=7 if due else 1)
    await stage.rows(SQL_WAITING, lane, target, "pending", age, 20 * BACKLOG)
    await analyze(installation, "notifications", "deliveries", "webhooks", "channels")
    async with stage.pool.acquire() as conn:
        before = await rows_read(conn, "deliveries", stage.pool)
        found = await _share(conn, what)
        # what is given up is found, locked and written: three times
        assert await rows_read(conn, "deliveries", stage.pool) - before < 6 * SHARE
    assert found is not None if what == "orphans" else found == (SHARE if due else 0)
