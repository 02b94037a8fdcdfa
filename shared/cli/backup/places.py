"""Where the suite keeps things, for backup and restore: its database, its cluster, its photos."""

import os
from dataclasses import dataclass, field

from shared.cli.client import CliError, find_suite
from shared.cli.cluster import find_cluster
from shared.provision.postgres import other_database
from shared.provision.topology import Cluster


@dataclass(frozen=True)
class Places:
    """`postgres_url` is the administrator's, of the suite's own database; `photos_url` as intake's setting."""

    postgres_url: str = field(repr=False)
    cluster: Cluster = field(repr=False)
    photos_url: str


def find_places() -> Places:
    """From the environment, else from what the running suite's file says. Raises CliError that names what lacks."""
    facts = find_suite().facts

    def setting(name: str, key: str) -> str:
        return os.environ.get(name) or str(facts.get(key, ""))

    admin_url = setting("BEEGRID_POSTGRES_ADMIN_URL", "postgres_admin_url")
    photos_url = setting("BEEGRID_PHOTO_STORE_URL", "photo_store_url")
    cluster = find_cluster()
    wanted = {
        "BEEGRID_POSTGRES_ADMIN_URL": admin_url,
        "BEEGRID_PHOTO_STORE_URL": photos_url,
        "BEEGRID_KAFKA_BOOTSTRAP, BEEGRID_KAFKA_ADMIN_USER and BEEGRID_KAFKA_ADMIN_PASSWORD": cluster,
    }
    if missing := [name for name, value in wanted.items() if not value]:
        raise CliError(
            "缺少管理员连接 / Not all of the suite's servers are known",
            "; ".join(missing),
            hint="set them, or run this beside the .beegrid of a suite that `make up` has started",
        )
    assert cluster is not None, "named above otherwise"
    database = setting("BEEGRID_POSTGRES_DATABASE", "postgres_database") or "beegrid"
    return Places(other_database(admin_url, database), cluster, photos_url)
