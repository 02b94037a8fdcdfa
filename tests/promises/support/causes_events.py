"""Causes of alerts: records that can't be taken, and events that can't leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from tests.promises.support.database import ask
from tests.promises.support.kafka import Raw, RawProducer, producers_time
from tests.promises.support.raw_events import event, received
from tests.promises.support.servers import revive
from tests.promises.support.watched import Watched, repeated, session, shown, until, usurped

OUTBOX_LIMIT = 100_000
RETRIES = "beegrid_consumer_retries_total"
OLD = timedelta(minutes=10)
# Dead letters' topics: nobody of the suite hears what is queued for them here.
SQL_QUEUE_MANY = f"""
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload)
SELECT gen_random_uuid(), 'cases.case-changed.v1.dlq', 'nobody', 0, now(), '{{}}'
FROM generate_series(0, {OUTBOX_LIMIT}); SELECT 1
"""
SQL_QUEUE_OLD = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload)
VALUES (gen_random_uuid(), 'intake.report-received.v1.dlq', 'nobody', 0, now() - interval '5 minutes', '{}');
SELECT 1
"""
SQL_QUEUE_REFUSED = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload) VALUES
    (gen_random_uuid(), 'riders.company-changed.v1', 'nobody', 0, now(), '{}'),
    (gen_random_uuid(), 'intake.report-received.v1.dlq', 'nobody', 0, now(), decode(repeat('78', 6000000), 'hex'));
SELECT 1
"""
SQL_GIVE_UP = """
UPDATE outbox_held SET discarded_at = now(), discarded_by = 'test', reason = 'test' WHERE discarded_at IS NULL;
UPDATE outbox_holds SET next_try_at = now(); SELECT 1
"""
NONSENSE = 400
SQL_GRANT = """
UPDATE letter_allowances SET granted = 100000, granted_until = now() + interval '1 hour' WHERE stood_at IS NOT NULL
RETURNING cause
"""
SQL_NONSENSE = f"SELECT 1 FROM dead_letters WHERE code = 'not_json' HAVING count(*) >= {NONSENSE}"
DAYS_AHEAD = "beegrid_inbox_days_ahead"
SQL_NO_DAYS = """
DO $$
DECLARE
    one date;
BEGIN
    FOR one IN SELECT day FROM inbox_days() AS day WHERE day > (now() AT TIME ZONE 'UTC')::date LOOP
        EXECUTE format('DROP TABLE inbox_d%s', to_char(one, 'YYYYMMDD'));
    END LOOP;
END
$$; SELECT 1
"""
SQL_DAYS = """
DO $$ BEGIN WHILE roll_inbox('22 days') IS NOT NULL LOOP END LOOP; END $$; SELECT 1
"""
SQL_OVER_BOUND = """
INSERT INTO dead_letter_ranges VALUES ('inbound.suda.reports.v1', 0, 1, 9000, 9000, 'not_json', now(), now()); SELECT 1
"""
SQL_TAKEN = """
INSERT INTO routes (report_id, version, outcome, alternatives, grid_code, routed_at)
VALUES ('{}', 1, 'routed', '{{}}', '330114000000001', now())
"""


@asynccontextmanager
async def an_unreadable_record(watched: Watched) -> AsyncIterator[None]:
    """It is a dead letter of everybody who hears the topic, until somebody gives it up."""
    RawProducer(watched.home).send_all([Raw(REPORT_RECEIVED.name, "x", b"not JSON")])
    try:
        yield
    finally:
        for service in set(REPORT_RECEIVED.consumers) & set(watched.home.services):
            ask(watched.home.dsn(service), "UPDATE dead_letters SET status = 'discarded'; SELECT 1")


@asynccontextmanager
async def a_producer_of_nonsense(watched: Watched) -> AsyncIterator[None]:
    """Hundreds of records that nobody can read; until an operator has them buried, as those who hear the topic must."""
    # each has a key of its own: none parks another
    nonsense = [Raw(REPORT_RECEIVED.name, f"nonsense {n}", b"not JSON") for n in range(NONSENSE)]
    await asyncio.to_thread(RawProducer(watched.home).send_all, nonsense)
    try:
        yield
    finally:
        for service in sorted(set(REPORT_RECEIVED.consumers) & set(watched.home.services)):
            dsn = watched.home.dsn(service)
            await until(partial(_granted, dsn), partial("{} doesn't stand still".format, service))
            await until(partial(_buried, dsn), partial("{} doesn't go on".format, service))
            ask(dsn, "UPDATE dead_letters SET status = 'discarded'; DELETE FROM parked_keys; SELECT 1")


def _granted(dsn: str) -> bool:
    return bool(ask(dsn, SQL_GRANT))


def _buried(dsn: str) -> bool:
    return bool(ask(dsn, SQL_NONSENSE))


@asynccontextmanager
async def events_that_kafka_refuses(watched: Watched) -> AsyncIterator[None]:
    """Routing has no right to one of them, and the other is too large; until somebody gives them up."""
    dsn = watched.home.dsn("routing")
    await asyncio.to_thread(ask, dsn, SQL_QUEUE_REFUSED)
    try:
        yield
    finally:
        await asyncio.to_thread(ask, dsn, SQL_GIVE_UP)


@asynccontextmanager
async def kinds_that_nobody_knows(watched: Watched) -> AsyncIterator[None]:
    """A company sends another catalogue's kinds; then the right ones again."""
    town = watched.town
    async with repeated(lambda: town.stream(*(town.report(kind="part-99999") for _ in range(5)))):
        yield
    await watched.outweigh("RecordsRefused", lambda: town.stream(*(town.report() for _ in range(50))))


