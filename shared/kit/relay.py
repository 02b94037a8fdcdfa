"""The relay: moves committed events from the outbox to Kafka, in the order of their ids, at least once.

One relay at a time per schema, held by a session advisory lock on a connection of its own. A round reads the oldest
rows, sends them as whole batches per partition, waits for every acknowledgement and then deletes exactly these rows.
A crash between acknowledgement and delete repeats events; readers drop them by event id.

Why a paused former leader does no harm: it sends only rows that were unpublished when it read them, from the oldest
on. Whoever leads now has sent, or will send, the same rows in the same order; so what arrives late repeats event ids,
and the first occurrences of each key stay in order. docs/adr tells the whole argument.
"""

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.events.envelope import Envelope, to_headers
from shared.kit import clock, metrics
from shared.kit.db import CONNECT_TIMEOUT_S, Connection, is_transient
from shared.kit.headers import unpack
from shared.kit.kafka import REQUEST_BYTES_MAX, client_arguments
from shared.kit.settings import KitSettings

log = structlog.get_logger(__name__)

ROWS_PER_ROUND = 2_000
BATCH_BYTES_MAX = 900_000
SEND_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
POLL_S = 0.02
IDLE_POLL_S = 0.05
LEADER_RETRY_S = 0.5
GAUGE_EVERY_S = 1.0
# No transaction of a service lives longer (transaction_timeout of its role is 30 s), so a row below an id that was
# seen this long ago is committed or will never be.
SETTLED_AFTER_S = 60.0

SQL_TRY_LEAD = "SELECT pg_try_advisory_lock(hashtextextended('beegrid-relay:' || current_schema(), 0))"
SQL_OLDEST = """
SELECT id, event_id, topic, key, version, occurred_at, traceparent, headers, payload
FROM outbox WHERE id > $1 ORDER BY id LIMIT $2
"""
SQL_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
SQL_DEPTH = "SELECT count(*) AS depth, min(occurred_at) AS oldest FROM (SELECT occurred_at FROM outbox LIMIT 1000000) o"


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: CRC32, which librdkafka calls `consistent`. Murmur2 in Python costs more than a send."""
    return zlib.crc32(key) % partitions


class RelayError(Exception):
    """A round failed; its rows stay in the outbox. The cause says why."""


class Watermark:
    """The highest id below which no row can still appear, so that a round needn't scan what was deleted.

    Not a cursor of what was published: it only moves over ids that were seen longer ago than any transaction lives.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self.value = 0

    def saw(self, last_id: int, now_s: float) -> None:
        """Note a round that published the oldest rows up to `last_id`, read at `now_s`."""
        if not self._seen or now_s - self._seen[-1][0] >= 1.0:
            self._seen.append((now_s, last_id))
        while self._seen and now_s - self._seen[0][0] > SETTLED_AFTER_S:
            self.value = max(self.value, min(self._seen.popleft()[1], last_id))


