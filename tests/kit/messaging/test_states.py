"""Topics that keep the latest per key lose all of their records; their producers publish every state once more."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from confluent_kafka import OFFSET_END, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from services.activities.app import build as build_activities
from services.badges.app import build as build_badges
from services.badges.usecases import levelling
from services.riders import states as riders_states
from services.riders import usecases as riders
from services.riders.app import build as build_riders
from services.routing.app import build as build_routing
from services.routing.usecases.catalogue import Publishing
from services.stations.app import build as build_stations
from services.tasks.app import build as build_tasks
from services.tracking import usecases as tracking
from services.tracking.app import build as build_tracking
from shared.catalog import Catalogue
from shared.devtools.installation import Installation
from shared.events.area_changed import AREA_CHANGED
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.level_changed import LEVEL_CHANGED
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED
from shared.events.registry import AnyTopic, topics
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.events.topic import Latest
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin, insert_outbox
from shared.kit.privacy.erasure import Erasure, Leaver
from shared.kit.publishing.states import States, unread
from shared.kit.service import Service
from shared.provision.kafka import connect_admin
from shared.synthetic.city import grids
from tests.kit.messaging.compacted import stored
from tests.kit.messaging.conftest import SETTLE_S, running
from tests.kit.messaging.test_late_readers import (
    SQL_AREAS,
    a_year_of_riders,
    known_after_reading,
    newcomer,
    of_producers,
    read_along,
    registration,
    rows,
    schema,
)
from tests.services.activities.club import Club
from tests.services.badges.hive import Deed, Hive
from tests.services.routing.conftest import Routing
from tests.services.stations.street import Street
from tests.services.tasks.board import Board
from tests.services.tracking.conftest import Story
from tests.support import settings_of

KEPT = tuple(topic for topic in topics() if isinstance(topic.kept, Latest))
BUILDS: dict[str, Any] = {
    "activities": build_activities, "badges": build_badges, "riders": build_riders, "routing": build_routing,
    "stations": build_stations, "tasks": build_tasks, "tracking": build_tracking,
}  # fmt: skip
SQL_ON_TOPIC = """
SELECT case_id, version, state FROM cases c
WHERE state NOT IN ('closed', 'invalid') OR EXISTS (SELECT FROM ended_cases e WHERE e.case_id = c.case_id)
"""


@asynccontextmanager
async def serving(installation: Installation, name: str) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A whole producer in this process, its relay as well, and an operator who asks it."""
    service = BUILDS[name](settings_of(installation, name))
    app = service.app()
    token = installation.identity.token("op", "运维", ["operator"])
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield (
            service,
            await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url=f"http://{name}",
                    headers={"Authorization": f"Bearer {token}"},
                )
            ),
        )


async def published(http: httpx.AsyncClient, topic: AnyTopic, most: int = 7) -> tuple[int, int]:
    """Every page of a topic; (states, tombstones)."""
    states, tombstones, after = 0, 0, ""
    while after is not None:
        body = {"topic": topic.name, "after": after, "most": most, "reason": "the topic was lost"}
        answer = await http.post(f"/ops/{topic.producer}/states/publish", json=body)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        states, tombstones, after = states + page["states"], tombstones + page["tombstones"], page["last"]
        assert page["left_out"] == 0 and page["states"] + page["tombstones"] <= most
    return states, tombstones


