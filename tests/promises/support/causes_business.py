"""Causes of alerts: what the city itself is late with, or what is wrong with its points, keys and companies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.devtools.infra.ports import free_port
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.ids import new_id
from tests.promises.support.database import ask
from tests.promises.support.kafka import RawProducer, wait_consumed
from tests.promises.support.raw_events import event, received
from tests.promises.support.town import NOWHERE
from tests.promises.support.watched import PATIENCE_S, Watched, locked, repeated, until

OLD_COMPANY = "laohao"
DEADLINES = "beegrid_cases_deadlines"
WAITING = "beegrid_routing_unroutable_oldest_age_seconds"
SUSPECTED = "beegrid_screening_oldest_suspicion_age_seconds"
LEDGER = "beegrid_points_ledger_sum_points"
KEYS = "beegrid_riders_company_key_made_timestamp_seconds"
SQL_CASES = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, lng, lat, cell, seen_at,
                   opened_at, due_at, changed_at, report_count)
SELECT gen_random_uuid(), 1, 'open', true, 'local-gas-smell', level, '330114000000001', '{}', 120, 30, 0, now(),
       now() - interval '3 hours', now() + left_over, now(), 1
FROM (VALUES ('hazard', interval '20 minutes'), ('emergency', interval '-1 hour'), ('routine', interval '-1 hour'))
    AS due (level, left_over); SELECT 1
"""
SQL_CASES_CLOSED = "UPDATE cases SET live = false, state = 'closed' WHERE due_at < now() + interval '1 hour'; SELECT 1"
SQL_WAITING_LONG = """
WITH waiting AS (
    SELECT gen_random_uuid() AS report_id, level, waited
    FROM (VALUES ('emergency', interval '20 minutes'), ('hazard', interval '5 hours')) AS of (level, waited)
), routed AS (
    INSERT INTO routes (report_id, version, outcome, reason, alternatives, routed_at)
    SELECT report_id, 1, 'unroutable', 'nobody looks', '{}', now() - waited FROM waiting
)
INSERT INTO unroutable (report_id, reason, waiting_since, near, report)
SELECT report_id, 'nobody looks', now() - waited, '330114000000001', jsonb_build_object('level', level)
FROM waiting; SELECT 1
"""
SQL_LOOKED_AT = """
DELETE FROM unroutable WHERE reason = 'nobody looks';
UPDATE routes SET outcome = 'routed', reason = NULL, grid_code = '330114000000001' WHERE reason = 'nobody looks'
"""
SQL_SUSPECTED = """
INSERT INTO suspicions (report_id, rider_id, state, score, version, changed_at)
VALUES (gen_random_uuid(), gen_random_uuid(), 'raised', 100, 1, now() - interval '4 days'); SELECT 1
"""
SQL_CLEARED = """
UPDATE suspicions SET state = 'cleared', score = 0, changed_at = now()
WHERE state = 'raised' AND changed_at < now() - interval '3 days'; SELECT 1
"""
SQL_VANISHED = "INSERT INTO accounts (rider_id, available) VALUES (gen_random_uuid(), 5); SELECT 1"
SQL_FOUND = "UPDATE accounts SET available = 0 WHERE available = 5 AND version = 0; SELECT 1"
SQL_KEY_OLD = f"""
UPDATE company_keys SET created_at = now() - interval '2 years'
WHERE company_id = (SELECT company_id FROM companies WHERE code = '{OLD_COMPANY}'); SELECT 1
"""
FORGOTTEN = "beegrid_erasures_known"
SQL_LEFT = """
INSERT INTO erased_riders (rider_id, number, erased_at, heard_at, done_at)
VALUES ('0199a2c4-01a4-71a4-81a4-5f0c7be10001', 'erased:', now() - interval '2 hours', now(), now())
ON CONFLICT DO NOTHING; SELECT 1
"""
SQL_VERDICT_LEFT = """
INSERT INTO settlements (case_id, case_version, act, up_to, grid_code, changed_at, queued_at)
VALUES (gen_random_uuid(), 2, 'post', 100, '330114000000001', now(), now() - interval '20 minutes'); SELECT 1
"""
SQL_STEP_LEFT = """
INSERT INTO crowds (event_id, case_id, report_count, template, params, created_at, queued_at)
VALUES (gen_random_uuid(), gen_random_uuid(), 100, 'case_closed', '{}', now(), now() - interval '20 minutes'); SELECT 1
"""
SQL_STATION = """
INSERT INTO stations (id, code, version, edition, name, kind, sponsor, area_code, address, lng, lat, managing_unit,
                      responsible, phone, duty_phone, hours, open_on_holidays, services, photos, state, state_since,
                      next_at, settled_at, created_at, changed_at)
VALUES ('0199a2c4-01a4-71a4-81a4-5f0c7be10002', 'ALERT', 1, 1, '驿站', 'hive', '', '330114000000001', '路', 120, 30,
        '社区', '', '', '', '24/7', false, '{}', '{}', 'open', now(), now() + interval '1 hour', now(), now(), now())
ON CONFLICT DO NOTHING;
"""
SQL_WORDS_LEFT = f"""{SQL_STATION}
INSERT INTO feedback (id, station_id, rider_id, given_on, stars, words, state, given_at, due_at)
VALUES (gen_random_uuid(), '0199a2c4-01a4-71a4-81a4-5f0c7be10002', gen_random_uuid(), current_date, 1, '门锁着',
        'waiting', now() - interval '4 days', now() - interval '1 day'); SELECT 1
"""
SQL_WORDS_ANSWERED = """
UPDATE feedback SET state = 'answered', answered_at = now(), answer = '已开' WHERE state = 'waiting'; SELECT 1
"""
SQL_STATION_LATE = f"{SQL_STATION} UPDATE stations SET next_at = now() - interval '20 minutes'; SELECT 1"
SQL_LOT_OPEN = """
INSERT INTO activities (
    id, version, title_zh, title_en, words_zh, words_en, area_code, address, organiser, published_by, starts_at,
    ends_at, signup_until, places, way, companies, areas, seed_hash, state, published_at, changed_at)
VALUES (
    '00000000-0000-4000-8000-00000000010f', 1, '观影', 'Film', '', '', '330114', '站', '市', 'op',
    now() + interval '2 days', now() + interval '3 days', now() + interval '1 day', 3, 'lot', '{}', '{}',
    repeat('0', 64), 'open', now(), now());
INSERT INTO seeds VALUES ('00000000-0000-4000-8000-00000000010f', repeat('0', 64)); SELECT 1
"""
SQL_LOT_ENDED = """
UPDATE activities SET signup_until = now() - interval '20 minutes'
WHERE id = '00000000-0000-4000-8000-00000000010f'; SELECT 1
"""
REVIEWS = "beegrid_tasks_review_overdue_age_seconds"
SQL_UNREVIEWED = """
WITH over AS (
    INSERT INTO tasks (id, kind, area_code, title, needs, address, skills, capacity, points, points_given, starts_at,
                       ends_at, hand_back_until, state, claims, taken, published_by)
    VALUES (gen_random_uuid(), 'errand', '330114000000001', 'nobody looks', '', '', '{}', 1, 1, 1,
            now() - interval '5 days', now() - interval '4 days', now() - interval '5 days', 'over', 1, 1, 'op')
    RETURNING id
)
INSERT INTO claims (id, task_id, rider_id, company, no, state, of_age, finished_at, review_due_at)
SELECT gen_random_uuid(), id, gen_random_uuid(), 'suda', 1, 'finished', true, now() - interval '4 days',
       now() - interval '2 days' FROM over; SELECT 1
"""
SQL_REVIEWED = """
UPDATE claims SET state = 'rejected', reviewed_by = 'op', reviewed_at = now(), decided_at = now()
WHERE state = 'finished'; SELECT 1
"""
SQL_LONG_AWAY = """
UPDATE webhooks SET failures = 9, paused_until = now() + interval '15 minutes';
UPDATE deliveries SET created_at = now() - interval '11 minutes' WHERE state = 'pending'
"""
SQL_DEAD = "SELECT target_id FROM deliveries WHERE state = 'dead'"
SQL_UNSENT = "SELECT FROM deliveries WHERE state <> 'sent'"


