"""A company that streams: reports are taken although they overtake their riders, and it hears what becomes of each."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import orjson
import pytest
from confluent_kafka import Consumer

from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.kafka import client_config
from shared.provision.postgres import app_role
from shared.synthetic.opening import producer_of
from tests.asking import ANSWER_WITHIN_S, soon
from tests.journeys.conftest import Town
from tests.journeys.test_one_report import manhole

RIDERS, REPORTS = 20, 200


def heard(town: Town, enough: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    """The latest record of each number on the company's own topic, as its own user reads it, once there is enough."""
    installation, company = town.suite.installation, town.company
    user = f"{installation.user_prefix}company-{company.code}"
    config = client_config(installation.infra.kafka_bootstrap, user, company.kafka_password)
    group = f"{installation.topic_prefix}company-{company.code}.{new_id()}"
    consumer = Consumer({**config, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([f"{installation.topic_prefix}outbound.{company.code}.reports.v1"])
    latest: dict[str, dict[str, Any]] = {}
    until_s = clock.monotonic_s() + ANSWER_WITHIN_S
    try:
        while not enough(latest) and clock.monotonic_s() < until_s:
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            body = orjson.loads(message.value() or b"")
            version = int(dict(message.headers() or [])["ce_aggregateversion"])
            key = (message.key() or b"").decode()
            assert key == body["external_id"]
            if key not in latest or version >= latest[key]["version"]:
                latest[key] = {**body, "version": version}
    finally:
        consumer.close()
    return latest


async def letters_of(town: Town) -> set[str]:
    """Open dead letters of the company's reports, by id."""
    page = await town.door.get("/ops/intake/dead-letters", limit=1000)
    return {letter["id"] for letter in page if letter["topic"].startswith("inbound")}


async def waiting(town: Town, company: str) -> int:
    """How many of the company's reports wait for their riders."""
    conn = await asyncpg.connect(town.suite.installation.dsn("intake", app_role))
    try:
        return int(await conn.fetchval("SELECT count(*) FROM waiting_reports WHERE company = $1", company))
    finally:
        await conn.close()


def _die_and_come_back(town: Town) -> None:
    """kill -9 of intake's only process, and a new one."""
    intake = town.suite.services["intake"]
    intake.kill()
    intake.start()


@pytest.mark.parametrize("first", ["riders", "reports"])
async def test_reports_that_overtake_their_riders_are_all_taken(first: str, town: Town) -> None:
    """`riders`: acknowledged, and their reports streamed at once; `reports`: all of them are there before any rider,
    and intake dies twice meanwhile."""
    company, run = town.company, str(new_id())[-8:]
    before, others = await letters_of(town), await waiting(town, company.code)
    riders = [
        {"external_id": f"{run}-{n}", "name": "孙芳", "consent_at": clock.now().isoformat()} for n in range(RIDERS)
    ]
    topic = f"{town.suite.installation.topic_prefix}inbound.{company.code}.reports.v1"
    async with producer_of(town.suite.installation.cluster, company) as producer:
        for step in sorted(["riders", "reports"], key=lambda one: one != first):
            if step == "riders":
                answer = await town.door.signed(company.code, company.secret, "/v1/riders:batch", {"items": riders})
                assert {item["status"] for item in answer["items"]} == {"created"}
                if first == "reports":
                    await asyncio.to_thread(_die_and_come_back, town)  # while they are taken up, or just before
                continue
            for n in range(REPORTS):
                body = manhole(f"{run}-r{n}", f"{run}-{n % RIDERS}", grid_index=500 + n)
                await producer.send(topic, orjson.dumps(body), key=body["external_id"].encode())
            await producer.flush()
            if first == "reports":
                await soon(lambda: waiting(town, company.code), lambda n: n == others + REPORTS, "all of them wait")
                await asyncio.to_thread(_die_and_come_back, town)

    def all_in_cases(latest: dict[str, dict[str, Any]]) -> bool:
        mine = [one for key, one in latest.items() if key.startswith(run)]
        return len(mine) == REPORTS and all(one["stage"] == "in_case" and one["points"] for one in mine)

    latest = await asyncio.to_thread(heard, town, all_in_cases)
    mine = {key: one for key, one in latest.items() if key.startswith(run)}
    assert {one["stage"] for one in mine.values()} == {"in_case"} and len(mine) == REPORTS
    assert all(one["report_id"] and one["routing"]["grid_code"] and one["case"]["state"] for one in mine.values())
    assert await letters_of(town) == before and await waiting(town, company.code) <= others
    assert not {"rider", "rider_id", "text", "lng", "lat"} & set(orjson.loads(orjson.dumps(next(iter(mine.values())))))


async def test_a_company_hears_what_was_refused_and_what_lies_outside(town: Town) -> None:
    company, run = town.company, str(new_id())[-8:]
    far = manhole(f"{run}-far", company.rider(5))
    far["place"] = {"lng": 87.6, "lat": 43.8, "datum": "wgs84", "accuracy_m": 5}
    unread = {name: value for name, value in manhole(f"{run}-unread", company.rider(5)).items() if name != "place"}
    sent = [manhole(f"{run}-kind", company.rider(5), kind="part-99999"), far, unread]
    topic = f"{town.suite.installation.topic_prefix}inbound.{company.code}.reports.v1"
    async with producer_of(town.suite.installation.cluster, company) as producer:
        for body in sent:
            await producer.send_and_wait(topic, orjson.dumps(body), key=body["external_id"].encode())

    def all_decided(latest: dict[str, dict[str, Any]]) -> bool:
        return all(latest.get(one["external_id"], {}).get("stage") in ("refused", "outside_map") for one in sent)

    latest = await asyncio.to_thread(heard, town, all_decided)
    kind, outside, unreadable = (latest[one["external_id"]] for one in sent)
    assert (kind["stage"], kind["refusal"]["code"], kind["report_id"]) == ("refused", "unknown_kind", None)
    assert (unreadable["stage"], unreadable["refusal"]["code"]) == ("refused", "validation_failed")
    assert "place" in unreadable["refusal"]["detail"]
    assert outside["stage"] == "outside_map" and outside["report_id"] and outside["case"] is None
