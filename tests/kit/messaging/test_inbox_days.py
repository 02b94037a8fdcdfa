"""The inbox by days: each id in its partition, days made ahead and dropped whole, nothing forgotten early.

Real Postgres. Its clock stands; what a day is to have seen long ago is written so.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import asyncpg
import pytest

from shared.kit import clock, metrics
from shared.kit.ids import derived_id, new_id
from shared.kit.messaging import inbox
from shared.kit.messaging.inbox_days import SQL_DAYS, Roller, days_ahead, measure
from shared.kit.postgres.db import Connection, Pool
from shared.kit.postgres.retention import KIT_TABLES
from shared.kit.postgres.sweeping import Sweeper

KEPT = timedelta(days=22)
MUCH = 10_001
SQL_AFTERWARDS = """
DROP TRIGGER IF EXISTS none_deleted ON inbox;
TRUNCATE inbox;
DO $$
DECLARE
    one date;
BEGIN
    FOR one IN SELECT day FROM inbox_days() AS day LOOP
        EXECUTE format('DROP TABLE inbox_d%s', to_char(one, 'YYYYMMDD'));
    END LOOP;
    WHILE roll_inbox('22 days') IS NOT NULL LOOP
    END LOOP;
END
$$
"""
SQL_SEEN = "INSERT INTO inbox (event_id, seen_at) SELECT unnest($1::uuid[]), now() - $2::interval"
SQL_PARTITION = "SELECT tableoid::regclass::text FROM inbox WHERE event_id = $1"
SQL_INDEXES = """
SELECT amname, pg_get_indexdef(indexrelid, 1, false) AS first FROM pg_index JOIN pg_class c ON c.oid = indexrelid
JOIN pg_am m ON m.oid = relam WHERE indrelid = $1::text::regclass
"""
SQL_NONE_DELETED = """
CREATE OR REPLACE FUNCTION none_deleted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'a row is deleted'; END $$;
CREATE TRIGGER none_deleted BEFORE DELETE ON inbox FOR EACH ROW EXECUTE FUNCTION none_deleted()
"""
SQL_SOMEBODY_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass)"


@pytest.fixture
async def owner(dsns: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """The schema's owner. After each test the inbox is as the migrations make it."""
    conn = await asyncpg.connect(dsns["owner"])
    yield conn
    await conn.execute(SQL_AFTERWARDS)
    await conn.close()


@pytest.fixture
async def today(owner: asyncpg.Connection) -> date:
    found: date = await owner.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    return found


def days_from(today: date, first: int, last: int) -> list[date]:
    return [today + timedelta(days=n) for n in range(first, last + 1)]


def ids_of(day: date, count: int) -> list[UUID]:
    """Ids of version 7, made after noon."""
    noon_ms = int(datetime.combine(day, time(12), UTC).timestamp() * 1000)
    return [UUID(int=(noon_ms + n) << 80 | 7 << 76 | 2 << 62) for n in range(count)]


def name_of(day: date) -> str:
    return f"inbox_d{day:%Y%m%d}"


def roller(pool: Pool) -> Roller:
    return Roller(lambda: True, lambda: pool, KEPT)


async def make(owner: Connection, days: Iterable[date]) -> None:
    for day in days:
        await owner.execute("SELECT make_inbox_day($1)", day)


async def present(conn: Connection | Pool) -> set[date]:
    row = await conn.fetchrow(SQL_DAYS)
    assert row is not None
    return set(row["days"])


async def known(conn: Connection, ids: list[UUID]) -> bool:
    """Whether none of them takes effect again."""
    return await inbox.enter(conn, ids) == set()


async def test_a_new_schema_has_its_days(owner: Connection, pool: Pool, today: date) -> None:
    assert await present(pool) == set(days_from(today, -1, 7))
    indexes = {tuple(row) for row in await pool.fetch(SQL_INDEXES, name_of(today))}
    assert indexes == {("btree", "event_id"), ("brin", "seen_at")}, "an index by time costs as much as the key"


async def test_each_id_has_its_place(owner: Connection, pool: Pool, today: date) -> None:
    [old], [ahead] = ids_of(today - timedelta(days=300), 1), ids_of(today + timedelta(days=30), 1)
    wanted = {new_id(): name_of(today), derived_id("x"): "inbox_derived", old: "inbox_other", ahead: "inbox_other"}
    async with pool.acquire() as conn:
        await inbox.enter_new(conn, list(wanted))
        assert {id_: await conn.fetchval(SQL_PARTITION, id_) for id_ in wanted} == wanted


