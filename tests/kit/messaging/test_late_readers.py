"""Whoever comes a year later reads the producers' state from the topics alone, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from services.riders import usecases as riders
from services.riders.domain import Registration, RiderFacts
from services.tracking import usecases as tracking
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.area_changed import AREA_CHANGED, AreaChanged
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED
from shared.events.registry import AnyTopic
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.inbox_days import SQL_ROLL
from shared.kit.messaging.work import Work, begin, insert_outbox
from shared.kit.postgres.db import prepare_connection
from shared.kit.privacy.erasure import Erasure
from shared.kit.service import Service
from shared.known.knowing import Riders, knows
from shared.provision.kafka import connect_admin
from shared.provision.postgres import owner_role
from tests.kit.messaging.compacted import Stored, days_pass, stored
from tests.kit.messaging.conftest import SETTLE_S, running
from tests.services.tracking.conftest import Story
from tests.support import settings_of

STATES = (AREA_CHANGED, COMPANY_CHANGED, RIDER_CHANGED, RIDER_ERASED)
NUMBER = "canary-{}"
INBOX_KEPT = timedelta(days=22)
SEALER = Sealer("A" * 43 + "=")
# What was published a year ago has ids and times of then: ids of version 7 begin with their milliseconds.
SQL_LONG_AGO = """
UPDATE outbox SET occurred_at = occurred_at - interval '1 year', event_id = (lpad(to_hex(
    (extract(epoch FROM now() - interval '1 year') * 1000)::bigint), 12, '0')
    || right(replace(event_id::text, '-', ''), 20))::uuid
"""
SQL_RIDERS = "SELECT rider_id, company, external_id, consent_at IS NOT NULL, active, version FROM riders"
SQL_RIDERS_KNOWN = "SELECT rider_id, company, number, consent, active, version FROM known_riders ORDER BY 1"
SQL_COMPANIES = """
SELECT c.code, c.active, c.version,
       coalesce(array_agg(k.key_id::text ORDER BY k.key_id) FILTER (WHERE k.active), '{}')
