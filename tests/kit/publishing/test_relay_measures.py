"""A relay without Kafka still says how much waits: what an alert and the limit of the outbox depend on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared.devtools.infra.ports import free_port
from shared.devtools.installation import Installation
from shared.kit import metrics
from shared.kit.ids import new_id
from shared.kit.postgres.db import Pool
from shared.kit.publishing.relay import Relay
from tests.support import settings_of

SQL_QUEUE = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload)
VALUES ($1, 'points.account-changed.v1', 'nobody', 1, now() - interval '5 minutes', '{}')
"""


async def test_depth_and_age_are_known_without_kafka(
    installation: Installation, pool_for: Callable[[str], Awaitable[Pool]]
) -> None:
    pool = await pool_for("points")
    event_id = new_id()
    await pool.execute("DELETE FROM outbox")  # what other tests have left would be older in the order of ids
    await pool.execute(SQL_QUEUE, event_id)
    relay = Relay(settings_of(installation, "points", kafka_bootstrap=f"127.0.0.1:{free_port()}"), "points")
    running = asyncio.create_task(relay.run())
    try:
        async with asyncio.timeout(60):
            while relay.depth == 0:
                await asyncio.sleep(0.05)
        assert metrics.OUTBOX_AGE._value.get() > 290
        assert metrics.OUTBOX_DEPTH._value.get() >= 1
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await pool.execute("DELETE FROM outbox WHERE event_id = $1", event_id)
