"""Three years of a city, written straight into the services' schemas: what the suite itself would have left behind.

Events have long left Kafka by then, so nothing is published. Ids, states and sums follow from a report's number
(sql/staging.sql), each service's rows from the same staging tables (sql/<service>.sql): so all invariants hold.
Triggers are off meanwhile; the suite's own recount then puts the kept numbers right.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import asyncpg
import shapely

from shared.catalog import Catalogue
from shared.devtools.aged.pieces import Statement, statements
from shared.devtools.aged.tables import Filling, fill
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection, Pool
from shared.provision.services import service_names
from shared.synthetic.city import grids

SERVICES = ("intake", "routing", "cases", "points", "notifications", "tracking")
# About how many events a report brings to each service that hears.
HEARD = {"routing": 1, "cases": 1, "points": 5, "notifications": 7, "tracking": 9, "intake": 6, "rewards": 2}
COMPANIES = ("aged-a", "aged-b", "aged-c", "aged-d")
CHUNK = 240_000
"""A multiple of 8: the two reports of one thing are neighbours, and come in one chunk."""
REPORTS_PER_RIDER = 250
RIDERS_MIN = 40
# Sorts and index builds of each connection stay in memory, or nearly.
SESSION = {
    "session_replication_role": "replica",
    "synchronous_commit": "off",
    "work_mem": "512MB",
    "maintenance_work_mem": "512MB",
    "max_parallel_maintenance_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
WORKERS_MAX = 6
DAYS = 1096
# Tables that keep the youngest rows only: of how many days reports matter to them, a case's own days included.
YOUNG = {"messages": 184, "case_reporters": 368, "earnings": 63, "inbox": 22, "dead_letters": 30}
# What refers to a table is filled with it.
FILLED_WITH = {"routing.unroutable": "routing.routes"}
# Work for many minutes begins first, so that no connection is left alone with it at the end.
LONGEST = (
    "tracking.case_steps", "cases.steps", "points.entries", "notifications.messages", "tracking.movements",
    "points.holds",
)  # fmt: skip

OnProgress = Callable[[int, int], None]


class Occupied(RuntimeError):
    """The schemas hold an aged city already."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much to load; `until` is the present of that city."""

    reports: int
    until: datetime

    @property
    def riders(self) -> int:
        """An even number: those who report first, and those who report the same thing after them."""
        return max(RIDERS_MIN, self.reports // REPORTS_PER_RIDER // 2 * 2)

    def chunks(self, days: int = DAYS) -> Sequence[tuple[int, int]]:
        """Ranges of the numbers of reports of so many last days."""
        first = max(0, self.reports - self.reports * days // DAYS) // 8 * 8
        return [(start, min(start + CHUNK, self.reports)) for start in range(first, self.reports, CHUNK)]


@dataclass(slots=True)
class Progress:
    """What is done of all there is to do, a unit being a statement for a chunk."""

    on_progress: OnProgress
    all: int = 1
    done: int = 0

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        self.on_progress(self.done, self.all)


async def load(
    database_url: str,
    sealing_key: str,
    size: Size,
    on_progress: OnProgress = lambda _done, _all: None,
    *,
    zone: ZoneInfo,
    alone: bool = False,
    workers: int | None = None,
) -> None:
    """Fill the schemas as the server's administrator; `on_progress` gets steps done of all.

    Args:
        database_url: the suite's database, with the superuser's name and password.
        sealing_key: of the suite, in base64.
        size: how much.
        on_progress: is called with steps done, of all.
        zone: the city's, as the suite has it: by its days the ledger counts.
        alone: nothing else writes these tables meanwhile, so indexes may be set aside and be built at the end:
            several times as quick. An error leaves the database unusable.
        workers: connections that write side by side; as many as the machine has processors if not given.

    Raises:
        Occupied: an aged city was loaded before.
    """
    count = min(workers or os.cpu_count() or 1, WORKERS_MAX)
    session = SESSION | {"beegrid.city_timezone": zone.key}
    async with asyncpg.create_pool(
        database_url, min_size=count, max_size=count, command_timeout=None, server_settings=session
    ) as pool:
        async with pool.acquire() as conn:
            if await conn.fetchval("SELECT EXISTS (SELECT FROM riders.companies WHERE code = $1)", COMPANIES[0]):
                raise Occupied("an aged city is loaded already")
            await conn.execute("DROP SCHEMA IF EXISTS aged CASCADE; CREATE SCHEMA aged")
        await _write(pool, sealing_key, size, Progress(on_progress), alone, count)
        async with pool.acquire() as conn:
            await conn.execute("DROP SCHEMA aged CASCADE")


async def _write(pool: Pool, sealing_key: str, size: Size, progress: Progress, alone: bool, workers: int) -> None:
    fillings = _fillings(size)
    progress.all = len(size.chunks()) + 1 + sum(one.units for one in fillings)
    async with pool.acquire() as conn:
        await _stage_once(conn, sealing_key, size)
        for service in HEARD:
            for one in statements("days", schema=service):
                await one.run(conn, size.until)
    async with asyncio.TaskGroup() as tasks:
        for chunk in size.chunks():
            tasks.create_task(_stage(pool, size, chunk, progress))
    async with pool.acquire() as conn:
        for one in statements("staged"):
            await one.run(conn)
    ordered = asyncio.Event()
    left = list(reversed(fillings))
    # The accounts' order takes a sort of all movements, in which the other connections write what needs none.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_accounts(pool, size, ordered, progress))
        for _ in range(workers):
            tasks.create_task(_work(pool, left, alone, ordered, progress))
    async with pool.acquire() as conn:
        for one in statements("once"):
            await one.run(conn, size.until)
    async with asyncio.TaskGroup() as tasks:
        for service in service_names():
            tasks.create_task(_finish(pool, service))


def _fillings(size: Size) -> list[Filling]:
    """Every large table with the statements that fill it: what must wait last, else the longest work first."""
    tables: dict[str, list[Statement]] = {}
    found = [one for service in SERVICES for one in statements(service)]
    for service, events in HEARD.items():
        found += statements("messaging", schema=service, per_report=events)
    for one in found:
        tables.setdefault(FILLED_WITH.get(one.table, one.table), []).append(one)
    fillings = [
        Filling(table, parts, size.chunks(YOUNG.get(table.partition(".")[2], DAYS)), size.until)
        for table, parts in tables.items()
    ]
    rank = {table: place for place, table in enumerate(LONGEST)}
    return sorted(fillings, key=lambda one: (one.needs_order, rank.get(one.table, len(rank))))


async def _work(pool: Pool, left: list[Filling], alone: bool, ordered: asyncio.Event, progress: Progress) -> None:
    """Fill tables until none is left, each in the order of time, as it came about."""
    while left:
        one = left.pop()
        if one.needs_order:
            await ordered.wait()
        async with pool.acquire() as conn:
            await fill(conn, one, alone, progress.step)


async def _accounts(pool: Pool, size: Size, ordered: asyncio.Event, progress: Progress) -> None:
    async with pool.acquire() as conn:
        for one in statements("accounts"):
            await one.run(conn, size.until)
    progress.step()
    ordered.set()


async def _stage(pool: Pool, size: Size, chunk: tuple[int, int], progress: Progress) -> None:
    async with pool.acquire() as conn:
        for one in statements("reports"):
            await one.run(conn, *chunk, size.reports, size.until, size.riders)
    progress.step()


async def _stage_once(conn: Connection, sealing_key: str, size: Size) -> None:
    for one in statements("staging"):
        await one.run(conn)
    kinds = [
        (no, kind.code, kind.level, kind.points, kind.co_reporter_percent)
        for no, kind in enumerate(Catalogue.load().kinds(clock.now()))
    ]
    await conn.copy_records_to_table("kinds", schema_name="aged", records=kinds)
    inside = [(area, shapely.point_on_surface(area.polygon)) for area in grids()]
    places = [(no, area.code, area.name, place.x, place.y) for no, (area, place) in enumerate(inside)]
    await conn.copy_records_to_table("grids", schema_name="aged", records=places)
    sealer = Sealer(sealing_key)
    companies = []
    for no, code in enumerate(COMPANIES):
        key_id = new_id()
        companies.append((no, code, new_id(), key_id, sealer.seal(code.encode() * 8, code, str(key_id))))
    await conn.copy_records_to_table("companies", schema_name="aged", records=companies)
    await conn.execute(
        "INSERT INTO aged.riders SELECT r.no, aged.id(made_at, 'rider', r.no), c.code, 'rider-' || r.no, made_at "
        "FROM (SELECT no, $2::timestamptz - interval '1100 days' AS made_at FROM generate_series(0, $1::int - 1) no) r "
        "JOIN aged.companies c ON c.no = r.no % 4",
        size.riders,
        size.until,
    )
    await conn.execute("ANALYZE aged.kinds, aged.grids, aged.companies, aged.riders")
    for one in statements("steps"):
        await one.run(conn)


async def _finish(pool: Pool, schema: str) -> None:
    """Statistics of the tables that were not filled in bulk, and the numbers that triggers would have kept."""
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables "
            "WHERE schemaname = $1 AND last_vacuum IS NULL ORDER BY 1",
            schema,
        )
        for row in rows:
            await conn.execute(f"VACUUM (ANALYZE) {row['name']}")
        async with conn.transaction():
            await conn.execute(f"SET LOCAL search_path = {schema}")
            await counters.correct(conn, counters.correctable(await counters.differences(conn)))