async def gone_out(service: Service) -> None:
    async with asyncio.timeout(SETTLE_S):
        while await service.pool.fetchval("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.05)


async def a_map(installation: Installation) -> None:
    """Two maps, one after the other: the first one's areas that the second lacks are out of force. And the catalogue,
    which routing publishes by the clock.
    """
    catalogue = Publishing(Catalogue.load())
    async with serving(installation, "routing") as (service, http):
        routing = Routing(service, http, installation, lambda: asyncio.sleep(0))
        await routing.put_in_force(grids()[:30])
        async with service.work() as work:
            while await catalogue.publish_catalogue(work):
                pass
        await gone_out(service)


async def cases(installation: Installation) -> list[Story]:
    """Thirty cases; ten are over, five of those for so long that they have left the topic."""
    stories = [Story(f"state-{number}") for number in range(30)]
    async with schema(installation, "tracking") as pool, pool.acquire() as conn, conn.transaction():
        work = await begin(conn)
        for version, step in enumerate((("opened", "open"), ("claimed", "claimed"), ("closed", "closed")), 1):
            of = stories[:10] if step[1] == "closed" else stories
            events = [one.case(version, *step, 1.0, changed_at=clock.now()) for one in of]
            await tracking.follow_cases(Catalogue.load(), work, events)
        ids = [one.case_id for one in stories[:5]]
        await conn.execute("UPDATE ended_cases SET ended_at = now() - interval '40 d' WHERE case_id = ANY($1)", ids)
        assert await tracking.retire_cases(work, 30) == 5
        await insert_outbox(conn, work.rows)
    return stories


async def levels(installation: Installation) -> None:
    """Ten riders who have risen; two of them are erased."""
    deeds = [Deed(new_id(), 1_000) for _ in range(10)]
    async with schema(installation, "badges") as pool:
        await Hive(pool).hears(*(event for deed in deeds for event in deed.credited()))
        async with pool.acquire() as conn, conn.transaction():
            await levelling.forget(conn, [Leaver(one.rider, "erased:1", clock.now()) for one in deeds[:2]])


async def things_to_join(installation: Installation) -> None:
    """Eight stations, activities and tasks each."""
    async with schema(installation, "stations") as pool:
        street = Street(pool, settings_of(installation, "stations"))
        for number in range(8):
            await street.makes(f"HC-{number}")
    async with schema(installation, "activities") as pool:
        for _ in range(8):
            await Club(pool).publish()
    async with schema(installation, "tasks") as pool:
        board = Board(pool, settings_of(installation, "tasks"))
        for _ in range(8):
            await board.publish()


def lose(installation: Installation, *lost: AnyTopic) -> None:
    """Take every record off the topics. A broker refuses that where it keeps the latest per key, so it doesn't."""
    cluster = installation.cluster
    admin = connect_admin(cluster.bootstrap, cluster.admin)
    names = {cluster.topic_prefix + topic.name: topic.partitions for topic in lost}
    _clean_by(admin, names, "delete")
    ends = [TopicPartition(name, partition, OFFSET_END) for name, most in names.items() for partition in range(most)]
    until_s = clock.monotonic_s() + SETTLE_S
    while ends:  # the broker hears of the other policy a little later
        answers = admin.delete_records(ends)
        refused = {place: error for place, done in answers.items() if (error := done.exception(30)) is not None}
        assert {error.args[0].code() for error in refused.values()} <= {KafkaError.POLICY_VIOLATION}
        assert clock.monotonic_s() < until_s
        ends = list(refused)
    _clean_by(admin, names, "compact")


def _clean_by(admin: AdminClient, names: Iterable[str], policy: str) -> None:
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    changes = [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry]) for name in names]
    for answer in admin.incremental_alter_configs(changes).values():
        answer.result()


def versions(installation: Installation, topic: AnyTopic) -> dict[str, list[int]]:
    """The versions of each key, in the order of the topic."""
    found: dict[str, list[int]] = {}
    for record in stored(installation, topic):
        found.setdefault(record.key, []).append(int(record.headers["ce_aggregateversion"]))
    return found


@pytest.fixture(scope="module")
async def filled(own_installation: Installation) -> Installation:
    await a_year_of_riders(own_installation)
    await a_map(own_installation)
    await cases(own_installation)
    await levels(own_installation)
    await things_to_join(own_installation)
    return own_installation


async def traffic(installation: Installation) -> None:
    """Riders change, and some leave, while their states are published."""
    async with schema(installation, "riders") as pool:
        erasure = Erasure(lambda: pool, 0.0, riders.forget, None)
        for turn in range(12):
            async with pool.acquire() as conn, conn.transaction():
                work = await begin(conn)
                kind = ("courier", "truck")[turn % 2]
                await riders.register(work, [registration(number, kind) for number in range(20, 60)])
                await insert_outbox(conn, work.rows)
            if turn < 3:
                async with pool.acquire() as conn, conn.transaction():
                    work = await begin(conn)
                    number = f"canary-{50 + turn}"
                    leaver = await conn.fetchval("SELECT rider_id FROM riders WHERE external_id = $1", number)
                    assert isinstance(leaver, UUID)
                    await riders.erase(work, erasure, leaver)
                    await insert_outbox(conn, work.rows)
            await asyncio.sleep(0.01)


