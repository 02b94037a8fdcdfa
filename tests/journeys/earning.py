"""What journeys about earning do as offices do it: rules as a file, deeds of a service that is not there."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.events.deed_done import DEED_DONE, DeedDone
from shared.events.envelope import Envelope, to_headers
from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.kafka_rights import AclSpec
from shared.provision.topology import lent_user, provision_suite
from shared.synthetic.city import grids
from shared.synthetic.door import Door
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.test_one_report import manhole

SERVICE, PASSWORD = "errands", "a-password-of-its-own"
"""No folder of services/ has this name."""
TASK = "volunteer-task,award,deed,,,,volunteer-task,,,20,,,,,,,,,,志愿服务,volunteer task"


async def add_rule(door: Door, line: str) -> None:
    """The rules in force, and one more."""
    found = await door.get("/v1/points/rules")
    newest = max(one["version"] for one in found["items"])
    text = (await door.get_bytes(f"/v1/points/rules/{newest}.csv")).decode()
    body = {"after_version": newest, "reason": "a journey", "csv": f"{text.rstrip()}\r\n{line}\r\n"}
    await door.put("/v1/points/rules", body)


async def send_deeds(town: Town, *deeds: tuple[DeedDone, int]) -> None:
    """As a service with that name would, from a user that may write its own topic alone. Points is given no line."""
    installation = town.suite.installation
    cluster = installation.cluster
    # with the others: who isn't named loses the rights to their deeds
    services = (*installation.services, SERVICE)
    await asyncio.to_thread(provision_suite, cluster, installation.secrets.kafka, services)
    rights = AclSpec(user=SERVICE, write=[DEED_DONE.member(SERVICE)])
    with lent_user(cluster, rights, SERVICE, PASSWORD):
        async with AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap, security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=cluster.user_prefix + SERVICE, sasl_plain_password=PASSWORD, acks="all",
        ) as producer:  # fmt: skip
            for deed, version in deeds:
                key = str(deed.deed_id)
                envelope = Envelope(
                    new_id(), DEED_DONE.member(SERVICE), f"/beegrid/{SERVICE}", key, version, deed.changed_at
                )
                await producer.send_and_wait(
                    cluster.topic_prefix + DEED_DONE.member(SERVICE), deed.model_dump_json().encode(),
                    key=key.encode(), headers=to_headers(envelope),
                )  # fmt: skip


def deed_of(rider: str, action: str = "volunteer-task", **values: Any) -> DeedDone:
    """A deed that a community has confirmed just now."""
    now = clock.now()
    usual: dict[str, Any] = {
        "deed_id": new_id(), "action": action, "rider_id": rider, "area_code": grids()[0].code[:12],
        "done_at": now, "confirmed_by": grids()[0].code[:12], "changed_at": now,
    }  # fmt: skip
    return DeedDone.model_validate(usual | values)


async def case_of(town: Town, number: int, grid_index: int, phone: str) -> tuple[str, str]:
    """A rider's report in the middle of a grid: the ids of it and of the case that it opens."""
    report = manhole(f"budget-{new_id()}", town.company.rider(number), grid_index=grid_index)
    accepted = await town.door.signed(town.company.code, town.company.secret, "/v1/reports", report)
    address = f"/v1/tracking/reports/{accepted['report_id']}"
    seen = await soon(lambda: town.door.get(address, phone), lambda x: x["case_id"] is not None, "a case is open")
    return accepted["report_id"], seen["case_id"]


async def close(door: Door, case_id: str, grid: str) -> None:
    """Handled by one, verified by another."""
    worker = door.token("w-7", "王强", ["grid_worker"], areas=[grid])
    verifier = door.token("v-7", "陈静", ["verifier"], areas=[grid[:9]])
    for step, who in (("claim", worker), ("handle", worker), ("verify", verifier), ("close", verifier)):
        await door.post(f"/v1/cases/{case_id}/{step}", {"note": "已更换井盖"} if step == "handle" else {}, who)
