"""The suite that the demo is held on: the one it has started itself, or one that runs in containers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.cli.provision import KafkaAdmin
from shared.cli.services import service_names
from shared.cli.topology import Cluster
from shared.devtools.identity import Identity
from shared.devtools.suite import Suite


@dataclass(frozen=True)
class Target:
    """Where the suite is, who issues its tokens, and its Kafka as an administrator sees it."""

    url: str
    identity: Identity
    cluster: Cluster
    services: tuple[str, ...]

    @classmethod
    def of(cls, suite: Suite) -> Self:
        """A suite that this process has started."""
        made = suite.installation
        return cls(suite.url, made.identity, made.cluster, made.services)

    @classmethod
    def from_environment(cls) -> Self | None:
        """The suite at BEEGRID_URL, or None where the variable isn't set.

        Its tokens come from the issuer in the folder BEEGRID_IDENTITY; its Kafka is BEEGRID_KAFKA_BOOTSTRAP with
        BEEGRID_KAFKA_ADMIN_USER and BEEGRID_KAFKA_ADMIN_PASSWORD.

        Raises:
            KeyError: the address is set and one of the others isn't.
        """
        url = os.environ.get("BEEGRID_URL")
        if not url:
            return None
        admin = KafkaAdmin(
            os.environ.get("BEEGRID_KAFKA_ADMIN_USER", "admin"), os.environ["BEEGRID_KAFKA_ADMIN_PASSWORD"]
        )
        prefix = os.environ.get("BEEGRID_TOPIC_PREFIX", "beegrid.")
        cluster = Cluster(os.environ["BEEGRID_KAFKA_BOOTSTRAP"], admin, prefix)
        identity = Identity.open(Path(os.environ["BEEGRID_IDENTITY"]))
        return cls(url.rstrip("/"), identity, cluster, tuple(service_names()))