async def test_a_new_service_reaches_the_producers_states_from_topics_that_were_lost(filled: Installation) -> None:
    await asyncio.to_thread(lose, filled, *KEPT)
    assert [record for topic in KEPT for record in stored(filled, topic)] == []
    said: dict[str, tuple[int, int]] = {}
    for name in BUILDS:
        async with serving(filled, name) as (service, http):
            beside = asyncio.create_task(traffic(filled)) if name == "riders" else None
            counted = {one["topic"]: one for one in (await http.get(f"/ops/{name}/states")).json()}
            for topic in KEPT:
                if topic.producer == name:
                    said[topic.name] = await published(http, topic)
                    if topic is not RIDER_CHANGED and topic is not RIDER_ERASED:
                        numbers = counted[topic.name]
                        assert said[topic.name] == (numbers["states"], numbers["tombstones"])
            if beside is not None:
                await beside
            await gone_out(service)
    assert said[COMPANY_CHANGED.name] == (3, 0)
    assert said[LEVEL_CHANGED.name] == (8, 2)
    assert [said[f"public.{one}-changed.v1"] for one in ("station", "activity", "task")] == [(8, 0)] * 3
    assert sum(said[RIDER_CHANGED.name]) == 60 and said[PUBLIC_CASE_CHANGED.name] == (25, 5)
    for topic in KEPT:
        orders = versions(filled, topic).values()
        assert orders and all(one == sorted(one) for one in orders), f"{topic.name}: a state went back"
    await the_states_are_reached(filled)


async def the_states_are_reached(installation: Installation) -> None:
    """By a service that has read nothing before, and by a city system."""
    wanted = await of_producers(installation)
    async with schema(installation, "routing") as pool:
        wanted["areas"] = await rows(pool, SQL_AREAS)
    assert len(wanted["erased"]) >= 12 and len(wanted["areas"]) > 30
    service = newcomer(installation)
    async with running(service):
        assert await known_after_reading(service) == wanted
        assert await service.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    async with schema(installation, "tracking") as pool:
        on_topic = {str(row["case_id"]): (row["version"], row["state"]) for row in await pool.fetch(SQL_ON_TOPIC)}
    await asyncio.to_thread(read_along, installation, on_topic)
    last = {record.key: record.value for record in stored(installation, RIDER_CHANGED)}
    assert {str(rider) for rider, _ in wanted["erased"]} == {key for key, value in last.items() if value is None}


async def test_again_changes_nothing(filled: Installation) -> None:
    for name in BUILDS:
        async with serving(filled, name) as (service, http):
            for topic in KEPT:
                if topic.producer == name:
                    assert sum(await published(http, topic, most=1_000)) > 0
            await gone_out(service)
    await the_states_are_reached(filled)


async def test_a_page_waits_for_a_change_that_is_under_way_and_leaves_behind_it(filled: Installation) -> None:
    async with schema(filled, "riders") as pool, pool.acquire() as one, pool.acquire() as other:
        before = await one.fetchrow("SELECT rider_id, version FROM riders WHERE external_id = 'canary-42'")
        change = one.transaction()
        await change.start()
        work = await begin(one)
        await riders.register(work, [registration(42, "truck")])
        async with other.transaction():
            second = await begin(other)
            page = asyncio.create_task(riders_states.riders(second, "", 1_000))
            await asyncio.sleep(0.3)
            assert not page.done(), page.exception()
            await change.commit()
            await page
            [mine] = [row.version for row in second.rows if row.key == str(before["rider_id"])]
        assert mine == before["version"] + 1


async def test_what_can_not_be_asked_for_is_refused_in_words(filled: Installation) -> None:
    async with serving(filled, "riders") as (_, http):
        for asked, status, code in (
            ({"topic": "riders.nothing.v1"}, 404, "not_found"),
            ({"topic": AREA_CHANGED.name}, 404, "not_found"),
            ({"topic": RIDER_CHANGED.name, "after": "no-uuid"}, 422, "validation_failed"),
        ):
            answer = await http.post("/ops/riders/states/publish", json={"reason": "a test", **asked})
            assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("name", sorted(BUILDS))
async def test_a_producer_that_can_not_read_its_states_does_not_start(
    own_installation: Installation, name: str
) -> None:
    service = BUILDS[name](settings_of(own_installation, name))
    forgotten, _ = service.states.popitem()
    assert unread(name, service.states) == [forgotten]
    with pytest.raises(ValueError, match="keeps the latest per key"):
        service.app()


def test_facts_are_not_published_again() -> None:
    facts = next(topic for topic in topics() if not isinstance(topic.kept, Latest))
    with pytest.raises(ValueError, match="keeps facts"):
        States(facts, riders_states.riders, riders_states.count_riders)


def test_every_producer_of_states_is_here() -> None:
    assert {topic.producer for topic in KEPT} == BUILDS.keys()
