"""What the database decides when many ask at once: processes of their own on real Postgres."""

import asyncio
import multiprocessing
from datetime import date
from threading import Barrier
from uuid import UUID

import asyncpg
import pytest

from services.stations.domain.details import Details
from services.stations.store import given, live, visits
from services.stations.store import stations as store
from services.stations.store.live import NewSpell
from services.stations.usecases import keeping, living
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres.db import prepare_connection
from tests.services.stations.street import Street, details
from tests.support import work_on

PROCESSES, RIDERS, ROUNDS = 8, 40, 3
TODAY = date(2026, 5, 4)


def check_in(dsn: str, station_id: UUID, riders: list[UUID], turn: int, together: Barrier) -> tuple[int, int]:
    """One process: all riders check in and find the station closed, again and again; what of both counted."""

    async def run() -> tuple[int, int]:
        conn = await asyncpg.connect(dsn)
        await prepare_connection(conn)
        counted = seen = 0
        together.wait()
        try:
            for _ in range(ROUNDS):
                # each process meets them in an order of its own
                for rider in riders[turn * 5 :] + riders[: turn * 5]:
                    async with conn.transaction():
                        counted += await visits.visit(conn, station_id, rider, TODAY, "code")
                    async with conn.transaction():
                        if await live.see(conn, station_id, rider, TODAY, "closed", ""):
                            seen += 1
                            spell = NewSpell(
                                new_id(), station_id, "closed", "", "", None, None, 1, confirmed=False, role="", by=""
                            )
                            await live.find(conn, spell)
        finally:
            await conn.close()
        return counted, seen

    return asyncio.run(run())


async def test_eight_processes_count_each_rider_once(street: Street, installation: Installation) -> None:
    one = await street.makes()
    riders = [new_id() for _ in range(RIDERS)]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(PROCESSES) as processes:
        together = manager.Barrier(PROCESSES)
        counted = await asyncio.to_thread(
            processes.starmap,
            check_in,
            [(installation.dsn("stations"), one.id, riders, turn, together) for turn in range(PROCESSES)],
        )
    assert sum(visits for visits, _ in counted) == RIDERS == await street.pool.fetchval("SELECT count(*) FROM visits")
    assert sum(seen for _, seen in counted) == RIDERS
    [spell] = await street.spells(one)
    assert (spell.sightings, spell.ended_at) == (RIDERS, None), "one spell, and every rider in it"
    assert sum(1 for visits, _ in counted if visits) > 1, "they met"
    assert (await street.sound())["visits"] == RIDERS


async def test_of_many_who_change_one_edition_one_does(street: Street) -> None:
    one = await street.makes()

    async def change(name: str) -> int:
        async with work_on(street.pool) as work:
            said: Details = details(name=name)
            return await store.change(work.conn, [(one.id, 1, said)])

    assert sum(await asyncio.gather(*(change(f"第{n}次") for n in range(8)))) == 1
    assert (await street.now(one)).edition == 2


async def test_of_many_who_publish_a_years_next_list_one_does(street: Street) -> None:
    one = await street.makes()

    async def publish() -> bool:
        async with work_on(street.pool) as work:
            return await given.add_list(work.conn, one.id, 2026, 1, [{"code": "rest", "words": "歇脚"}], "op")

    assert sum(await asyncio.gather(*(publish() for _ in range(8)))) == 1


async def test_the_clock_and_keepers_wait_for_each_other(street: Street) -> None:
    """Replicas that look at the same stations, keepers and an import at once: nobody deadlocks, no version is twice."""
    made = [await street.makes(f"S{n}") for n in range(12)]
    await street.pool.execute("UPDATE stations SET next_at = now(), settled_at = now() - interval '1 hour'")

    async def keep(n: int) -> None:
        for _ in range(4):
            await street.says(made[n % 12], "full")
            await street.says(made[(n * 5) % 12], "open")

    async def take() -> None:
        text = "code,name,kind,area_code,address,lng,lat,managing_unit,hours\r\n" + "".join(
            f"S{n},新名{n},hive,330114003001002,路,120.3,30.3,社区,24/7\r\n" for n in reversed(range(12))
        )
        async with work_on(street.pool) as work:
            await keeping.take_file(street.rules, work, text, "csv", lambda _: True, dry_run=False)

    await asyncio.gather(*(keep(n) for n in range(4)), street.ticks(), street.ticks(), take())
    for one in made:
        versions = [version for version, _ in await street.said(one)]
        assert versions == sorted(set(versions))
        # a station is open or full all the while: its hour is counted, and counted once
        seconds = await street.pool.fetchval("SELECT sum(open_s) FROM station_days WHERE station_id = $1", one.id)
        assert seconds == pytest.approx(3_600, abs=5)


async def test_a_storm_reaches_a_station_that_is_being_looked_at(street: Street) -> None:
    """The clock has read that there is no storm, and has not committed when one is set: it is looked at once more."""
    one = await street.makes()
    await street.pool.execute("UPDATE stations SET next_at = now()")
    async with work_on(street.pool) as work:
        assert await living.look_at_due(street.rules, 10, work) == 1
        storm = asyncio.create_task(street.period("weather", closes=True))
        await asyncio.sleep(0.2)
        assert not storm.done(), "it waits for who looks"
    await storm
    await street.ticks()
    assert (await street.now(one)).state == "weather"


async def test_visits_are_folded_once_by_two_at_a_time(street: Street) -> None:
    one = await street.makes()
    await street.pool.execute(
        "INSERT INTO visits SELECT $1, gen_random_uuid(), current_date - 3, 'code', now() - interval '3 days'"
        " FROM generate_series(1, 300)",
        one.id,
    )

    async def fold() -> int:
        async with work_on(street.pool) as work:
            return await visits.fold(work.conn, street.rules.day(work.now), 60)

    folded = 0
    while done := sum(await asyncio.gather(*(fold() for _ in range(4)))):
        folded += done
    assert folded == 300 == await street.pool.fetchval("SELECT sum(visits) FROM station_days")
    assert (await street.sound())["visits"] == 300
