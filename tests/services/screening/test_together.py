"""Two processes at the same moment, how much is read and written, and for how long rows stay, on real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.screening.retention import TABLES
from services.screening.store import cases as case_store
from services.screening.store import reports as store
from services.screening.usecases import cases, reports
from shared.devtools.installation import Installation
from shared.events.case_changed import CASE_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres.db import TooMuch
from shared.kit.postgres.retention import Table, Way
from shared.kit.postgres.rows import arrays
from shared.kit.postgres.sweeping import Sweeper
from tests.services.screening.street import ZONE, Case, Screen, noon, photo, report
from tests.support import hear, owner_of, until, work_on

SHOWN = 0x00FF00FF00FF00FF
DARK = 1 << 63
SCORES = ("velocity", "day", "travel", "photo", "similar", "pair", "quick", "ring")
SQL_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
follow = partial(reports.follow_reports, ZONE)


@asynccontextmanager
async def two_processes(screen: Screen, first: Event[Any], second: Event[Any]) -> AsyncIterator[None]:
    """Both hear at one moment: the second has begun before the first has committed."""
    async with asyncio.TaskGroup() as both:
        async with work_on(screen.pool) as work:
            await follow(work, [first])
            other = both.create_task(hear(screen.pool, follow, second))
            await until(lambda: screen.pool.fetchval(SQL_WAITS), "the second waits for the first")
            yield
        await other


@pytest.mark.parametrize(
    ("phash", "other", "reason"),
    [(SHOWN, SHOWN, "repeated_photo"), (DARK, DARK, "repeated_photo"), (SHOWN, SHOWN ^ 0b101, "similar_photo")],
)
async def test_pictures_that_come_at_one_moment_are_compared(
    screen: Screen, phash: int, other: int, reason: str
) -> None:
    at = noon()
    first = report(new_id(), at, photos=(photo("a", phash),))
    digest = "a" if phash == other else "b"
    second = report(new_id(), at + timedelta(hours=2), grid="G9", photos=(photo(digest, other),))
    async with two_processes(screen, first, second):
        assert await screen.found() == {}
    assert await screen.found() == {second.data.report_id: {reason}}


async def test_reports_of_one_rider_that_come_at_one_moment_are_counted(screen: Screen) -> None:
    rider, at = new_id(), noon()
    burst = [report(rider, at + timedelta(minutes=n), 0.01 * n) for n in range(7)]
    await screen.hears(*burst[:5])
    async with two_processes(screen, burst[5], burst[6]):
        assert await screen.found() == {}
    assert len(await screen.found()) == 7


async def test_others_do_not_wait(screen: Screen) -> None:
    async with work_on(screen.pool) as work:
        await follow(work, [report(new_id(), noon(), photos=(photo("a", SHOWN),))])
        async with asyncio.timeout(5):
            await hear(screen.pool, follow, report(new_id(), noon(), photos=(photo("b", 0x3333CCCC3333CCCC),)))


async def test_a_batch_holds_a_bounded_number_of_locks(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """More, and it is halved: so the kit does where a use case says that it is too much."""
    monkeypatch.setattr(reports, "LOCKED_MAX", 9)
    two = [report(new_id(), noon(), photos=(photo(f"{n}", SHOWN ^ (0x1111111111111111 * n)),)) for n in range(2)]
    with pytest.raises(TooMuch, match="10 riders and parts of pictures, 9 at a time"):
        await screen.hears(*two)
    for one in two:
        await screen.hears(one)


async def set_scores(installation: Installation, score: int) -> None:
    columns = ", ".join(f"{name}_score = {score}" for name in SCORES)
    async with owner_of(installation, "screening") as owner:
        await owner.execute(f"UPDATE limits SET {columns} WHERE version = 2")


@pytest.fixture
async def switched_off(screen: Screen, installation: Installation) -> Screen:
    """All detectors."""
    async with owner_of(installation, "screening") as owner:
        await owner.execute(
            "INSERT INTO limits SELECT (l).* FROM (SELECT jsonb_populate_record(l, jsonb_build_object("
            "'version', 2, 'effective_from', '2021-01-01T00:00:00Z')) AS l FROM limits l WHERE version = 1) AS x"
        )
    await set_scores(installation, 0)
    return screen


async def asked(screen: Screen) -> list[str]:
    """The statements for a report with a picture, and for a case with two reporters and a verifier."""
    seen: list[str] = []
    case = Case(noon(2))
    steps = [case.joined(new_id()), case.joined(new_id()), case.verified("v1")]
    async with screen.pool.acquire() as lent:
        conn: Any = lent
        conn.add_query_logger(lambda record: seen.append(record.query))
        await hear(conn._con, follow, report(new_id(), noon(), photos=(photo(new_id().hex, SHOWN),)))
        await hear(conn._con, cases.follow_cases, *steps)
        conn._con._query_loggers.clear()
    assert CASE_CHANGED.name == steps[0].topic
    return seen


async def test_a_detector_that_is_off_reads_nothing(switched_off: Screen, installation: Installation) -> None:
    off = await asked(switched_off)
    assert not [text for text in off if "LATERAL" in text or "WITH" in text], off
    assert not [text for text in off if "advisory" in text]
    tables = [one.name for one in TABLES if one.way is Way.SWEPT]
    kept = [await switched_off.pool.fetchval(f"SELECT count(*) FROM {name}") for name in tables]
    assert len(kept) == 4 and all(kept), "what a detector needs is kept, so that it can be switched on"
    await set_scores(installation, 100)
    on = await asked(switched_off)
    assert len([text for text in on if "LATERAL" in text or "WITH" in text]) == 5, on


async def test_what_is_known_is_not_written_again(screen: Screen) -> None:
    rider, at = new_id(), noon()
    burst = [report(rider, at + timedelta(minutes=n), 0.01 * n) for n in range(7)]
    await screen.hears(*burst)
    written = "SELECT report_id, ctid, xmin FROM suspicions ORDER BY 1"
    before = await screen.pool.fetch(written)
    assert len(before) == 7
    for n in range(3):
        await screen.hears(report(rider, at + timedelta(hours=2 + n), 0.5))
    assert await screen.pool.fetch(written) == before
    await screen.hears(report(rider, at + timedelta(minutes=7), 0.07))
    assert len(await screen.found()) == 8
    rows = {row["report_id"]: row for row in await screen.pool.fetch(written)}
    assert [rows[row["report_id"]] for row in before] == before, "the eighth alone is new"


async def test_of_a_part_that_many_pictures_share_the_newest_are_read(
    screen: Screen, installation: Installation
) -> None:
    """Thousands with one part in common, as of pictures with a sky: what is like one is found among the newest."""
    at = noon(3)
    await screen.pool.execute(
        """
        INSERT INTO photos (report_id, sha256, phash, rider_id, grid_code, occurred_at, received_at)
        SELECT gen_random_uuid(), 'many' || n, (n::bigint << 17) | 255, gen_random_uuid(), 'G1', $1, $1
        FROM generate_series(1, 3000) AS n
        """,
        at,
    )
    async with owner_of(installation, "screening") as owner:
        await owner.execute("ANALYZE photos")
    seen = (0x0F0F0F0F0F0F << 16) | 255
    mine = report(new_id(), at + timedelta(hours=1), photos=(photo("m", seen),))
    await screen.hears(mine)
    changed = seen ^ (1 << 20) ^ (1 << 36) ^ (1 << 52)  # a bit in each of the other parts
    like = report(new_id(), at + timedelta(hours=3), grid="G2", photos=(photo("l", changed),))
    await screen.hears(like)
    assert await screen.found() == {like.data.report_id: {"similar_photo"}}
    values = arrays(store.NewPhoto, list(reports._photos(like.data)))
    async with screen.pool.acquire() as conn:
        [plan] = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {store.SQL_SIMILAR_PHOTOS.text}", 3, *values)
    read = list(scans(plan["Plan"], "photos"))
    assert {index for index, _ in read} == {f"photos_newest_{n}" for n in range(4)}, read
    assert max(rows for _, rows in read) == store.BUCKET_MAX


def scans(node: dict[str, Any], table: str) -> Iterator[tuple[str | None, float]]:
    """(index, rows) of each part of a plan that reads a table."""
    if node.get("Relation Name") == table:
        yield node.get("Index Name"), node["Actual Rows"]
    for child in node.get("Plans", ()):
        yield from scans(child, table)


async def test_of_what_is_usual_in_a_grid_the_newest_are_read(screen: Screen, installation: Installation) -> None:
    """However many cases of others it has had."""
    rider, at = new_id(), noon(9)
    own = [Case(at + timedelta(minutes=n)) for n in range(9)]
    await screen.hears(*(case.joined(rider) for case in own), *(case.verified("v1") for case in own))
    await screen.pool.execute(
        """
        INSERT INTO verdicts (case_id, grid_code, opened_at, rider_id, report_id, verified_by, verified_at)
        SELECT gen_random_uuid(), 'G1', $1, gen_random_uuid(), gen_random_uuid(), 'v' || n % 50,
               $1::timestamptz + n * interval '1 minute'
        FROM generate_series(1, 3000) AS n
        """,
        at,
    )
    async with owner_of(installation, "screening") as owner:
        await owner.execute("ANALYZE verdicts")
    async with screen.pool.acquire() as conn:
        asked: list[Any] = [[case.id for case in own], noon(30), timedelta(minutes=10), 8]
        [pair] = await case_store.pairs(conn, *asked)
        [plan] = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {case_store.SQL_PAIRS.text}", *asked)
    assert (pair.cases, pair.by_them, pair.near, pair.near_by_them) == (9, 9, case_store.SAMPLE, 4)
    read = dict(scans(plan["Plan"], "verdicts"))
    assert read["verdicts_grid"] == case_store.SAMPLE and max(read.values()) <= case_store.SAMPLE, read


@pytest.mark.parametrize("table", [one for one in TABLES if one.way is Way.SWEPT])
async def test_rows_leave_by_when_they_were_heard(screen: Screen, table: Table) -> None:
    """Also those that were heard last and happened first, behind which the sweep has been already."""
    sweeper = Sweeper(lambda: True, lambda: screen.pool, [table], {})
    assert table.sweep is not None
    kept = table.sweep.after

    async def heard(ago: timedelta) -> None:
        """Of long ago, as after an outage; so long ago was it heard."""
        case = Case(clock.now() - timedelta(days=90))
        seen = report(new_id(), clock.now() - timedelta(days=90), photos=(photo("a", SHOWN),))
        await screen.hears(seen, case.joined(new_id()), case.verified("v1"))
        await screen.pool.execute(
            f"UPDATE {table.name} SET heard_at = now() - $1::interval WHERE heard_at > now() - interval '1 minute'", ago
        )

    await heard(kept + timedelta(hours=3))
    await heard(kept - timedelta(hours=1))
    assert await sweeper.sweep(table) == 1, "what was heard lately stays, however old it is"
    await screen.pool.execute(f"UPDATE {table.name} SET heard_at = heard_at - interval '2 hours'")
    await heard(timedelta())
    assert await sweeper.sweep(table) == 1
    assert await screen.pool.fetchval(f"SELECT count(*) FROM {table.name}") == 1
