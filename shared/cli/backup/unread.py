"""The records of a tail, read as the consumers read them: what a stranger has broken, or packed too well, is bounded.

A library that raises for a broken batch would let one company keep the whole city from being saved.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.cli.backup.tail import Place
from shared.cli.client import CliError
from shared.kit import clock
from shared.kit.consuming import record_sets
from shared.kit.consuming.decode import with_id
from shared.kit.consuming.record_reading import Broken
from shared.provision.topology import Cluster

READ_RECORDS = 1_000
SILENT_S = 60.0
PAUSE_S = 0.2
BROKEN_BYTES_MAX = 4 * 1024 * 1024
"""What is kept of a batch that nobody can read: it comes back as one record, and any topic of companies takes that."""


async def records(
    cluster: Cluster, positions: Mapping[Place, int], ends: Mapping[Place, tuple[int, int]]
) -> AsyncIterator[bytes]:
    """One JSON line a record from each position up to the end, a partition's records in their order.

    Raises:
        CliError: Kafka gives nothing for SILENT_S.
    """
    at = {
        TopicPartition(*place): max(positions[place], first)
        for place, (first, end) in ends.items()
        if place in positions and max(positions[place], first) < end
    }
    if not at:
        return
    consumer = _consumer(cluster)
    await consumer.start()
    try:
        consumer.assign(list(at))
        async for record in _up_to(consumer, at, {TopicPartition(*place): end for place, (_, end) in ends.items()}):
            yield orjson.dumps(_line(cluster, record), option=orjson.OPT_APPEND_NEWLINE)
    finally:
        await consumer.stop()


async def _up_to(
    consumer: AIOKafkaConsumer, at: dict[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator["ConsumerRecord[bytes, bytes]"]:
    """Records from `at`, which moves along and loses the partitions that are at their end."""
    heard_s, trouble = clock.monotonic_s(), "no answer"
    for place, offset in at.items():
        consumer.seek(place, offset)
    while at:
        try:
            found = await consumer.getmany(*at, timeout_ms=1_000, max_records=READ_RECORDS)
            reached = {place: await consumer.position(place) for place in at}
        except KafkaError as error:  # what the fetch had taken is lost to it: everything is asked for once more
            found, reached, trouble = {}, {}, type(error).__name__
            await asyncio.sleep(PAUSE_S)
            for place, offset in at.items():
                consumer.seek(place, offset)
        for place, taken in found.items():
            for record in taken:
                if record.offset < ends[place]:
                    yield record
        for place, offset in reached.items():
            if offset > at[place]:  # over what compaction and transactions leave out, too
                at[place], heard_s = offset, clock.monotonic_s()
            if offset >= ends[place]:
                del at[place]
        if at and clock.monotonic_s() - heard_s > SILENT_S:
            place, offset = next(iter(at.items()))
            raise CliError(
                "Kafka 没有应答 / Kafka gives no records",
                f"{place.topic} {place.partition} stands at {offset} of {ends[place]}: {trouble}",
                hint="is the broker reachable? Then take the backup again",
            )


def _consumer(cluster: Cluster) -> AIOKafkaConsumer:
    record_sets.install()
    admin = cluster.admin
    secure = admin.security_protocol == "SASL_SSL"
    return AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap.split(","),
        client_id="beegrid-backup",
        security_protocol=admin.security_protocol,
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=admin.user,
        sasl_plain_password=admin.password,
        ssl_context=ssl.create_default_context(cafile=admin.ca_file or None) if secure else None,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
    )


def _line(cluster: Cluster, record: "ConsumerRecord[bytes, bytes]") -> dict[str, Any]:
    name = record.topic.removeprefix(cluster.topic_prefix)
    headers = tuple(record.headers)
    if name.startswith("inbound.") and not name.endswith(".dlq"):
        # its place will be another one: the id that its consumers know must travel with it
        headers = with_id(headers, record.partition, record.offset, record.timestamp)
    value = record.value
    if isinstance(value, Broken):  # of a record with bad headers alone this is its value
        value = bytes(value)[:BROKEN_BYTES_MAX]
    return {
        "topic": name,
        "partition": record.partition,
        "timestamp_ms": record.timestamp,
        "key": _text(record.key),
        "value": _text(value),
        "headers": [[header, _text(content)] for header, content in headers],
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
