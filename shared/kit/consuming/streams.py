"""FastStream, and nobody else's: all that the kit takes of it comes in by this file.

It is used for little, and that little is delicate: so that it can be replaced, or a new version of it be read against
one page, an import contract keeps every other file from knowing it, and no type of its own leaves this one.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.security import SASLScram512

from shared.events import registry
from shared.events.topic import Topic
from shared.kit.consuming import record_sets
from shared.kit.consuming.fetching import WAIT_IDLE_MS, Fetching, let_go
from shared.kit.messaging.kafka import NEW_PARTITIONS_MS, NEW_TOPICS_MS, tls_context
from shared.kit.settings import KitSettings

# Every company has partitions of its own, and each may have an answer waiting here: all of them must fit into memory.
# A batch that is larger comes nevertheless, alone.
FOREIGN_FETCH_BYTES, FOREIGN_PARTITION_BYTES = 8 * 1024 * 1024, 512 * 1024
OWN_FETCH_BYTES, OWN_PARTITION_BYTES = 48 * 1024 * 1024, 4 * 1024 * 1024

Raws: TypeAlias = "Sequence[ConsumerRecord[bytes, bytes]]"
Broker: TypeAlias = KafkaBroker
"""What subscriptions are made on; only this file knows what it can do."""

# How long a new share-out waits for members that don't answer, however long they may be silent otherwise. It must stay
# below the 40 s after which a client gives up on any answer of the broker's.
REBALANCE_MS_MAX = 15_000


class Outage(Exception):
    """Something outside the record is away: the batch is not acknowledged and comes again."""


def create_broker(settings: KitSettings, service: str) -> Broker:
    """FastStream's broker: no topic is created by accident, no argument is validated twice, no batch breaks a fetch."""
    record_sets.install()
    context = tls_context(settings)
    families = any(topic.is_family for topic in registry.consumed_by(service))
    return KafkaBroker(
        settings.kafka_bootstrap.split(","),
        client_id=service,
        security=SASLScram512(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            ssl_context=context,
            use_ssl=context is not None,
        ),
        allow_auto_create_topics=False,
        metadata_max_age_ms=NEW_TOPICS_MS if families else NEW_PARTITIONS_MS,
        consumer_only=True,
        apply_types=False,
        graceful_timeout=settings.shutdown_grace_s,
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
    )


def listening(broker: Broker) -> contextlib.AbstractAsyncContextManager[object]:
    """While it is entered, all that is subscribed to is heard; leaving it, batches in hand are settled."""
    return FastStream(broker, logger=None)


class Subscription:
    """One service's subscription to one topic, from the broker's start to its end.

    The group is `<prefix><service>.<topic>`: one a topic, so topics never wait for another.
    """

    def __init__(
        self,
        broker: Broker,
        settings: KitSettings,
        service: str,
        topic: Topic[Any],
        fetching: Fetching,
        process: Callable[[Raws], Awaitable[None]],
    ) -> None:
        """`process` settles a batch and returns: then it is acknowledged. Where it raises, the batch comes again."""
        self._fetching = fetching
        name, instance = settings.topic_prefix + topic.name, settings.kafka_instance_id
        self._subscriber = subscriber = broker.subscriber(
            *(() if topic.is_family else (name,)),
            pattern=topic.subscription(settings.topic_prefix) if topic.is_family else None,
            group_id=f"{settings.topic_prefix}{service}.{topic.member('all')}",
            group_instance_id=f"{instance}.{topic.name}" if instance else None,
            batch=True,
            fetch_max_wait_ms=WAIT_IDLE_MS,
            fetch_max_bytes=FOREIGN_FETCH_BYTES if topic.is_family else OWN_FETCH_BYTES,
            max_partition_fetch_bytes=FOREIGN_PARTITION_BYTES if topic.is_family else OWN_PARTITION_BYTES,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            heartbeat_interval_ms=settings.kafka_heartbeat_ms,
            session_timeout_ms=settings.kafka_session_ms,
            rebalance_timeout_ms=min(settings.kafka_session_ms, REBALANCE_MS_MAX),
            parser=self._parse,
            decoder=self._raw,
        )
        subscriber(process)
        # FastStream's own is deaf for a second after each empty one, and drops what a failing fetch had taken already.
        subscriber.get_msg = fetching.next_batch  # type: ignore[method-assign]  # there is no other place
        subscriber.stop = partial(self._stop, subscriber.stop)  # type: ignore[method-assign]  # as above

    @property
    def kafka(self) -> AIOKafkaConsumer | None:
        """The client, while the subscription is heard."""
        return self._subscriber.consumer

    @property
    def running(self) -> bool:
        """Whether the loop that fetches and hands on still goes round."""
        return any(not task.done() for task in self._subscriber.tasks)

    async def _stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        consumer = self.kafka
        await stop()
        if consumer is not None:
            let_go(consumer)

    async def _parse(self, raw: tuple["ConsumerRecord[bytes, bytes]", ...]) -> KafkaAckableMessage:
        """FastStream's own parser decodes every header as UTF-8 and skips the batch where one is not."""
        consumer = self.kafka
        if consumer is None:
            raise Outage("the consumer has just been stopped")
        return KafkaAckableMessage(
            raw_message=raw,
            body=b"",
            headers={},
            batch_headers=[],
            message_id=f"{raw[0].offset}-{raw[-1].offset}",
            correlation_id=None,
            path={},
            consumer=self._fetching.handed(consumer),
        )

    async def _raw(self, message: KafkaAckableMessage) -> list["ConsumerRecord[bytes, bytes]"]:
        return list(message.raw_message)
