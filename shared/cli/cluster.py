"""The Kafka cluster of the suite that this command operates, where its administrator is known."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from shared.cli.client import CliError, find_suite
from shared.provision.kafka import KafkaAdmin
from shared.provision.topology import Cluster

PASSWORDS = "is BEEGRID_KAFKA_ADMIN_PASSWORD the one that this cluster's administrator has now?"


def public_address(cluster: Cluster) -> str:
    """Where companies and city systems reach the cluster: BEEGRID_KAFKA_PUBLIC where that is another address."""
    return os.environ.get("BEEGRID_KAFKA_PUBLIC") or cluster.bootstrap


def find_cluster() -> Cluster | None:
    """From the environment, else from what the suite's file says; None where the administrator is unknown."""
    facts = find_suite().facts

    def setting(name: str, key: str) -> str:
        return os.environ.get(name) or str(facts.get(key, ""))

    bootstrap = setting("BEEGRID_KAFKA_BOOTSTRAP", "kafka_bootstrap")
    user = setting("BEEGRID_KAFKA_ADMIN_USER", "kafka_admin_user")
    password = setting("BEEGRID_KAFKA_ADMIN_PASSWORD", "kafka_admin_password")
    if not (bootstrap and user and password):
        return None
    return Cluster(
        bootstrap,
        KafkaAdmin(
            user,
            password,
            os.environ.get("BEEGRID_KAFKA_SECURITY", "SASL_PLAINTEXT"),
            os.environ.get("BEEGRID_KAFKA_CA_FILE", ""),
        ),
        setting("BEEGRID_TOPIC_PREFIX", "topic_prefix") or "beegrid.",
        setting("BEEGRID_KAFKA_USER_PREFIX", "user_prefix"),
    )


def unheard(error: Exception, hint: str) -> CliError:
    """What a Kafka client complains of, in words: nobody answers, or whoever answers refuses the administrator."""
    # imported here: most commands don't wait for a Kafka client
    from shared.provision.kafka import KafkaRefuses

    if isinstance(error, KafkaRefuses):
        return CliError("Kafka 拒绝登录 / Kafka refuses", str(error), hint=PASSWORDS)
    return CliError("Kafka 没有应答 / Kafka doesn't answer", str(error), hint=hint)


@contextmanager
def kafka_answers(hint: str) -> Iterator[None]:
    """Turn what a Kafka client complains of into words. Raises CliError."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise unheard(error, hint) from error


def the_cluster() -> Cluster:
    """As `find_cluster`. Raises CliError where the administrator is unknown."""
    cluster = find_cluster()
    if cluster is None:
        raise CliError(
            "缺少 Kafka 管理员 / No Kafka administrator",
            "BEEGRID_KAFKA_BOOTSTRAP, BEEGRID_KAFKA_ADMIN_USER and BEEGRID_KAFKA_ADMIN_PASSWORD",
            hint="set them, or let the cluster's own tool (KafkaUser, KafkaTopic) do it",
        )
    return cluster
