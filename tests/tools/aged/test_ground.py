"""A ground is loaded once, whole or not at all, and starts again with what a suite needs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.aged import ground
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.postgres import start_postgres
from shared.devtools.infra.watchdog import Guard
from shared.events.report_received import ReportReceived
from shared.provision.postgres import other_database

REPORTS = 2_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where also the user as whom Postgres runs may enter."""
    with tempfile.TemporaryDirectory(prefix="beegrid-ground-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


async def test_it_stays_and_is_safe_again(folder: Path) -> None:
    made = ground.prepare(folder, REPORTS)
    assert ground.Ground.of(folder) == made
    assert ground.prepare(folder, REPORTS) == made, "nothing is loaded twice"
    with pytest.raises(InfraError, match="2,000"):
        ground.prepare(folder, REPORTS + 8)
    guard = Guard()
    try:
        postgres = start_postgres(guard, folder)
        conn = await asyncpg.connect(other_database(postgres.admin_url, ground.NAME))
        kept = await conn.fetchval("SELECT sum(n) FROM intake.counters WHERE what = 'accepted'")
        settings = [await conn.fetchval(f"SHOW {name}") for name in ("fsync", "full_page_writes", "wal_level")]
        queue = await conn.fetch("SELECT report FROM routing.unroutable")
        await conn.close()
        assert (kept, settings) == (REPORTS, ["on", "on", "replica"])
        assert queue, "some lie outside the map"
        for row in queue:  # what dispatchers read is what was received
            ReportReceived.model_validate_json(row["report"])
        postgres.stop()
    finally:
        guard.close()


def test_what_was_not_loaded_to_the_end_is_no_ground(folder: Path) -> None:
    ground.prepare(folder, REPORTS)  # whichever of these tests comes first
    (folder / "ground.json").rename(folder / "gone.json")
    try:
        with pytest.raises(InfraError, match="not loaded to the end"):
            ground.prepare(folder, REPORTS)
        with pytest.raises(InfraError, match="holds no city"), ground.servers(folder):
            pass
    finally:
        (folder / "gone.json").rename(folder / "ground.json")
