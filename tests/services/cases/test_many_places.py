"""A batch with more places than Postgres has locks is halved until it fits: nothing waits for ever, nothing is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from services.cases import usecases
from shared.events.envelope import Envelope, to_headers
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.kit import clock
from shared.kit.consuming.consumer import TopicConsumer
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool
from shared.kit.settings import KitSettings

EVENTS = 64


@dataclass
class Host:
    """What a consumer needs of its service."""

    pool: Pool
    settings: KitSettings
    name: str = "cases"
    commits: list[int] = field(default_factory=list)

    def committed(self) -> None:
        self.commits.append(1)


def records(prefix: str, events: Sequence[Event[ReportRouted]]) -> list[ConsumerRecord[bytes, bytes]]:
    """As Kafka hands them over."""
    made = []
    for offset, event in enumerate(events):
        key, value = event.key, event.data.model_dump_json().encode()
        envelope = Envelope(event.id, REPORT_ROUTED.name, "/beegrid/routing", key, 1, event.occurred_at)
        made.append(
            ConsumerRecord(
                topic=prefix + REPORT_ROUTED.name, partition=0, offset=offset, timestamp=int(clock.unix_s() * 1000),
                timestamp_type=0, key=key.encode(), value=value, checksum=None, serialized_key_size=36,
                serialized_value_size=len(value), headers=tuple(to_headers(envelope)),
            )
        )  # fmt: skip
    return made


async def test_a_full_lock_table_is_no_outage(
    cases: Any, routed: Any, monkeypatch: pytest.MonkeyPatch, installation: Any
) -> None:
    """The whole batch needs twice the locks that the server has, each record alone a small share."""
    for name, value in installation.environment("cases").items():
        monkeypatch.setenv(name, value)
    async with cases.pool.acquire() as conn:
        slots = int(await conn.fetchval("SHOW max_locks_per_transaction")) * int(
            await conn.fetchval("SHOW max_connections")
        )
    each = 4 * slots // EVENTS
    sizes: list[int] = []

    async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
        query = "SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, $1::bigint) AS n"
        await work.conn.execute(query, each * len(events))
        sizes.append(len(events))

    host = Host(cases.pool, KitSettings())
    consumer = TopicConsumer(host, REPORT_ROUTED, handle)
    batch = [routed(100 * n) for n in range(EVENTS)]
    await consumer.process(records(host.settings.topic_prefix, batch))
    assert sum(sizes) == EVENTS and len(sizes) > 1
    known = await cases.pool.fetchval(
        "SELECT count(*) FROM inbox WHERE event_id = ANY($1)", [event.id for event in batch]
    )
    assert known == EVENTS
    letters = await cases.pool.fetchval(
        "SELECT count(*) FROM dead_letters WHERE event_id = ANY($1)", [e.id for e in batch]
    )
    assert letters == 0


async def test_a_batch_of_many_places_holds_a_bounded_number_of_locks(
    cases: Any, routed: Any, monkeypatch: pytest.MonkeyPatch, installation: Any
) -> None:
    for name, value in installation.environment("cases").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(usecases, "PLACES_LOCKED_MAX", 10)
    held: list[int] = []
    lock_places = usecases.store.lock_places

    async def counted(conn: Any, locks: Sequence[int]) -> None:
        held.append(len(locks))
        await lock_places(conn, locks)

    monkeypatch.setattr(usecases.store, "lock_places", counted)
    host = Host(cases.pool, KitSettings())
    consumer = TopicConsumer(host, REPORT_ROUTED, partial(usecases.take_routed_reports, cases.rules))
    await consumer.process(records(host.settings.topic_prefix, [routed(500 * n) for n in range(EVENTS)]))
    assert max(held) <= 10
    assert [body["transition"] for body in await cases.published()] == ["opened"] * EVENTS
