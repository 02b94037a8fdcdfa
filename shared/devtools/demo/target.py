"""The suite that the demo is held on: the one it has started itself, or one that runs in containers."""

import os
from pathlib import Path

from shared.devtools.identity import Identity
from shared.devtools.suite import Suite
from shared.provision.kafka import KafkaAdmin
from shared.provision.services import service_names
from shared.provision.topology import Cluster
from shared.synthetic.door import Target

EVERYWHERE = {"", "0.0.0.0", "[::]", "127.0.0.1", "[::1]"}  # noqa: S104 recognised, not served


def target_of(suite: Suite, service: str = "") -> Target:
    """A suite that this process has started: at its front door, or at one service's own address."""
    made, url = suite.installation, suite.services[service].url if service else suite.url
    return Target(url, made.identity, made.cluster, made.services)


def browser_url(target: Target) -> str:
    """What to open in a browser, which may be outside of where the demo runs: BEEGRID_PUBLISHED is host:port there."""
    published = os.environ.get("BEEGRID_PUBLISHED", "")
    if not published:
        return target.url
    host, _, port = published.rpartition(":")
    return f"http://{'localhost' if host in EVERYWHERE else host}:{port}"


def target_from_environment() -> Target | None:
    """The suite at BEEGRID_URL, or None where the variable isn't set.

    Its tokens come from the issuer in the folder BEEGRID_IDENTITY; its Kafka is BEEGRID_KAFKA_BOOTSTRAP with
    BEEGRID_KAFKA_ADMIN_USER and BEEGRID_KAFKA_ADMIN_PASSWORD.

    Raises:
        KeyError: the address is set and one of the others isn't.
    """
    url = os.environ.get("BEEGRID_URL")
    if not url:
        return None
    admin = KafkaAdmin(os.environ.get("BEEGRID_KAFKA_ADMIN_USER", "admin"), os.environ["BEEGRID_KAFKA_ADMIN_PASSWORD"])
    prefix = os.environ.get("BEEGRID_TOPIC_PREFIX", "beegrid.")
    cluster = Cluster(os.environ["BEEGRID_KAFKA_BOOTSTRAP"], admin, prefix)
    identity = Identity.open(Path(os.environ["BEEGRID_IDENTITY"]))
    return Target(url.rstrip("/"), identity, cluster, tuple(service_names()))