FROM companies c LEFT JOIN company_keys k USING (company_id) GROUP BY c.company_id ORDER BY c.code
"""
SQL_COMPANIES_KNOWN = """
SELECT code, active, version, ARRAY(SELECT k ->> 'key_id' FROM jsonb_array_elements(keys) k ORDER BY 1)
FROM known_companies ORDER BY 1
"""
SQL_ERASED = "SELECT rider_id, number FROM erased_riders ORDER BY 1"
SQL_AREAS = "SELECT code, in_force, version FROM known_areas ORDER BY 1"


@asynccontextmanager
async def schema(installation: Installation, service: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(installation.dsn(service), min_size=1, max_size=2, init=prepare_connection) as pool:
        yield pool


@asynccontextmanager
async def long_ago(pool: asyncpg.Pool) -> AsyncIterator[Work]:
    """A transaction of a year ago, before anything of it has left."""
    async with pool.acquire() as conn, conn.transaction():
        work = await begin(conn)
        yield work
        await insert_outbox(conn, work.rows)
        await conn.execute(SQL_LONG_AGO)


async def gone_out(service: Service) -> None:
    """Until the relay has published everything."""
    async with asyncio.timeout(SETTLE_S), running(service):
        while await service.pool.fetchval("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.05)


async def rows(pool: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(sql)]


def registration(number: int, kind: str) -> Registration:
    facts = RiderFacts("王小哥", kind, None, clock.now(), "zh", active=number % 5 > 0)
    return Registration(f"company-{number % 3}", NUMBER.format(number), facts)


async def a_year_of_riders(installation: Installation) -> None:
    """Three companies, one of which is suspended and one has other keys; 60 riders in four steps; 12 erased ones."""
    async with schema(installation, "riders") as pool:
        erasure = Erasure(lambda: pool, 0.0, riders.forget, None)
        for code in ("company-0", "company-1", "company-2"):
            async with long_ago(pool) as work:
                made = await riders.create_company(work, SEALER, code, "顺丰")
                assert isinstance(made, riders.NewKey)
        for kind in ("courier", "truck", "courier", "other"):
            async with long_ago(pool) as work:
                await riders.register(work, [registration(number, kind) for number in range(60)])
        ids = await pool.fetch("SELECT rider_id FROM riders ORDER BY external_id LIMIT 12")
        for row in ids:
            async with long_ago(pool) as work:
                await riders.erase(work, erasure, row["rider_id"])
        await erasure.settle()
        async with long_ago(pool) as work:
            assert await riders.update_company(work, "company-1", "申通", active=False)
            other = await riders.add_key(work, SEALER, "company-2")
            assert isinstance(other, riders.NewKey)
            await riders.revoke_key(work, "company-2", made.key_id)
    await gone_out(Service("riders", settings_of(installation, "riders"), title="riders"))


async def a_year_of_areas(installation: Installation) -> None:
    async with schema(installation, "routing") as pool:
        for version in range(1, 4):
            async with long_ago(pool) as work:
                for number in range(100):
                    body = AreaChanged(
                        area_code=f"G{number}", level="grid", in_force=number % 7 < version, map_version=new_id()
                    )
                    work.publish(AREA_CHANGED, body, version=version)
    await gone_out(Service("routing", settings_of(installation, "routing"), title="routing"))


def newcomer(installation: Installation) -> Service:
    """A service that has read nothing yet: intake's, as far as others' states go."""
    service = Service("intake", settings_of(installation, "intake"), title="newcomer")
    knows(service, riders=Riders(numbers=True), companies=SEALER)
    service.erases()
    return service


async def known_after_reading(service: Service) -> dict[str, list[tuple[Any, ...]]]:
    """What the service knows once it has read all of its topics to their ends."""
    async with asyncio.timeout(SETTLE_S):
        while sum([await consumer.measure() for consumer in service.consumers.values()]) or not _assigned(service):
            await asyncio.sleep(0.1)
    return {
        "riders": await rows(service.pool, SQL_RIDERS_KNOWN),
        "companies": await rows(service.pool, SQL_COMPANIES_KNOWN),
        "erased": await rows(service.pool, SQL_ERASED),
        "areas": await rows(service.pool, SQL_AREAS),
    }


def _assigned(service: Service) -> bool:
    """Whether each consumer has asked for something: before that none of them is behind."""
    subscriptions = [one.subscription for one in service.consumers.values()]
    consumers = [one.kafka for one in subscriptions if one is not None and one.kafka is not None]
    return len(consumers) == len(service.consumers) and all(
        one.assignment() and all(one.highwater(place) is not None for place in one.assignment()) for one in consumers
    )


async def of_producers(installation: Installation) -> dict[str, list[tuple[Any, ...]]]:
    async with schema(installation, "riders") as pool:
        return {
            "riders": await rows(pool, SQL_RIDERS + " WHERE erased_at IS NULL ORDER BY 1"),
            "companies": await rows(pool, SQL_COMPANIES),
            "erased": await rows(pool, SQL_ERASED),
            "areas": sorted((f"G{number}", number % 7 < 3, 3) for number in range(100)),
        }


@pytest.fixture(scope="module")
async def aged(own_installation: Installation) -> Installation:
    """A year of states, of which the broker has taken out all that is superseded or erased."""
    await a_year_of_riders(own_installation)
    await a_year_of_areas(own_installation)
    before = {topic.name: len(stored(own_installation, topic)) for topic in STATES}
    await days_pass(own_installation, *STATES)
    after = {topic.name: len(values(own_installation, topic)) for topic in STATES}
    assert before[RIDER_CHANGED.name] >= 240 and before[AREA_CHANGED.name] == 300
    assert after == {AREA_CHANGED.name: 100, COMPANY_CHANGED.name: 3, RIDER_CHANGED.name: 48, RIDER_ERASED.name: 12}
    return own_installation


def values(installation: Installation, topic: AnyTopic) -> list[Stored]:
    return [record for record in stored(installation, topic) if record.value is not None]


def forget_positions(installation: Installation, service: str) -> None:
    """Let a service's groups be new ones."""
    cluster = installation.cluster
    admin = connect_admin(cluster.bootstrap, cluster.admin)
    groups = [f"{cluster.topic_prefix}{service}.{topic.name}" for topic in STATES]
    for done in admin.delete_consumer_groups(groups).values():
        done.result()


async def test_a_new_service_reaches_the_state_of_every_producer(aged: Installation) -> None:
    service = newcomer(aged)
    wanted = await of_producers(aged)
    async with running(service):
        assert await known_after_reading(service) == wanted
        assert await service.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
        # ids of days whose partitions have gone long ago stand in the inbox like any other
        waiting = await service.pool.fetchval("SELECT count(*) FROM inbox_other")
        assert waiting >= 3 + 48 + 12 + 100
        while await service.pool.fetchval(SQL_ROLL, INBOX_KEPT):
            pass
        assert await service.pool.fetchval("SELECT count(*) FROM inbox_other") == waiting