@asynccontextmanager
async def reports_from_elsewhere(watched: Watched) -> AsyncIterator[None]:
    """Reports of another city; then of this one again."""
    producer = RawProducer(watched.home)

    async def send(place: tuple[float, float] | None) -> None:
        raws = [event(REPORT_RECEIVED, received(place)) for _ in range(20)]
        await asyncio.to_thread(producer.send_all, raws)
        await asyncio.to_thread(wait_consumed, watched.home, "routing", [REPORT_RECEIVED.name], PATIENCE_S)

    async with repeated(lambda: send(NOWHERE)):
        yield
    await watched.outweigh("ReportsUnroutable", lambda: send(None))


@asynccontextmanager
async def rows_of(watched: Watched, service: str, made: str, undone: str, gauge: str) -> AsyncIterator[None]:
    """Rows that a statement writes, until another takes them back; the gauge has seen each."""
    dsn = watched.home.dsn(service)
    ask(dsn, made)
    await watched.measured_again(service, gauge)
    try:
        yield
    finally:
        ask(dsn, undone)
        await watched.measured_again(service, gauge)


@asynccontextmanager
async def reports_that_nobody_looks_at(watched: Watched) -> AsyncIterator[None]:
    """Two reports have waited for a grid for hours; then somebody has named it."""
    async with rows_of(watched, "routing", SQL_WAITING_LONG, SQL_LOOKED_AT, WAITING):
        yield


