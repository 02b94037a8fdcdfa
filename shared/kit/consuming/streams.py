"""FastStream, and nobody else's: all that the kit takes of it comes in by this file.

It is used for little, and that little is delicate (see consumer.py): so that it can be replaced, or a new version of it
be read against one page, an import contract keeps every other file from knowing it.
"""

import logging

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import SASLScram512

from shared.events import registry
from shared.kit.consuming import record_sets
from shared.kit.messaging.kafka import NEW_PARTITIONS_MS, NEW_TOPICS_MS, tls_context
from shared.kit.settings import KitSettings

__all__ = ["AckPolicy", "BatchSubscriber", "KafkaAckableMessage", "KafkaBroker", "create_broker", "listening"]


def create_broker(settings: KitSettings, service: str) -> KafkaBroker:
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


def listening(broker: KafkaBroker) -> FastStream:
    """While it is entered, all that is subscribed to is heard; leaving it, batches in hand are settled."""
    return FastStream(broker, logger=None)