@asynccontextmanager
async def a_company_with_too_many_letters(watched: Watched) -> AsyncIterator[None]:
    """So many that its records are only counted, until the last of them is old."""
    dsn = watched.home.dsn("intake")
    await asyncio.to_thread(ask, dsn, SQL_OVER_BOUND)
    try:
        yield
    finally:
        await asyncio.to_thread(ask, dsn, "DELETE FROM dead_letter_ranges; SELECT 1")


@asynccontextmanager
async def days_that_nobody_made(watched: Watched) -> AsyncIterator[None]:
    """The inbox of routing has no partitions from tomorrow on, until somebody makes them."""
    owner = watched.owner("routing")
    await asyncio.to_thread(ask, owner, SQL_NO_DAYS)
    await watched.measured_again("routing", DAYS_AHEAD)
    try:
        yield
    finally:
        await asyncio.to_thread(ask, owner, SQL_DAYS)
        await watched.measured_again("routing", DAYS_AHEAD)


@asynccontextmanager
async def old_records_behind_a_lock(watched: Watched) -> AsyncIterator[None]:
    """The consumer comes to what is ten minutes old, and can't go on: somebody holds the row that it must write."""
    first, stuck, then = received(), received(), clock.now() - OLD
    # more than two batches, of which only the first takes effect, and the last one's last record waits
    repetitions = [event(REPORT_RECEIVED, first, at=then)] * 1_100
    # on one partition, hence in this order
    old_ms = int(then.timestamp() * 1000)
    records = [Raw(raw.topic, "one key", raw.value, raw.headers, old_ms) for raw in repetitions]
    last = event(REPORT_RECEIVED, stuck, at=then)
    async with session(watched.owner("routing"), SQL_TAKEN.format(stuck.report_id)):
        records.append(Raw(last.topic, "one key", last.value, last.headers, old_ms))
        with producers_time(watched.home, REPORT_RECEIVED.name):
            await asyncio.to_thread(RawProducer(watched.home).send_all, records)
        yield
        # The lock's own time limit ends the batch, which is fetched again: the runbook calls it an outage.
        routing = watched.suite.services["routing"]
        await until(lambda: bool(shown(routing, RETRIES)), lambda: "the batch isn't tried again")


@asynccontextmanager
async def a_full_outbox_without_a_relay(watched: Watched) -> AsyncIterator[None]:
    """Points' events pile up: the lock of its relay is held by somebody who relays nothing."""
    dsn = watched.home.dsn("points")
    async with usurped(dsn, "points"):
        await asyncio.to_thread(ask, dsn, SQL_QUEUE_MANY)
        yield


@asynccontextmanager
async def a_broker_that_stands_still(watched: Watched) -> AsyncIterator[None]:
    """Kafka takes nothing."""
    kafka = watched.home.infra.kafka
    assert kafka is not None
    kafka.pause()
    try:
        ask(watched.home.dsn("routing"), SQL_QUEUE_OLD)
        yield
    finally:
        revive(kafka)