async def test_one_that_has_forgotten_where_it_stood_changes_nothing(aged: Installation) -> None:
    """Groups lose their positions after a week without a member; by then the inbox may know none of the events."""
    wanted = await of_producers(aged)
    first = newcomer(aged)
    async with running(first):
        assert await known_after_reading(first) == wanted
    owner = await asyncpg.connect(aged.dsn("intake", owner_role))
    await owner.execute("TRUNCATE inbox")
    await owner.close()
    forget_positions(aged, "intake")
    again = newcomer(aged)
    async with running(again):
        assert await known_after_reading(again) == wanted
        assert await again.pool.fetchval("SELECT count(*) FROM inbox_other") > 150, "it has read them once more"
        assert await again.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_nothing_of_an_erased_rider_is_left_on_the_topics(aged: Installation) -> None:
    async with schema(aged, "riders") as pool:
        erased = {str(row["rider_id"]) for row in await pool.fetch("SELECT rider_id FROM erased_riders")}
        there = {row["external_id"] for row in await pool.fetch("SELECT external_id FROM riders")}
    numbers = {NUMBER.format(number) for number in range(60)} - there
    assert len(erased) == len(numbers) == 12
    found = {
        record.key
        for topic in STATES
        for record in stored(aged, topic)
        if any(f'"{number}"'.encode() in (record.value or b"") for number in numbers)
    }
    assert found == set()
    assert erased.isdisjoint(record.key for record in stored(aged, RIDER_CHANGED))
    assert erased == {record.key for record in values(aged, RIDER_ERASED)}


async def test_a_new_city_system_reads_every_open_case(own_installation: Installation) -> None:
    """Of those that have ended what ended lately; of the others not even a word."""
    stories = [Story(f"late-{number}") for number in range(40)]
    lately, long_over, returned = stories[:10], stories[10:20], stories[20:25]
    async with schema(own_installation, "tracking") as pool:
        catalogue = Catalogue.load()

        async def follow(*events: Any) -> None:
            async with pool.acquire() as conn, conn.transaction():
                work = await begin(conn)
                await tracking.follow_cases(catalogue, work, events)
                await insert_outbox(conn, work.rows)

        steps = (("opened", "open"), ("claimed", "claimed"), ("handled", "handled"), ("closed", "closed"))
        for version, step in enumerate(steps, 1):
            over = step[1] == "closed"
            of = [*lately, *long_over, *returned] if over else stories
            await follow(*(one.case(version, *step, 1.0, changed_at=clock.now()) for one in of))
        old = [one.case_id for one in (*long_over, *returned)]
        await pool.execute(
            "UPDATE ended_cases SET ended_at = ended_at - interval '30 days' WHERE case_id = ANY($1::uuid[])", old
        )
        await follow(*(one.case(5, "reopened", "open", 2.0, changed_at=clock.now()) for one in returned[:2]))
        async with pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            assert await tracking.retire_cases(work, 30) == 15
            await insert_outbox(conn, work.rows)
        # one that comes back when it has left goes on where it was
        await follow(*(one.case(5, "reopened", "open", 3.0, changed_at=clock.now()) for one in returned[2:]))
        await gone_out(Service("tracking", settings_of(own_installation, "tracking"), title="tracking"))
        wanted = {
            str(row["case_id"]): (row["version"], row["state"])
            for row in await pool.fetch(
                "SELECT case_id, version, state FROM cases WHERE state <> 'closed' OR case_id = ANY($1::uuid[])",
                [one.case_id for one in lately],
            )
        }
    await asyncio.to_thread(read_along, own_installation, wanted)
    await days_pass(own_installation, PUBLIC_CASE_CHANGED)
    await asyncio.to_thread(read_along, own_installation, wanted)
    found = stored(own_installation, PUBLIC_CASE_CHANGED)
    assert {one.key for one in found}.isdisjoint(str(one.case_id) for one in long_over)
    assert {str(one.case_id) for one in stories[25:]} <= wanted.keys(), "every open case"
    assert {wanted[str(one.case_id)] for one in returned} == {(5, "open")}


def read_along(installation: Installation, wanted: dict[str, tuple[int, str]]) -> None:
    """As docs/city-systems.md says: the latest of each key, none where it has no value."""
    state: dict[str, tuple[int, str]] = {}
    for record in stored(installation, PUBLIC_CASE_CHANGED):
        if record.value is None:
            state.pop(record.key, None)
        else:
            state[record.key] = int(record.headers["ce_aggregateversion"]), orjson.loads(record.value)["state"]
    assert state == wanted
