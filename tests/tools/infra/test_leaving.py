"""Who leaves may do nothing on Kafka any more; everybody else goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.messaging.work import Event, Work
from shared.kit.service import Service
from shared.kit.service.running import running
from shared.provision.kafka import client_config, connect_admin
from shared.provision.kafka_rights import has_rights, present_rights
from shared.provision.topology import (
    company_users,
    give_company_user,
    known_companies,
    provision_company,
    provision_system,
    remove_company,
    remove_system,
)
from tests.kit.messaging.strangers import inbound, producer, submission
from tests.support import settings_of, until

PATIENCE_S = 60.0


@pytest.fixture
def home(infra: Infra, tmp_path: Path) -> Iterator[Installation]:
    with Installation.fresh(infra, tmp_path / "home", "l", services=("intake",)) as made:
        yield made


def may_enter(installation: Installation, user: str, password: str) -> bool:
    """Whether Kafka takes the password."""
    cluster = installation.cluster
    config = client_config(cluster.bootstrap, cluster.user_prefix + user, password)
    try:
        AdminClient(dict(config)).list_topics(timeout=5)
    except KafkaException:
        return False
    return True


async def test_a_company_leaves_and_its_neighbour_goes_on(home: Installation) -> None:
    cluster, settings = home.cluster, settings_of(home, "intake")
    provision_company(cluster, "suda", "first")
    provision_company(cluster, "suda-x", "neighbour")
    second = company_users("suda")[1]
    give_company_user(cluster, "suda", second, "second")
    assert all(may_enter(home, *who) for who in (("company-suda", "first"), (second, "second")))
    heard: list[str] = []

    async def hear(work: Work, events: Sequence[Event[Any]]) -> None:
        heard.extend(event.data.external_id for event in events)

    service = Service("intake", settings, title="intake")
    service.consumes(INBOUND_REPORTS, hear)
    async with running(service), producer(home, settings) as sending:
        for number, company in enumerate(("suda", "suda-x")):
            await sending.send_and_wait(inbound(home, company), submission(number))
        await until(lambda: set(heard) == {"r-0", "r-1"}, lambda: f"both reports, heard {heard}", PATIENCE_S)
        gone = await asyncio.to_thread(remove_company, cluster, "suda")
        assert gone.users == sorted(cluster.user_prefix + user for user in company_users("suda"))
        own = ("inbound.suda.reports.v1", "inbound.suda.riders.v1", "outbound.suda.reports.v1")
        assert gone.topics == sorted(f"{home.topic_prefix}{name}{end}" for name in own for end in ("", ".dlq"))
        await sending.send_and_wait(inbound(home, "suda-x"), submission(2))
        await until(lambda: "r-2" in heard, lambda: f"r-2, heard {heard}", PATIENCE_S)
    client = connect_admin(cluster.bootstrap, cluster.admin)
    assert known_companies(cluster) == ["suda-x"]
    assert not any(may_enter(home, *who) for who in (("company-suda", "first"), (second, "second")))
    assert may_enter(home, "company-suda-x", "neighbour")
    assert not any(has_rights(client, cluster.user_prefix + user) for user in company_users("suda"))
    assert has_rights(client, f"{cluster.user_prefix}company-suda-x")
    assert rights(client, f"{home.topic_prefix}inbound.suda.") == set()
    assert f"User:{cluster.user_prefix}intake" in rights(client, f"{home.topic_prefix}inbound.suda-x.")
    again = remove_company(cluster, "suda")
    assert again.topics == []


def rights(client: AdminClient, beginning: str) -> set[str]:
    """Whoever may do something with topics of these names."""
    return {acl.principal for acl in present_rights(client, None) if acl.name.startswith(beginning)}


def test_a_city_system_leaves(home: Installation) -> None:
    cluster = home.cluster
    provision_system(cluster, "dispatch", "word")
    assert may_enter(home, "system-dispatch", "word")
    assert remove_system(cluster, "dispatch").users == [f"{cluster.user_prefix}system-dispatch"]
    assert not may_enter(home, "system-dispatch", "word")
    assert remove_system(cluster, "nobody").users == []
