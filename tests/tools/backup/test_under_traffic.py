"""A backup is taken while events are published and heard; what it is restored into has lost and doubled nothing."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from rich.progress import Progress

from shared.cli.backup import tables
from shared.cli.backup.manifest import read_manifest
from shared.cli.backup.returning import check_files, check_target, put_back
from shared.cli.backup.taking import take
from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.service import Service
from shared.provision.postgres import owner_role
from tests.kit.messaging.conftest import report, running
from tests.support import settings_of
from tests.tools.backup.conftest import Home

KEYS = [new_id() for _ in range(20)]
SETTLE_S = 30.0


class Town:
    """Intake publishes and notes it in the same transaction; routing hears slowly and notes what took effect."""

    def __init__(self, installation: Installation) -> None:
        self.publisher = Service("intake", settings_of(installation, "intake"), title="publisher")
        self.hearer = Service("routing", settings_of(installation, "routing"), title="hearer")
        self.hearer.consumes(REPORT_RECEIVED, self._hear)
        self.pause_s = 0.3

    async def _hear(self, work: Work, events: Sequence[Event[Any]]) -> None:
        await asyncio.sleep(self.pause_s)
        rows = [(event.key, event.version) for event in events]
        await work.conn.executemany("INSERT INTO effects (key, version) VALUES ($1, $2)", rows)

    async def publish_forever(self) -> None:
        """One version of every key after the other."""
        version = 0
        while True:
            version += 1
            for key in KEYS:
                await self.publish_one(key, version)

    async def publish_one(self, key: UUID, version: int) -> None:
        async with self.publisher.work() as work:
            await work.conn.execute("INSERT INTO published (key, version) VALUES ($1, $2)", str(key), version)
            work.publish(REPORT_RECEIVED, report(report_id=key), version=version)

    async def published(self) -> Counter[tuple[str, int]]:
        """What the publisher's own table says it published."""
        return Counter(
            (row[0], row[1]) for row in await self.publisher.pool.fetch("SELECT key, version FROM published")
        )

    async def effects(self) -> list[tuple[str, int]]:
        """What took effect, in order."""
        rows = await self.hearer.pool.fetch("SELECT key, version FROM effects ORDER BY id")
        return [(row[0], row[1]) for row in rows]


@contextlib.asynccontextmanager
async def at_work(home: Home) -> AsyncIterator[Town]:
    """Both services of an installation, with their tables."""
    for schema, table in (("intake", "published"), ("routing", "effects")):
        owner = await asyncpg.connect(home.installation.dsn(schema, owner_role))
        await owner.execute(
            f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text, version int)"
        )
        await owner.close()
    town = Town(home.installation)
    async with running(town.publisher), running(town.hearer):
        yield town


async def backed_up(source: Home, folder: Path, quiet: Progress) -> tuple[int, int]:
    """Take a backup in the middle of traffic; (unread records in it, events published when all was over)."""
    folder.mkdir()  # noqa: ASYNC240 nothing else runs yet
    async with at_work(source) as town:
        traffic = asyncio.create_task(town.publish_forever())
        await asyncio.sleep(2.0)
        manifest = await take(source.places, folder, quiet)
        await asyncio.sleep(0.3)
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        return manifest.kafka.records, sum((await town.published()).values())


async def test_nothing_is_lost_or_doubled(new_home: Callable[[], Home], tmp_path: Path, quiet: Progress) -> None:
    source, target, folder = new_home(), new_home(), tmp_path / "backup"
    unread, published_at_last = await backed_up(source, folder, quiet)
    assert unread > 0, "the hearer was not behind: this run proves nothing"

    manifest = read_manifest(folder)
    check_files(folder, manifest, quiet)
    async with at_work(target) as town:
        town.pause_s = 0.0
        await check_target(target.places, manifest)
        await put_back(target.places, folder, manifest, quiet)
        wanted = await town.published()
        assert 0 < sum(wanted.values()) < published_at_last, "traffic went on after the backup"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while len(await town.effects()) < sum(wanted.values()):
                    await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)  # whatever comes too often comes now
        effects = await town.effects()
        assert Counter(effects) == wanted
        versions = defaultdict(list)
        for key, version in effects:
            versions[key].append(version)
        assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())
        # it goes on: the restored sequences and versions take new events
        await town.publish_one(KEYS[0], len(versions[str(KEYS[0])]) + 1)
        async with asyncio.timeout(SETTLE_S):
            while len(await town.effects()) == len(effects):
                await asyncio.sleep(0.1)


async def test_writers_wait_for_a_moment_only(new_home: Callable[[], Home]) -> None:
    """While the snapshot stays open, outboxes take rows again; and no day of an inbox is made or dropped."""
    home = new_home()
    schemas = home.installation.services
    closed: list[str] = []
    insert = """
    INSERT INTO intake.outbox (event_id, topic, key, version, occurred_at, payload) VALUES ($1, 't', 'k', 1, now(), '')
    """
    roll = "SELECT cases.roll_inbox('22 days')"

    async with tables.connected(home.places.postgres_url) as writer:
        await writer.execute("SET lock_timeout = '200ms'; SELECT cases.make_inbox_day(current_date - 40)")

        async def meanwhile() -> None:
            try:
                await writer.execute(insert, new_id())
            except asyncpg.LockNotAvailableError:
                closed.append("intake")

        async with tables.snapshot(home.places.postgres_url, schemas, meanwhile) as conn:
            assert closed == ["intake"]
            await writer.execute(insert, new_id())
            assert await conn.fetchval("SELECT count(*) FROM intake.outbox") == 0
            with pytest.raises(asyncpg.LockNotAvailableError):
                await writer.execute(roll)
        assert str(await writer.fetchval(roll)).startswith("dropped")


async def test_letters_of_before_take_no_new_ones_place(new_home: Callable[[], Home]) -> None:
    """A new cluster counts from 0: a new letter with an old one's place must be kept beside it."""
    home = new_home()
    insert = """
    INSERT INTO cases.dead_letters
        (topic, partition, record_offset, headers, status, code, detail, attempts, created_at, record_ms)
    SELECT 't', 0, n, '[]', 'dead', 'c', 'd', 1, now(), 0 FROM generate_series(1, 3) n
    ON CONFLICT (topic, partition, record_offset, record_ms) DO NOTHING
    """
    async with tables.connected(home.places.postgres_url) as conn:
        for round_number in range(1, 4):
            await conn.execute(insert)
            assert await conn.fetchval("SELECT count(*) FROM cases.dead_letters") == 3 * round_number
            await tables.set_letters_apart(conn, ["cases"])
