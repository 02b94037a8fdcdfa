"""A company's records over a real broker: which of two under one id counts, and what a dead letter keeps of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Consumer, Message

from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit import clock
from shared.kit.consuming.pending import RefusedRecord
from shared.kit.consuming.record_reading import HEADERS_MAX
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.problems import EVENT_KNOWN
from shared.kit.service import Service
from shared.provision.kafka import client_config
from shared.provision.postgres import owner_role
from shared.provision.topology import provision_company
from tests.kit.messaging.conftest import SETTLE_S, running
from tests.kit.messaging.strangers import inbound, producer, submission
from tests.support import settings_of, until

COMPANY = "yaoda"
Sent = tuple[bytes | None, bytes, list[tuple[str, bytes]]]


@dataclass
class Way:
    """Intake's way in from Kafka, with a handler of the test's own."""

    installation: Installation
    service: Service
    refused: list[RefusedRecord] = field(default_factory=list)

    async def handle(self, work: Work, events: Sequence[Event[Any]]) -> None:
        rows = [(f"{event.key} {event.data.text}",) for event in events]
        await work.conn.copy_records_to_table("effects", records=rows, columns=("key",))

    async def hear(self, work: Work, refused: Sequence[RefusedRecord]) -> None:
        self.refused += refused

    async def send(self, *records: Sent) -> None:
        """Key, value and headers, all to one partition, so that their order is known."""
        async with producer(self.installation, self.service.settings) as by:
            for key, value, headers in records:
                topic = inbound(self.installation, COMPANY)
                await by.send_and_wait(topic, value, key=key, headers=headers, partition=0)

    async def settled(self, effects: int, letters: int) -> list[asyncpg.Record]:
        """The letters, once there are so many beside so many effects."""
        query = "SELECT (SELECT count(*) FROM effects) AS effects, (SELECT count(*) FROM dead_letters) AS letters"

        async def counts() -> tuple[int, int]:
            row = await self.service.pool.fetchrow(query)
            assert row is not None
            return row["effects"], row["letters"]

        await until(counts, "all are settled", SETTLE_S, good=lambda found: found == (effects, letters))
        return list(await self.service.pool.fetch("SELECT * FROM dead_letters ORDER BY id"))

    async def effects(self) -> list[str]:
        return [row["key"] for row in await self.service.pool.fetch("SELECT key FROM effects ORDER BY id")]

    async def published(self, letters: Sequence[asyncpg.Record]) -> list[Message]:
        """What the dead-letter topic has of these letters, in the order of their records, as others' clients read it:
        the suite's own takes off the headers of what has too many.
        """
        return await asyncio.to_thread(self._published, {str(one["record_offset"]).encode() for one in letters})

    def _published(self, wanted: set[bytes]) -> list[Message]:
        infra = self.installation.infra
        config = client_config(infra.kafka_bootstrap, infra.kafka_admin_user, infra.kafka_admin_password)
        consumer = Consumer({**config, "group.id": str(new_id()), "auto.offset.reset": "earliest"})
        consumer.subscribe([f"{inbound(self.installation, COMPANY)}.dlq"])
        found: dict[int, Message] = {}
        until_s = clock.monotonic_s() + SETTLE_S
        try:
            while len(found) < len(wanted) and clock.monotonic_s() < until_s:
                message = consumer.poll(0.3)
                if message is not None and message.error() is None:
                    offset = dict(message.headers() or [])["dlq-offset"]
                    if offset in wanted:
                        found[int(offset)] = message
        finally:
            consumer.close()
        return [found[offset] for offset in sorted(found)]


@pytest.fixture
async def way(own_installation: Installation) -> AsyncIterator[Way]:
    await asyncio.to_thread(provision_company, own_installation.cluster, COMPANY, "not used here")
    owner = await asyncpg.connect(own_installation.dsn("intake", owner_role))
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS effects (id bigint GENERATED ALWAYS AS IDENTITY, key text);"
        "TRUNCATE effects RESTART IDENTITY; TRUNCATE inbox, outbox, dead_letters, dead_letter_ranges, parked_keys"
    )
    await owner.close()
    service = Service("intake", settings_of(own_installation, "intake"), title="way")
    made = Way(own_installation, service)
    service.consumes(INBOUND_REPORTS, made.handle, refusing=made.hear, refuses=(EVENT_KNOWN,))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running(service))
        yield made


def event(number: int, id_: str, text: str = "", source: str = "/dispatch") -> Sent:
    headers = [("ce_id", id_.encode()), ("ce_source", source.encode())]
    return f"r-{number}".encode(), submission(number, text), headers


async def test_of_two_different_reports_under_one_id_the_second_is_refused(way: Way) -> None:
    """At once in one batch, and later; the same again is a repetition however it is written."""
    structured = b'{"specversion":"1.0","id":"7","source":"/dispatch","type":"report","data":' + submission(1) + b"}"
    await way.send(event(1, "7"), event(2, "7"), event(1, "7"))
    await way.settled(1, 1)
    await way.send(
        event(1, "7", "other words"),
        (None, structured, [("content-type", b"application/cloudevents+json")]),
        event(3, "7", source="/another"),
    )
    letters = await way.settled(2, 2)
    assert [(one["code"], one["status"], one["event_id"]) for one in letters] == [("event_known", "rejected", None)] * 2
    assert [(one.key, one.code) for one in way.refused] == [("r-2", "event_known"), ("r-1", "event_known")]
    assert sorted(await way.effects()) == ["r-1 ", "r-3 "]
    for outcome in await way.service.replayer.replay(None, None, by="test", reason="try"):
        assert not outcome.done and "event_known" in outcome.detail, "it is no repetition for an operator either"
    assert len(await way.effects()) == 2


async def test_an_id_of_before_that_has_no_content_is_taken_at_its_word(way: Way) -> None:
    await way.send(event(1, "8"))
    await way.settled(1, 0)
    await way.service.pool.execute("UPDATE inbox SET content = NULL")
    await way.send(event(2, "8"), event(3, "9"))
    await way.settled(2, 0)
    assert await way.effects() == ["r-1 ", "r-3 "]


async def test_a_letter_has_the_key_that_its_record_had(way: Way) -> None:
    keys = [None, b"", b"r-7", b"\xff\x00\xfe", "订单".encode(), b"x" * 5_000]
    await way.send(*((key, b"{broken", []) for key in keys))
    found = await way.published(await way.settled(0, len(keys)))
    assert [one.key() for one in found] == keys
    assert all(one.value() == b"{broken" for one in found)
    assert [one.key for one in way.refused] == [None, None, "r-7", None, None, None]


async def test_a_letter_has_as_many_headers_as_a_record_may(way: Way) -> None:
    many = [(f"h{n}", b"v") for n in range(HEADERS_MAX)]
    await way.send((b"r-1", b"{broken", many), (b"r-1", submission(1), [*many, ("one", b"more")]))
    letters = await way.settled(0, 2)
    assert sorted(one["code"] for one in letters) == ["malformed_event", "malformed_json"]
    full, bare = await way.published(letters)
    assert (full.headers() or [])[:HEADERS_MAX] == many
    headers = dict(bare.headers() or [])
    assert all(name.startswith("dlq-") for name in headers) and b"257 headers" in headers["dlq-detail"]
    assert bare.value() == submission(1)