@asynccontextmanager
async def a_suspicion_that_nobody_decides_on(watched: Watched) -> AsyncIterator[None]:
    """Somebody's points have waited for four days; then the report is cleared."""
    async with rows_of(watched, "screening", SQL_SUSPECTED, SQL_CLEARED, SUSPECTED):
        yield


@asynccontextmanager
async def words_that_nobody_answers(watched: Watched) -> AsyncIterator[None]:
    """A rider has waited for days for an answer about a station; then there is one. It is measured often."""
    ask(watched.home.dsn("stations"), SQL_WORDS_LEFT)
    yield
    ask(watched.home.dsn("stations"), SQL_WORDS_ANSWERED)


@asynccontextmanager
async def stations_that_nobody_looks_at(watched: Watched) -> AsyncIterator[None]:
    """A station's time has come, and somebody holds a table that must be read for it; then no more."""
    async with locked(watched.owner("stations"), "spells"):
        await asyncio.to_thread(ask, watched.home.dsn("stations"), SQL_STATION_LATE)
        yield


@asynccontextmanager
async def a_locked_map(watched: Watched) -> AsyncIterator[None]:
    """Nobody can ask which map is in force."""
    async with locked(watched.owner("routing"), "current_map"):
        yield


@asynccontextmanager
async def cases_near_and_past_their_limits(watched: Watched) -> AsyncIterator[None]:
    """Three open cases of three levels; then they are closed."""
    async with rows_of(watched, "cases", SQL_CASES, SQL_CASES_CLOSED, DEADLINES):
        yield


@asynccontextmanager
async def points_from_nowhere(watched: Watched) -> AsyncIterator[None]:
    """An account with points that no entry explains."""
    dsn = watched.home.dsn("points")
    ask(dsn, SQL_VANISHED)
    await watched.measured_again("points", LEDGER)
    try:
        yield
    finally:
        ask(dsn, SQL_FOUND)
        await watched.measured_again("points", LEDGER)