async def test_repeats_are_refused_whichever_partition_they_are_in(owner: Connection, pool: Pool, today: date) -> None:
    long_ago, yesterday, ahead = (today + timedelta(days=n) for n in (-300, -1, 30))
    ids = [new_id(), new_id(), derived_id("x"), *ids_of(long_ago, 1), *ids_of(yesterday, 1)]
    async with pool.acquire() as conn:
        await inbox.enter_new(conn, ids)
        for id_ in ids:
            with pytest.raises(asyncpg.UniqueViolationError) as refused:
                await inbox.enter_new(conn, [new_id(), id_])
            assert inbox.is_known(refused.value) and not inbox.has_moved(refused.value)
        fresh = [new_id(), derived_id("y"), *ids_of(ahead, 1)]
        assert await inbox.enter(conn, [*ids, *fresh, *fresh]) == set(fresh)


async def test_days_are_dropped_whole(owner: Connection, pool: Pool, today: date) -> None:
    """A row stays until its day, the days that it is kept and one more are over; and no row is deleted."""
    past = days_from(today, -60, -2)
    await make(owner, past)
    for day in [*past, today]:
        await owner.execute(SQL_SEEN, ids_of(day, 20), today - day)
    await owner.execute(SQL_NONE_DELETED)
    assert await roller(pool).roll()
    assert await present(pool) == set(days_from(today, -23, 7))
    async with pool.acquire() as conn:
        left = [day for day in [*past, today] if await conn.fetchval(SQL_PARTITION, ids_of(day, 1)[0])]
        assert left == [*days_from(today, -23, -2), today]
        assert await conn.fetchval("SELECT count(*) FROM inbox") == 20 * len(left)


async def test_what_an_old_day_has_seen_lately_is_known_for_as_long_as_any(
    owner: Connection, pool: Pool, today: date
) -> None:
    old = today - timedelta(days=40)
    await make(owner, [old])
    ids = ids_of(old, 30)
    lately, long_ago = ids[:10], ids[10:]
    await owner.execute(SQL_SEEN, long_ago, timedelta(days=40))
    await owner.execute(SQL_SEEN, lately, timedelta(days=3))
    assert await roller(pool).roll()
    assert old not in await present(pool)
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM inbox") == 10
        assert await known(conn, lately)
        assert {await conn.fetchval(SQL_PARTITION, id_) for id_ in lately} == {"inbox_other"}
        assert await inbox.enter(conn, long_ago) == set(long_ago), "kept long enough"
    await owner.execute("UPDATE inbox SET seen_at = seen_at - interval '20 days'")
    sweeper = Sweeper(lambda: True, lambda: pool, KIT_TABLES, {"inbox": KEPT})
    gone = {
        part.name: await sweeper.sweep(part) for table in KIT_TABLES for part in table.swept if "inbox" in part.name
    }
    assert gone == {"inbox_derived": 0, "inbox_other": 10}
    async with pool.acquire() as conn:
        assert await known(conn, long_ago) and not await known(conn, lately)


async def test_derived_ids_leave_by_deletes(owner: Connection, pool: Pool) -> None:
    old, recent = ([derived_id(word, str(n)) for n in range(50)] for word in ("old", "recent"))
    await owner.execute(SQL_SEEN, old, KEPT + timedelta(minutes=1))
    await owner.execute(SQL_SEEN, recent, KEPT - timedelta(minutes=1))
    [derived] = [part for table in KIT_TABLES for part in table.swept if part.name == "inbox_derived"]
    assert await Sweeper(lambda: True, lambda: pool, KIT_TABLES, {"inbox": KEPT}).sweep(derived) == 50
    async with pool.acquire() as conn:
        assert await known(conn, recent)
        assert await inbox.enter(conn, old) == set(old)


async def test_a_day_of_which_much_is_still_to_be_known_stays(owner: Connection, pool: Pool, today: date) -> None:
    """To move it all would hold consumers up."""
    heavy, light = today - timedelta(days=50), today - timedelta(days=40)
    await make(owner, [heavy, light])
    ids = ids_of(heavy, MUCH)
    await owner.execute(SQL_SEEN, ids, timedelta(days=1))
    assert await roller(pool).roll()
    assert heavy in await present(pool) and light not in await present(pool)
    await owner.execute("UPDATE inbox SET seen_at = now() - interval '30 days' WHERE event_id = $1", ids[0])
    assert await roller(pool).roll()
    assert heavy not in await present(pool)
    assert await owner.fetchval("SELECT count(*) FROM inbox_other") == MUCH - 1


