"""The benchmark runs from end to end at a tiny size: servers, the floor's five hops, the ledger, a hot offer."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.devtools.bench.http_load import COMPANY, intake_knows
from shared.devtools.installation import ROOT, Installation
from shared.kit.ids import new_id
from shared.kit.messaging.work import SQL_ENTER_OUTBOX
from shared.kit.postgres.db import Pool
from shared.kit.publishing.relay import SQL_OLDEST
from shared.known.riders import by_number

REPORTS = 300
PoolFor = Callable[[str], Awaitable[Pool]]


@pytest.mark.timeout(420)
def test_the_floor_is_measured_and_adds_up(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "shared.devtools.bench", "--only-floor", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--reports", str(REPORTS), "--out", str(out)],
        cwd=ROOT,
        # not those of whoever runs the tests: it measures on servers of its own
        env={name: value for name, value in os.environ.items() if not name.startswith("BEEGRID_")}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    found = json.loads(out.read_text())
    assert found["reconciled"] is True
    assert found["counts"]["notified"] == found["counts"]["entries"] == 2 * REPORTS, "the warm-up's as well"
    assert found["counts"]["ledger_sum"] == 0
    assert found["five_hops"]["floor"]["per_second"] > 0
    assert found["five_hops"]["floor"]["cpu_us"] > 0
    assert found["postings"]["ratio_to_single"] > 1
    assert found["postings"]["hottest_to_young"] > 0.3
    assert found["hot_offer"]["ratio_to_row_lock"] > 0
    assert found["located_per_core_s"] > 0


def test_the_floor_speaks_the_kits_sql() -> None:
    """Its relay reads by place and its rows are tuples: both are written for these very texts."""
    assert [f"${n}" in SQL_OLDEST for n in range(1, 7)] == [True] * 5 + [False]
    assert SQL_ENTER_OUTBOX.names == (
        "event_id", "topic", "key", "version", "occurred_at", "traceparent", "payload", "headers",
        "record_key",
    )  # fmt: skip


async def test_riders_of_the_benchmark_are_known_to_intake(installation: Installation, pool_for: PoolFor) -> None:
    riders = [new_id(), new_id()]
    await intake_knows(installation, riders)
    pool = await pool_for("intake")
    async with pool.acquire() as conn:
        known = await by_number(conn, [(COMPANY, str(rider)) for rider in riders])
        await conn.execute("DELETE FROM known_riders WHERE company = $1", COMPANY)
    assert sorted(rider.rider_id for rider in known.values()) == sorted(riders)
    assert all(rider.active and rider.consent for rider in known.values())
