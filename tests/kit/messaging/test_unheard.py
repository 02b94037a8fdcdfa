"""What is for a company reaches its own topic; where it has none, it goes nowhere and holds nobody up."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError

from shared.devtools.installation import Installation
from shared.events.outbound_reports import OUTBOUND_REPORTS, OutboundReport
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED
from shared.kit import clock, metrics
from shared.kit.messaging.kafka import client_arguments
from shared.kit.publishing import holds, unheard
from shared.kit.service import Service
from shared.kit.service.running import running
from shared.provision.topology import company_user, provision_company, remove_company
from tests.support import settings_of, until

ONE, OTHER, PASSWORD = "yunda", "zto", "a-password"


@pytest.fixture
async def producer(own_installation: Installation) -> AsyncIterator[Service]:
    service = Service("tracking", settings_of(own_installation, "tracking"), title="producer")
    async with running(service):
        yield service


async def publish(service: Service, company: str, number: str, version: int = 1) -> None:
    body = OutboundReport(external_id=number, stage="accepted", changed_at=clock.now())
    async with service.work() as work:
        work.publish(OUTBOUND_REPORTS, body, version=version, company=company)


async def heard(installation: Installation, service: Service, company: str, of: str, count: int) -> list[str]:
    """The keys that a company's own user reads on a company's topic."""
    topic = installation.topic_prefix + OUTBOUND_REPORTS.name.format(company=of)
    user = company_user(company)
    arguments = client_arguments(service.settings, "company") | {
        "sasl_plain_username": installation.cluster.user_prefix + user, "sasl_plain_password": PASSWORD,
    }  # fmt: skip
    consumer = AIOKafkaConsumer(
        topic, group_id=f"{installation.topic_prefix}{user}.own", auto_offset_reset="earliest", **arguments
    )
    found: list[str] = []
    async with asyncio.timeout(20), consumer:
        while len(found) < count:
            found += [
                record.key.decode() for rows in (await consumer.getmany(timeout_ms=500)).values() for record in rows
            ]
    return found


async def sent(service: Service) -> bool:
    return not await service.pool.fetchval("SELECT count(*) FROM outbox")


async def test_a_company_reads_its_own_topic_and_no_others(own_installation: Installation, producer: Service) -> None:
    for company in (ONE, OTHER):
        await asyncio.to_thread(provision_company, own_installation.cluster, company, PASSWORD)
    await publish(producer, ONE, "A-1")
    await publish(producer, OTHER, "B-1")
    await publish(producer, ONE, "A-2")
    assert sorted(await heard(own_installation, producer, ONE, ONE, 2)) == ["A-1", "A-2"]
    with pytest.raises(TopicAuthorizationFailedError):
        await heard(own_installation, producer, ONE, OTHER, 1)


async def test_who_has_no_topic_holds_nobody_up_and_is_found_when_it_has(
    own_installation: Installation, producer: Service
) -> None:
    dropped = metrics.OUTBOX_UNHEARD._value.get()
    await publish(producer, "http-alone", "H-1")
    await until(lambda: sent(producer), "the event for nobody is dropped")
    assert metrics.OUTBOX_UNHEARD._value.get() == dropped + 1
    assert await holds.stuck(producer.pool) == []
    # another one that was never asked about is found at once, however lately the first was looked for
    await asyncio.to_thread(provision_company, own_installation.cluster, "newcomer", PASSWORD)
    await publish(producer, "newcomer", "N-1")
    assert await heard(own_installation, producer, "newcomer", "newcomer", 1) == ["N-1"]
    # and the first one when it is looked for again
    await asyncio.to_thread(provision_company, own_installation.cluster, "http-alone", PASSWORD)
    await asyncio.sleep(unheard.LOOK_AGAIN_S)
    await publish(producer, "http-alone", "H-2")
    assert await heard(own_installation, producer, "http-alone", "http-alone", 1) == ["H-2"]


async def test_a_company_that_leaves_takes_what_is_for_it_along(
    own_installation: Installation, producer: Service
) -> None:
    await asyncio.to_thread(provision_company, own_installation.cluster, "leaver", PASSWORD)
    await publish(producer, "leaver", "L-1")
    assert await heard(own_installation, producer, "leaver", "leaver", 1) == ["L-1"]
    gone = await asyncio.to_thread(remove_company, own_installation.cluster, "leaver")
    assert f"{own_installation.topic_prefix}outbound.leaver.reports.v1" in gone.topics
    await publish(producer, "leaver", "L-2")
    await until(lambda: sent(producer), "nobody waits for a topic that has gone")
    assert await holds.stuck(producer.pool) == []


async def test_whose_topic_it_is_must_be_said(producer: Service) -> None:
    body = OutboundReport(external_id="x", stage="accepted", changed_at=clock.now())
    async with producer.work() as work:
        with pytest.raises(ValueError, match="a company or service is named"):
            work.publish(OUTBOUND_REPORTS, body, version=1)
        with pytest.raises(ValueError, match="a company or service is named"):
            work.publish(PUBLIC_CASE_CHANGED, body, version=1, company=ONE)  # type: ignore[misc]  # wrong on purpose
