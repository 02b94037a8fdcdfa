"""Causes of alerts: records that can't be taken, and events that can't leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from tests.faults.support.database import ask
from tests.faults.support.kafka import Raw, RawProducer
from tests.faults.support.raw_events import event, received
from tests.faults.support.servers import revive
from tests.faults.support.watched import Watched, repeated, session, shown, until, usurped

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
async def kinds_that_nobody_knows(watched: Watched) -> AsyncIterator[None]:
    """A company sends another catalogue's kinds; then the right ones again."""
    town = watched.town
    async with repeated(lambda: town.stream(*(town.report(kind="part-99999") for _ in range(5)))):
        yield
    await watched.outweigh("RecordsRefused", lambda: town.stream(*(town.report() for _ in range(50))))


@asynccontextmanager
async def old_records_behind_a_lock(watched: Watched) -> AsyncIterator[None]:
    """The consumer comes to what is ten minutes old, and can't go on: somebody holds the row that it must write."""
    first, stuck, then = received(), received(), clock.now() - OLD
    # more than two batches, of which only the first takes effect, and the last one's last record waits
    repetitions = [event(REPORT_RECEIVED, first, at=then)] * 1_100
    # on one partition, hence in this order
    records = [Raw(raw.topic, "one key", raw.value, raw.headers) for raw in repetitions]
    last = event(REPORT_RECEIVED, stuck, at=then)
    async with session(watched.owner("routing"), SQL_TAKEN.format(stuck.report_id)):
        producer = RawProducer(watched.home)
        await asyncio.to_thread(producer.send_all, [*records, Raw(last.topic, "one key", last.value, last.headers)])
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
