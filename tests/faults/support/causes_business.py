"""Causes of alerts: what the city itself is late with, or what is wrong with its points, keys and companies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.devtools.infra.process import free_port
from shared.events.report_received import REPORT_RECEIVED
from shared.kit.ids import new_id
from tests.faults.support.database import ask
from tests.faults.support.kafka import RawProducer, wait_consumed
from tests.faults.support.raw_events import event, received
from tests.faults.support.town import NOWHERE
from tests.faults.support.watched import PATIENCE_S, Watched, locked, repeated, until

OLD_COMPANY = "laohao"
DEADLINES = "beegrid_cases_deadlines"
LEDGER = "beegrid_points_ledger_sum_points"
KEYS = "beegrid_riders_company_key_made_timestamp_seconds"
SQL_CASES = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, lng, lat, cell, seen_at,
                   opened_at, due_at, changed_at)
SELECT gen_random_uuid(), 1, 'open', true, 'local-gas-smell', level, '330114000000001', '{}', 120, 30, 0, now(),
       now() - interval '3 hours', now() + left_over, now()
FROM (VALUES ('hazard', interval '20 minutes'), ('emergency', interval '-1 hour'), ('routine', interval '-1 hour'))
    AS due (level, left_over); SELECT 1
"""
SQL_CASES_CLOSED = "UPDATE cases SET live = false, state = 'closed' WHERE due_at < now() + interval '1 hour'; SELECT 1"
SQL_VANISHED = "INSERT INTO accounts (rider_id, available) VALUES (gen_random_uuid(), 5); SELECT 1"
SQL_FOUND = "UPDATE accounts SET available = 0 WHERE available = 5 AND version = 0; SELECT 1"
SQL_KEY_OLD = f"""
UPDATE company_keys SET created_at = now() - interval '2 years'
WHERE company_id = (SELECT company_id FROM companies WHERE code = '{OLD_COMPANY}'); SELECT 1
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
async def a_locked_map(watched: Watched) -> AsyncIterator[None]:
    """Nobody can ask which map is in force."""
    async with locked(watched.owner("routing"), "current_map"):
        yield


@asynccontextmanager
async def cases_near_and_past_their_limits(watched: Watched) -> AsyncIterator[None]:
    """Three open cases of three levels; then they are closed."""
    dsn = watched.home.dsn("cases")
    ask(dsn, SQL_CASES)
    await watched.measured_anew("cases", DEADLINES)
    try:
        yield
    finally:
        ask(dsn, SQL_CASES_CLOSED)
        await watched.measured_anew("cases", DEADLINES)


@asynccontextmanager
async def points_from_nowhere(watched: Watched) -> AsyncIterator[None]:
    """An account with points that no entry explains."""
    dsn = watched.home.dsn("points")
    ask(dsn, SQL_VANISHED)
    await watched.measured_anew("points", LEDGER)
    try:
        yield
    finally:
        ask(dsn, SQL_FOUND)
        await watched.measured_anew("points", LEDGER)


@asynccontextmanager
async def a_key_of_two_years(watched: Watched) -> AsyncIterator[None]:
    """A company that has never changed its key; then it does."""
    door, path = watched.town.door, f"/v1/companies/{OLD_COMPANY}"
    await door.post("/v1/companies", {"code": OLD_COMPANY, "name": "老号"})
    ask(watched.home.dsn("riders"), SQL_KEY_OLD)
    await watched.measured_anew("riders", KEYS)
    yield
    [old] = (await door.get(path))["keys"]
    await door.post(f"{path}/keys", None, idempotency_key=str(new_id()))
    await door.delete(f"{path}/keys/{old['key_id']}")
    await watched.measured_anew("riders", KEYS)


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
        await door.put("/v1/webhooks", hook)
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