async def test_what_came_before_its_day_was_made_moves_there(owner: Connection, pool: Pool, today: date) -> None:
    missing = today + timedelta(days=7)
    await owner.execute(f"DROP TABLE {name_of(missing)}")
    async with pool.acquire() as conn:
        ids = ids_of(missing, 100)
        await inbox.enter_new(conn, ids)
        assert await conn.fetchval(SQL_PARTITION, ids[0]) == "inbox_other"
        assert await roller(pool).roll()
        assert await conn.fetchval(SQL_PARTITION, ids[0]) == name_of(missing)
        assert await conn.fetchval("SELECT count(*) FROM inbox") == 100
        assert await known(conn, ids)


async def test_a_day_that_has_come_without_its_partition_stays_where_it_is(
    owner: Connection, pool: Pool, today: date
) -> None:
    """Nothing is lost, and the days after it are made."""
    missing = days_from(today, 4, 6)
    await owner.execute(f"DROP TABLE {', '.join(name_of(day) for day in missing)}")
    await owner.execute(SQL_SEEN, ids_of(missing[0], MUCH), timedelta())
    assert await roller(pool).roll()
    assert await present(pool) == set(days_from(today, -1, 7)) - {missing[0]}
    async with pool.acquire() as conn:
        await measure(conn)
        assert await known(conn, ids_of(missing[0], 5))
    assert metrics.INBOX_DAYS_AHEAD._value.get() == 3
    midnight = datetime.combine(today - timedelta(days=1), time(), UTC)
    assert metrics.INBOX_OLDEST_DAY._value.get() == midnight.timestamp()


@pytest.mark.parametrize("due", ["a day to make", "a day to drop"])
async def test_a_roll_gives_up_before_consumers_wait_long(
    owner: Connection, pool: Pool, dsns: dict[str, str], today: date, due: str
) -> None:
    """As behind a backup, which reads every partition for hours."""
    if due == "a day to make":
        await owner.execute(f"DROP TABLE {name_of(today + timedelta(days=7))}")
    else:
        await make(owner, [today - timedelta(days=40)])
    days = await present(pool)
    waits_s: list[float] = []
    enough = asyncio.Event()

    async def consume() -> None:
        while not enough.is_set():
            began_s = clock.monotonic_s()
            async with pool.acquire() as conn:
                await inbox.enter_new(conn, [new_id() for _ in range(20)])
            waits_s.append(clock.monotonic_s() - began_s)

    backup = await asyncpg.connect(dsns["owner"])
    async with backup.transaction():
        await backup.execute("LOCK TABLE inbox IN ACCESS SHARE MODE")
        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        began_s = clock.monotonic_s()
        assert not await roller(pool).roll()
        took_s = clock.monotonic_s() - began_s
        enough.set()
        await asyncio.gather(*consumers)
    await backup.close()
    assert took_s < 1 and max(waits_s) < 1, (took_s, max(waits_s))
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 20 * len(waits_s)
    assert await present(pool) == days
    assert await roller(pool).roll()
    assert await present(pool) == set(days_from(today, -1, 7))


async def test_an_id_that_comes_while_its_day_is_made_is_to_be_entered_again(
    owner: Connection, pool: Pool, today: date
) -> None:
    day = today + timedelta(days=20)
    [id_] = ids_of(day, 1)
    async with pool.acquire() as conn:
        async with owner.transaction():
            await make(owner, [day])
            entering = asyncio.create_task(inbox.enter_new(conn, [id_]))
            async with asyncio.timeout(5):
                while not await owner.fetchval(SQL_SOMEBODY_WAITS, "inbox_other"):
                    await asyncio.sleep(0.01)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await entering
        assert inbox.has_moved(refused.value) and not inbox.is_known(refused.value)
        await inbox.enter_new(conn, [id_])
        assert await conn.fetchval(SQL_PARTITION, id_) == name_of(day)


async def test_one_rolls_at_a_time(owner: Connection, pool: Pool, today: date) -> None:
    await make(owner, days_from(today, -60, -30))
    assert await asyncio.gather(*(roller(pool).roll() for _ in range(4))) == [True] * 4
    assert await present(pool) == set(days_from(today, -1, 7))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT make_inbox_day(current_date + 30)",
        "SELECT drop_inbox_day(current_date, now())",
        "DROP TABLE inbox_other",
        "TRUNCATE inbox_derived",
        "CREATE TABLE inbox_d20000101 PARTITION OF inbox FOR VALUES FROM (MINVALUE) TO (inbox_floor('2000-01-02'))",
    ],
)
async def test_the_services_role_may_roll_and_no_more(owner: Connection, pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


def test_days_ahead_end_at_the_first_gap() -> None:
    today = date(2026, 2, 27)
    assert days_ahead(today, set()) == 0
    assert days_ahead(today, set(days_from(today, -3, 0))) == 0
    assert days_ahead(today, {*days_from(today, 0, 2), today + timedelta(days=4)}) == 2