@asynccontextmanager
async def crowds_that_nobody_serves(watched: Watched) -> AsyncIterator[None]:
    """A verdict and a step began long ago, and somebody holds the tables that must be read for them; then no more."""
    async with locked(watched.owner("points"), "holds"), locked(watched.owner("notifications"), "case_reporters"):
        await asyncio.to_thread(ask, watched.home.dsn("points"), SQL_VERDICT_LEFT)
        await asyncio.to_thread(ask, watched.home.dsn("notifications"), SQL_STEP_LEFT)
        yield


@asynccontextmanager
async def a_draw_that_nobody_holds(watched: Watched) -> AsyncIterator[None]:
    """Sign-up ended long ago, and somebody holds the seeds that must be read for the draw; then no more."""
    dsn = watched.home.dsn("activities")
    await asyncio.to_thread(ask, dsn, SQL_LOT_OPEN)
    async with locked(watched.owner("activities"), "seeds"):
        await asyncio.to_thread(ask, dsn, SQL_LOT_ENDED)
        yield


@asynccontextmanager
async def a_review_that_nobody_does(watched: Watched) -> AsyncIterator[None]:
    """A rider's work should have been looked at two days ago; then somebody does."""
    async with rows_of(watched, "tasks", SQL_UNREVIEWED, SQL_REVIEWED, REVIEWS):
        yield


@asynccontextmanager
async def a_key_of_two_years(watched: Watched) -> AsyncIterator[None]:
    """A company that has never changed its key; then it does."""
    door, path = watched.town.door, f"/v1/companies/{OLD_COMPANY}"
    await door.post("/v1/companies", {"code": OLD_COMPANY, "name": "老号"})
    ask(watched.home.dsn("riders"), SQL_KEY_OLD)
    await watched.measured_again("riders", KEYS)
    yield
    [old] = (await door.get(path))["keys"]
    await door.post(f"{path}/keys", None, idempotency_key=str(new_id()))
    await door.delete(f"{path}/keys/{old['key_id']}")
    await watched.measured_again("riders", KEYS)


@asynccontextmanager
async def an_erasure_that_one_service_missed(watched: Watched) -> AsyncIterator[None]:
    """Everybody has forgotten a rider but cases; then cases has, too."""
    services = watched.home.services
    for service in services:
        if service != "cases":
            ask(watched.home.dsn(service), SQL_LEFT)
    for service in services:
        await watched.measured_again(service, FORGOTTEN)
    yield
    ask(watched.home.dsn("cases"), SQL_LEFT)
    await watched.measured_again("cases", FORGOTTEN)


@asynccontextmanager
async def a_company_that_does_not_answer(watched: Watched) -> AsyncIterator[None]:
    """Its webhook's port is closed: one delivery is given up, the others wait; then it is open again."""
    door, dsn, port = watched.town.door, watched.home.dsn("notifications"), free_port()
    of = {"company": watched.town.company.code}
    hook = {**of, "url": f"http://127.0.0.1:{port}/hook"}
    await door.put("/v1/webhooks", hook)
    await door.post("/v1/webhooks/test", of)
    await until(lambda: bool(ask(dsn, SQL_DEAD)), lambda: "the delivery isn't given up")
    # What a quarter of an hour of silence makes of it; new news wait behind that.
    ask(dsn, SQL_LONG_AWAY)
    await door.post("/v1/webhooks/test", of)
    ask(dsn, SQL_LONG_AWAY)
    yield
    server = await asyncio.start_server(_thank, "127.0.0.1", port)
    async with server:
        await door.post("/v1/webhooks/test", of)
        for (target,) in set(ask(dsn, SQL_DEAD)):
            await door.post("/v1/notifications/deliveries/retry", {"target_id": str(target)})
        await until(lambda: not ask(dsn, SQL_UNSENT), lambda: "not everything is sent")


async def _thank(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take one request with its body and answer 204."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()
