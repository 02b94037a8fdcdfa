"""How fast the sweeper deletes, in the table of which it deletes most: the messages of notifications."""

import asyncpg

from shared.devtools.suite import Suite
from shared.kit import clock
from shared.kit.postgres.db import prepare_connection
from shared.kit.postgres.sweeping import Sweeper
from shared.provision.services import tables_of

SERVICE, TABLE = "notifications", "messages"
ROWS = 100_000
SQL_OLD_ROWS = """
INSERT INTO messages (rider_id, message_id, topic, template, params, created_at)
SELECT gen_random_uuid(), uuidv7(), 'points.account-changed.v1', 'points_held', '{"amount": 5}',
       now() - interval '800 days' + make_interval(secs => n) FROM generate_series(1, $1) AS n
"""


async def sweep_rate(suite: Suite) -> float:
    """Rows a second, the sweeper's own pauses included. Ends the service, whose own sweeper would help.

    Raises:
        RuntimeError: something else deleted them as well.
    """
    suite.services.pop(SERVICE).stop()
    [table] = [one for one in tables_of(SERVICE) if one.name == TABLE]
    dsn = suite.installation.dsn(SERVICE)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, init=prepare_connection) as pool:
        await pool.execute(SQL_OLD_ROWS, ROWS)
        began_s = clock.monotonic_s()
        gone = await Sweeper(lambda: True, lambda: pool, [table], {}).sweep(table)
        took_s = clock.monotonic_s() - began_s
    if gone != ROWS:
        raise RuntimeError(f"{gone} rows were swept, {ROWS} written")
    return gone / took_s
