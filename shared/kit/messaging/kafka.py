"""How a service connects to Kafka, for what hears (streams.py), the relay's bare producer and the probes."""

import ssl
from functools import cache
from pathlib import Path
from typing import Any

from shared.kit.settings import KitSettings
from shared.kit.tls import LivingContext

# A record over the topic's own limit still gets in and becomes a dead letter; above this the broker refuses it.
TOPIC_BYTES_MAX = 5 * 1024 * 1024
# A dead letter is the record with the reason in headers, so its topic takes more.
DLQ_BYTES_MAX = TOPIC_BYTES_MAX + 128 * 1024
REQUEST_BYTES_MAX = 6 * 1024 * 1024
# How soon a new topic is found: a company's, where its service reads all that have a name of that form; else only
# partitions that an operator has added.
NEW_TOPICS_MS, NEW_PARTITIONS_MS = 5_000, 30_000


def tls_context(settings: KitSettings) -> ssl.SSLContext | None:
    """TLS with the configured CA, as its file has it at each connection; None where the listener has none.

    Raises:
        OSError: the file can't be read, or holds no certificate.
    """
    if settings.kafka_security != "SASL_SSL":
        return None
    return _living(settings.kafka_ca_file) if settings.kafka_ca_file else ssl.create_default_context()


@cache
def _living(file: str) -> LivingContext:
    """One for all clients of a process: what is measured is what they use."""
    return LivingContext(Path(file))


def client_arguments(settings: KitSettings, client_id: str) -> dict[str, Any]:
    """Arguments for aiokafka's own clients."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "client_id": client_id,
        "security_protocol": settings.kafka_security,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.kafka_username,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
        "ssl_context": tls_context(settings),
    }
