"""What a service says about itself: data that its deployment, its way through the front door and the pages are made of.

Each service has one `ABOUT` in `services/<name>/about.py`, which imports nothing but this file. `make gen` writes from
it, from the topics and from the settings whatever else names the service: Caddyfile, docker-compose.yml, manifests,
dashboards, tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Misdeclared(ValueError):
    """What a service says of itself doesn't fit together, or leaves something out: one sentence for its author."""


class Secret(StrEnum):
    """A secret that several services share. A service gets those that it declares, and its own passwords."""

    SEALING_KEY = "sealing_key"
    """`SealingSettings.sealing_key`: seals keys at rest and on internal topics."""
    PHOTO_STORE = "photo_store"
    """The object store's access key, in the usual AWS_* variables."""


class Outside(StrEnum):
    """A way out of the suite, which network policies open for the services that need it."""

    OBJECT_STORE = "object store"
    PUBLIC_HOSTS = "public hosts"
    """HTTPS to public addresses; private networks are refused."""
    MAIL_SERVER = "mail server"


@dataclass(frozen=True)
class Need:
    """Something that the service needs beside Postgres, Kafka and Redis, which the kit needs for all."""

    what: str
    why: str
    without: str
    """What happens while it is away."""
    ways: tuple[Outside, ...] = ()


@dataclass(frozen=True)
class Size:
    """What one pod asks for, and how few and how many pods there are. CPU has no limit: throttling makes lag."""

    cpu_m: int = 150
    memory_mi: int = 256
    pods_min: int = 2
    pods_max: int = 6
    lag_per_pod: int = 2_000
    """Records behind at which KEDA adds a pod: some seconds of one pod's work."""
    alone_mi: int = 384
    """Limit of memory in docker compose, where one process does the whole work."""


@dataclass(frozen=True)
class About:
    """One service, in the words and numbers that others need. The folder's name is the service's name."""

    zh: str
    en: str
    does_zh: str
    """What it is for, in a few words; goes on after the name in a table."""
    does_en: str
    paths: tuple[str, ...]
    """Its addresses at the front door, `/v1/cases*` with all that begins so; `/ops/<name>/*` comes by itself."""
    limit: str
    """What sets an end to its scaling, in one sentence without a full stop."""
    size: Size = field(default_factory=Size)
    secrets: tuple[Secret, ...] = ()
    needs: tuple[Need, ...] = ()
    demo: Mapping[str, str] = field(default_factory=dict)
    """Variables that docker compose takes from the shell or .env, with the demo city's values in their place."""
    deeds: tuple[str, ...] = ()
    """Actions of riders that it reports as done (shared/events/deed_done.py), as the rules of points name them. With
    any it has a topic `<name>.deed-done.v1`, which points hears without being asked."""
    place: int = 100
    """Where it stands on pages and pictures, along a report's way; by name among equals."""
