"""A city in its third year, in small: what is loaded is sound, and nobody reads all of history to answer."""

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from services.cases import store as cases
from services.cases.domain import State
from services.cases.store import listing
from services.cases.store.listing import Listing
from services.intake.store import reports as intake
from services.notifications.store import deliveries, messages, webhooks
from services.points import usecases as points
from services.points.store import ledger, rounds
from services.rewards.store import redemptions
from services.riders import store as riders
from services.routing.store import routes
from services.tracking.store import figures, journeys
from shared.devtools.aged.load import Occupied, Size, load
from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.kit import clock, metrics
from shared.kit.areas import AreaTree
from shared.kit.ids import new_id
from shared.kit.letters import letter_bounds
from shared.kit.messaging.work import Event
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection, prepare_connection
from shared.kit.privacy import erasure
from shared.provision.postgres import other_database, owner_role, provision_postgres
from shared.synthetic.city import grids
from tests.reads import analyze, rows_read
from tests.services.tracking.conftest import Story, Tracking

# on a machine that does much else the load alone takes minutes
pytestmark = pytest.mark.timeout(600)
REPORTS = 20_000
URUMQI = ZoneInfo("Asia/Urumqi")
HISTORY_ROWS = 5_000
SQL_SCANS = """
SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_live_tup >= $1
"""
# What the generated city has none of: riders who left, and what a company's dead address has left behind.
OVER_ROWS = 50_000
SQL_LEAVE = """
INSERT INTO erased_riders (rider_id, number, erased_at, done_at)
SELECT gen_random_uuid(), 'erased:' || i, now() - i * interval '5 minutes', now() - i * interval '5 minutes'
FROM generate_series(1, $1::int) AS i
"""
SQL_GIVE_UP = """
INSERT INTO deliveries (event_id, lane, target_id, template, params, state, attempts_allowed, next_attempt_at,
                        created_at, finished_at)
SELECT gen_random_uuid(), 'webhook', $2, 'case', '{}', 'dead', 1, now(), now() - i * interval '20 seconds', now()
FROM generate_series(1, $1::int) AS i
"""
HOOK = new_id()
SQL_UNUSABLE = "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)"
Ask = Callable[[Connection], Awaitable[object]]


