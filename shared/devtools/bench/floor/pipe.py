"""Bare pipes: from a topic through a transaction, and from an outbox to Kafka. aiokafka and asyncpg, no framework."""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.devtools.bench.floor.hops import Came, Connection, Hop
from shared.events.envelope import Envelope, to_headers
from shared.kit import clock
from shared.kit.messaging.inbox import SQL_INBOX_NEW
from shared.kit.messaging.work import SQL_ENTER_OUTBOX
from shared.kit.publishing.relay import BYTES_PER_ROUND, POLL_S, ROWS_PER_ROUND, SQL_DELETE, SQL_OLDEST
from shared.kit.publishing.sending import BATCH_BYTES_MAX

RECORDS_MAX = 500
PACE_S = 0.02
"""As long as the kit lets a small batch fill; batches of a process that polls without it cost more."""
FETCH_WAIT_MS = 20


@dataclass(frozen=True)
class Kafka:
    """Where the broker is and who asks: arguments of aiokafka's clients, and the topics' prefix."""

    arguments: Mapping[str, Any]
    prefix: str

    def producer(self) -> AIOKafkaProducer:
        """As the kit's relay has it."""
        return AIOKafkaProducer(
            **self.arguments, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=BATCH_BYTES_MAX
        )

    def consumer(self, hop: Hop) -> AIOKafkaConsumer:
        """A group of one."""
        return AIOKafkaConsumer(
            self.prefix + hop.topic,
            **self.arguments,
            group_id=f"{self.prefix}floor.{hop.service}.{hop.topic}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )


async def consume(hop: Hop, consumer: AIOKafkaConsumer, conn: Connection, wake: asyncio.Event) -> None:
    """Batches through their hop, for ever: inbox, effect and outbox in one transaction, then the offsets.

    Raises:
        KeyError: a record isn't what the hop expects; whatever Postgres or Kafka raise. The floor ends with it.
    """
    while True:
        found = await consumer.getmany(timeout_ms=1_000, max_records=RECORDS_MAX)
        if not found:
            continue
        began_s = clock.monotonic_s()
        came = [_read(record) for records in found.values() for record in records]
        async with conn.transaction():
            now = await conn.fetchval("SELECT now()")
            await conn.execute(SQL_INBOX_NEW, [one.event_id for one in came])
            rows = await hop.take(conn, now, came)
            if rows:
                await conn.copy_records_to_table("outbox", records=rows, columns=SQL_ENTER_OUTBOX.names)
        if rows:
            wake.set()
        await consumer.commit({place: records[-1].offset + 1 for place, records in found.items()})
        if len(came) * 2 < RECORDS_MAX:
            await asyncio.sleep(max(0.0, began_s + PACE_S - clock.monotonic_s()))


def _read(record: Any) -> Came:
    named = dict(record.headers)
    return Came(
        named["ce_id"].decode(),
        int(named["ce_aggregateversion"]),
        datetime.fromisoformat(named["ce_time"].decode()),
        orjson.loads(record.value),
    )


async def relay(service: str, kafka: Kafka, producer: AIOKafkaProducer, conn: Connection, wake: asyncio.Event) -> None:
    """Rows of one outbox to Kafka in order, then away with them, for ever. Nobody else writes with lower ids later.

    Raises:
        KafkaError: a batch is not taken. The floor ends with it.
    """
    top = 0
    while True:
        wake.clear()
        rows = await conn.fetch(SQL_OLDEST, top, [], [], ROWS_PER_ROUND, BYTES_PER_ROUND)
        if rows:
            await _send(service, kafka, producer, rows)
            await conn.execute(SQL_DELETE, [row["id"] for row in rows])
            top = rows[-1]["id"]
        if len(rows) < ROWS_PER_ROUND:
            try:
                async with asyncio.timeout(POLL_S):
                    await wake.wait()
            except TimeoutError:
                continue


async def _send(service: str, kafka: Kafka, producer: AIOKafkaProducer, rows: list[asyncpg.Record]) -> None:
    places: dict[TopicPartition, list[asyncpg.Record]] = {}
    for row in rows:
        name = kafka.prefix + row["topic"]
        partitions = producer.client.cluster.partitions_for_topic(name) or await producer.partitions_for(name)
        place = TopicPartition(name, zlib.crc32(row["key"].encode()) % len(partitions))
        places.setdefault(place, []).append(row)
    await asyncio.gather(*(_send_all(service, producer, place, group) for place, group in places.items()))


async def _send_all(
    service: str, producer: AIOKafkaProducer, place: TopicPartition, rows: list[asyncpg.Record]
) -> None:
    at = 0
    while at < len(rows):
        batch = producer.create_batch()
        began = at
        while at < len(rows):
            row = rows[at]
            headers = to_headers(
                Envelope(row["event_id"], row["topic"], f"/beegrid/{service}", row["key"], row["version"],
                         row["occurred_at"])
            )  # fmt: skip
            if batch.append(key=row["key"].encode(), value=row["payload"], timestamp=None, headers=headers) is None:
                break
            at += 1
        if at == began:
            raise ValueError(f"a row of {service} is larger than a batch")
        batch.close()
        await (await producer.send_batch(batch, place.topic, partition=place.partition))