class Relay:
    """Run by every process of a service; the one with the lock works, the others wait for it."""

    def __init__(self, settings: KitSettings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._source = f"/beegrid/{service}"
        self._wake = asyncio.Event()
        self._partitions: dict[str, int] = {}
        self.leading = False
        self.depth = 0
        self.trouble: str | None = None
        """Why the last term ended, until a round succeeds."""
        self.beat_s = clock.monotonic_s()
        """When the loop last turned: liveness."""

    def wake(self) -> None:
        """Say that this process has just committed events."""
        self._wake.set()

    async def run(self) -> None:
        """Lead whenever possible, until cancelled. Errors end a term, never the loop."""
        while True:
            try:
                await self._term()
            except Exception as error:
                if not (isinstance(error, RelayError) or is_transient(error)):
                    # A defect must be loud, yet events in the outbox still want to get out.
                    log.exception("relay_failed")
                metrics.RELAY_ERRORS.labels(error=type(error).__name__).inc()
                self.trouble = f"{type(error).__name__}: {error}"[:300]
                log.warning("relay_round_failed", error=self.trouble)
            finally:
                self.leading = False
                metrics.RELAY_LEADER.set(0)
            self.beat_s = clock.monotonic_s()
            await asyncio.sleep(LEADER_RETRY_S)

    async def _term(self) -> None:
        """One connection's life: wait for the lock, then relay until something fails."""
        conn = await asyncpg.connect(
            self._settings.postgres_dsn.get_secret_value(),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=10,
            # The lock must not outlive a vanished process by hours.
            server_settings={
                "application_name": f"{self._service}-relay",
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                "idle_in_transaction_session_timeout": "30000",
            },
        )
        try:
            while not await conn.fetchval(SQL_TRY_LEAD):
                self.beat_s = clock.monotonic_s()
                await self._measure(conn)
                await asyncio.sleep(LEADER_RETRY_S)
            self.leading = True
            metrics.RELAY_LEADER.set(1)
            # Also where Kafka is away and no round succeeds: depth and age matter most then.
            await self._measure(conn)
            async with self._producer() as producer:
                await self._lead(conn, producer)
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone already; closing is a courtesy
                await conn.close(timeout=2)

    @contextlib.asynccontextmanager
    async def _producer(self) -> Any:
        """A fresh idempotent producer; stopped with a time limit, for a send to a dead broker never ends by itself."""
        producer = AIOKafkaProducer(
            **client_arguments(self._settings, f"{self._service}-relay"),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
            metadata_max_age_ms=30_000,
        )
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await producer.start()
            yield producer
        except (KafkaError, TimeoutError) as error:
            raise RelayError(f"{type(error).__name__}: {error}") from error
        finally:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await producer.stop()
            except Exception as error:  # noqa: BLE001 a producer that can't stop is dropped; the next one is new
                log.warning("relay_producer_dropped", error=repr(error)[:200])

    async def _lead(self, conn: Connection, producer: AIOKafkaProducer) -> None:
        watermark = Watermark()
        measured_s = 0.0
        idle = 0
        while True:
            self._wake.clear()
            now_s = clock.monotonic_s()
            self.beat_s = now_s
            rows = await conn.fetch(SQL_OLDEST, watermark.value, ROWS_PER_ROUND)
            self.trouble = None
            if now_s - measured_s > GAUGE_EVERY_S:
                await self._measure(conn)
                measured_s = now_s
            if rows:
                await self._send(producer, rows)
                await conn.execute(SQL_DELETE, [row["id"] for row in rows])
                watermark.saw(rows[-1]["id"], now_s)
                idle = 0
            if len(rows) < ROWS_PER_ROUND:
                idle += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S if idle < 50 else IDLE_POLL_S):
                        await self._wake.wait()

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> None:
        """Send rows in order, whole batches per partition, and wait until Kafka has every one of them."""
        groups: dict[tuple[str, int], list[tuple[bytes, bytes, list[tuple[str, bytes]]]]] = {}
        prefix = self._settings.topic_prefix
        for row in rows:
            topic, key = row["topic"], row["key"].encode()
            partitions = self._partitions.get(topic) or await self._partition_count(producer, topic)
            record = (key, row["payload"], self._headers(row))
            groups.setdefault((topic, partition_of(key, partitions)), []).append(record)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await asyncio.gather(
                    *(
                        _send_partition(producer, prefix + topic, partition, records)
                        for (topic, partition), records in groups.items()
                    )
                )
        except (KafkaError, TimeoutError) as error:
            raise RelayError(f"{type(error).__name__}: {error}") from error
        for (topic, _), records in groups.items():
            metrics.PUBLISHED.labels(topic=topic).inc(len(records))

    def _headers(self, row: asyncpg.Record) -> list[tuple[str, bytes]]:
        if row["headers"] is not None:
            return [(name, value) for name, value in unpack(row["headers"]) if value is not None]
        return to_headers(
            Envelope(
                event_id=row["event_id"],
                type=row["topic"],
                source=self._source,
                subject=row["key"],
                version=row["version"],
                occurred_at=row["occurred_at"],
                traceparent=row["traceparent"],
            )
        )

    async def _partition_count(self, producer: AIOKafkaProducer, topic: str) -> int:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            partitions = await producer.partitions_for(self._settings.topic_prefix + topic)
        if not partitions:
            raise RelayError(f"topic {self._settings.topic_prefix}{topic} does not exist or may not be written")
        self._partitions[topic] = len(partitions)
        return len(partitions)

    async def _measure(self, conn: Connection) -> None:
        row = await conn.fetchrow(SQL_DEPTH)
        if row is not None:
            self.depth = row["depth"]
            metrics.OUTBOX_DEPTH.set(self.depth)
            oldest = row["oldest"]
            metrics.OUTBOX_AGE.set(max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0)


async def _send_partition(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, Any]]
) -> None:
    """Send one partition's records in as few batches as fit, one after the other."""
    index = 0
    while index < len(records):
        batch = producer.create_batch()
        while index < len(records):
            key, value, headers = records[index]
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                break
            index += 1
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