@pytest.fixture(scope="module")
async def city(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """A database of its own with an aged city, without Kafka."""
    made = Installation(infra, Path(tmp_path_factory.mktemp("aged")), name=f"aged{secrets.token_hex(4)}")
    admin = infra.postgres_admin_url
    provision_postgres(admin, made.name, list(made.services), made.secrets.postgres, role_prefix=made.role_prefix)
    for service in made.services:
        made.migrate(service)
    url = other_database(admin, made.name)
    await load(url, made.secrets.sealing_key, Size(REPORTS, clock.now()), zone=URUMQI, alone=True, workers=2)
    await _over(made)
    yield made
    made.remove()


async def _over(city: Installation) -> None:
    for service, table, sql, values in (
        ("tracking", "erased_riders", SQL_LEAVE, (OVER_ROWS,)),
        ("notifications", "deliveries", SQL_GIVE_UP, (OVER_ROWS, HOOK)),
    ):
        conn = await asyncpg.connect(city.dsn(service, owner_role))
        await conn.execute(sql, *values)
        await conn.close()
        await analyze(city, service, table)


async def _as(city: Installation, service: str) -> asyncpg.Connection:
    conn = await asyncpg.connect(city.dsn(service))
    await prepare_connection(conn)
    return conn


async def test_it_is_loaded_once(city: Installation, infra: Infra) -> None:
    url = other_database(infra.postgres_admin_url, city.name)
    with pytest.raises(Occupied):
        await load(url, city.secrets.sealing_key, Size(8, clock.now()), zone=URUMQI)


async def test_indexes_and_triggers_are_back(city: Installation, infra: Infra) -> None:
    conn = await asyncpg.connect(other_database(infra.postgres_admin_url, city.name))
    assert await conn.fetchval(SQL_UNUSABLE) == 0
    await conn.close()
    intake_conn = await _as(city, "intake")
    async with intake_conn.transaction():
        with pytest.raises(asyncpg.UniqueViolationError):
            async with intake_conn.transaction():
                await intake_conn.execute("INSERT INTO reports SELECT * FROM reports LIMIT 1")
        before = (await intake.tallies(intake_conn))["accepted"]
        await intake_conn.execute(
            "INSERT INTO reports SELECT gen_random_uuid(), source, 'new', company, rider_id, kind, content_hash, "
            "received_at FROM reports LIMIT 1"
        )
        assert (await intake.tallies(intake_conn))["accepted"] == before + 1
        await intake_conn.execute("DELETE FROM reports WHERE external_id = 'new'")
    await intake_conn.close()


async def test_every_kept_number_is_what_history_has(city: Installation) -> None:
    for service in city.services:
        conn = await _as(city, service)
        async with conn.transaction():
            assert await counters.differences(conn) == [], service
        await conn.close()


async def test_services_agree(city: Installation) -> None:
    """The equations of the demo's reconciliation."""
    tallies = {
        "intake": intake.tallies, "routing": routes.tallies, "cases": cases.tallies, "points": ledger.tallies,
        "rewards": redemptions.tallies, "tracking": figures.tallies,
    }  # fmt: skip
    sums = {}
    for service, ask in tallies.items():
        conn = await _as(city, service)
        sums[service] = await ask(conn)
        await conn.close()
    accepted = sums["intake"]["accepted"]
    assert accepted == REPORTS == sums["tracking"]["received"] == sum(sums["routing"].values())
    assert sums["routing"]["routed"] == sums["cases"]["reports"] == sums["points"]["reports"]
    assert sums["cases"]["cases"] == sums["cases"]["live"] + sums["cases"]["closed"] + sums["cases"]["invalid"]
    assert 0 < sums["cases"]["live"] < REPORTS / 100
    assert sums["cases"]["steps"] == sums["tracking"]["case_steps"]
    assert sums["points"]["ledger_sum"] == 0 and sums["points"]["held"] > sums["points"]["posted"] > 0
    assert sums["points"]["redeemed"] == sums["rewards"]["points_spent"] > 0


async def test_the_ledger_passes_a_whole_round(city: Installation) -> None:
    conn = await _as(city, "points")
    await rounds.begin(conn, clock.now())
    state = await rounds.round_under_way(conn)
    while state is not None and state.finished_at is None:
        async with conn.transaction():
            state = await rounds.check_share(conn, state, clock.now())
    assert state is not None and state.wrong_last == 0
    await conn.close()


def _cases(state: State | None, *areas: str, rows: int = 0) -> Ask:
    """A page of the city's or of areas' cases, with so many at least."""

    async def ask(conn: Connection) -> None:
        after = (clock.now() - timedelta(days=5_000), new_id())
        assert len(await listing.page(conn, Listing(areas or None, AreaTree(), state, None, after, 51))) >= rows

    return ask


def _grid_codes() -> list[str]:
    return [grid.code for grid in grids()]


async def _one_share(conn: Connection) -> None:
    """Of a round begun for it: which tests ran before, and whether in this process, is nothing to rely on."""
    await rounds.begin(conn, clock.now())
    state = await rounds.round_under_way(conn)
    assert state is not None
    async with conn.transaction():
        await rounds.check_share(conn, state, clock.now())


async def _one_journey(conn: Connection) -> None:
    report_id = await conn.fetchval("SELECT report_id FROM reports ORDER BY report_id LIMIT 1")
    assert await journeys.journey(conn, report_id) is not None


ASKED: list[tuple[str, str, Ask]] = [
    ("tracking", "progress", lambda conn: figures.progress(conn, None)),
    ("tracking", "progress of a company", lambda conn: figures.progress(conn, "aged-a")),
    ("tracking", "the city at a glance", lambda conn: figures.cases_at_a_glance(conn, 10)),
    ("tracking", "latest cases", lambda conn: figures.latest_cases(conn, 12)),
    ("tracking", "hops", lambda conn: figures.hops(conn, None)),
    ("tracking", "hops of the last hour", lambda conn: figures.hops(conn, clock.now() - timedelta(hours=1))),
    ("tracking", "tallies", figures.tallies),
    ("tracking", "one journey", _one_journey),
    ("tracking", "a page of an export", lambda conn: journeys.export_page(conn, "aged-a", new_id(), 100)),
    ("intake", "tallies", intake.tallies),
    ("routing", "tallies", routes.tallies),
    ("cases", "tallies", cases.tallies),
    ("cases", "deadlines", lambda conn: cases.deadlines(conn, clock.now())),
    ("cases", "closed cases of the city", _cases("closed", rows=51)),
    ("cases", "closed cases of a street", _cases("closed", "330114001", rows=51)),
    ("cases", "closed cases of a district", _cases("closed", "330114", rows=51)),
    ("cases", "live cases of a district", _cases(None, "330114", rows=1)),
    *(("cases", f"{state} cases of the city", _cases(state)) for state in get_args(State)),
    *(("cases", f"{state} cases of a district", _cases(state, "330114")) for state in get_args(State)),
    ("routing", "the manual queue of the city", lambda conn: routes.waiting(conn, None, 51, None)),
    ("routing", "the manual queue of a district", lambda conn: routes.waiting(conn, None, 51, _grid_codes())),
    ("points", "tallies", ledger.tallies),
    ("points", "recent accounts", points.check_recent),
    ("points", "a share of the round", _one_share),
    ("riders", "tallies", riders.tallies),
    ("riders", "oldest keys", riders.oldest_keys),
    ("rewards", "tallies", redemptions.tallies),
    ("notifications", "tallies", messages.tallies),
    ("notifications", "unsent deliveries", lambda conn: deliveries.figures(conn)),
    ("notifications", "a webhook's deliveries", lambda conn: webhooks.figures(conn, [HOOK])),
    ("tracking", "riders who left", erasure.measure),
    ("tracking", "open dead letters", letter_bounds.open_counts),
]


@pytest.mark.parametrize(("service", "what", "ask"), ASKED, ids=[f"{service}: {what}" for service, what, _ in ASKED])
async def test_nobody_reads_all_of_history(city: Installation, service: str, what: str, ask: Ask) -> None:
    """Postgres counts the scans of whole tables: none of a table with a row per report."""
    conn = await _as(city, service)
    before = await _scans(conn)
    await ask(conn)
    after = await _scans(conn)
    await conn.close()
    assert {table: n - before[table] for table, n in after.items() if n > before[table]} == {}, what


async def _scans(conn: asyncpg.Connection) -> dict[str, int]:
    await conn.execute("SELECT pg_stat_force_next_flush()")
    await conn.execute("SELECT pg_stat_clear_snapshot()")
    return {row["relname"]: row["seq_scan"] for row in await conn.fetch(SQL_SCANS, HISTORY_ROWS)}


OVER: list[tuple[str, str, Ask]] = [
    ("tracking", "erased_riders", erasure.measure),
    ("notifications", "deliveries", lambda conn: deliveries.figures(conn)),
    ("notifications", "deliveries", lambda conn: webhooks.figures(conn, [HOOK])),
    ("notifications", "deliveries", lambda conn: deliveries.listed(conn, "dead", None, 50)),
]


@pytest.mark.parametrize(("service", "table", "ask"), OVER, ids=["erasures", "unsent", "a webhook", "a page"])
async def test_nobody_reads_what_is_over(city: Installation, service: str, table: str, ask: Ask) -> None:
    """Neither whole nor by an index: a handful of rows says it."""
    conn = await _as(city, service)
    before = await rows_read(conn, table)
    await ask(conn)
    assert await rows_read(conn, table) - before < 500
    await conn.close()


async def test_what_is_over_is_shown(city: Installation) -> None:
    conn = await _as(city, "notifications")
    found = {(lane, state): (n, age_s) for lane, state, n, age_s in await deliveries.figures(conn)}
    number, age_s = found["webhook", "dead"]
    assert (number, await webhooks.figures(conn, [HOOK])) == (OVER_ROWS, {HOOK: {"dead": OVER_ROWS}})
    assert age_s >= OVER_ROWS * 20
    await conn.close()
    conn = await _as(city, "tracking")
    await erasure.measure(conn)
    await conn.close()
    known, done = metrics.ERASURES_KNOWN._value.get(), metrics.ERASURES_DONE._value.get()
    # one each five minutes, those of the last hour left out
    assert known == done and OVER_ROWS - 13 <= known <= OVER_ROWS - 11


async def test_nobody_reads_all_of_history_to_count(city: Installation) -> None:
    """What triggers look up for a batch of events is the batch's, not all there is."""
    stories = [Story(f"T-{n}", "aged-a") for n in range(150)]
    topics: dict[str, list[list[Event[Any]]]] = defaultdict(list)
    for story in stories:
        for topic, events in story.whole():
            topics[topic].append(list(events))
    async with asyncpg.create_pool(city.dsn("tracking"), min_size=1, max_size=1, init=prepare_connection) as pool:
        conn = await _as(city, "tracking")
        before = await _scans(conn)
        for topic, batches in topics.items():
            await Tracking(pool, pool).hear((topic, [event for batch in batches for event in batch]))
    after = await _scans(conn)
    async with conn.transaction():
        assert await counters.differences(conn) == []
    await conn.close()
    assert after == before


async def test_a_scan_of_all_is_seen(city: Installation) -> None:
    """The check itself bites: the way in which tracking used to count."""
    conn = await _as(city, "tracking")
    before = await _scans(conn)
    await conn.fetchval("SELECT count(*) FROM case_reports l JOIN cases c USING (case_id) WHERE c.state = 'closed'")
    after = await _scans(conn)
    await conn.close()
    assert after["cases"] > before["cases"] and after["case_reports"] > before["case_reports"]
