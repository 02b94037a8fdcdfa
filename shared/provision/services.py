"""The services there are: folders of services/ with an about.py. Nobody keeps a list of them."""

import importlib
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from shared.events import registry
from shared.events.registry import AnyTopic
from shared.events.rider_erased import RIDER_ERASED
from shared.kit.about import About, Misdeclared, Secret
from shared.kit.postgres.retention import Table
from shared.known.tables import tables_known

ROOT = Path(__file__).resolve().parents[2]


def service_names(root: Path = ROOT) -> list[str]:
    """Folders of services/ that declare themselves, by alphabet."""
    return sorted(path.parent.name for path in (root / "services").glob("*/about.py"))


@cache
def about(service: str) -> About:
    """What a service says about itself.

    Raises:
        ModuleNotFoundError: there is no such service.
        Misdeclared: its About lacks a field, or has one that there isn't.
    """
    try:
        found: About = importlib.import_module(f"services.{service}.about").ABOUT
    except TypeError as error:  # the dataclass says which field
        raise Misdeclared(f"services/{service}/about.py: {error}") from error
    return found


def in_place(root: Path = ROOT) -> list[str]:
    """All services in the order of pages and pictures."""
    return sorted(service_names(root), key=lambda name: (about(name).place, name))


def forgetting() -> list[str]:
    """The services whose tables may have something of a rider: those that carry out orders to forget one."""
    return [name for name in service_names() if name in (RIDER_ERASED.producer, *RIDER_ERASED.consumers)]


def doers() -> list[str]:
    """The services that report deeds, each on a topic of its own."""
    return [name for name in service_names() if about(name).deeds]


def names_of(topic: AnyTopic, companies: Iterable[str] = (), services: Iterable[str] | None = None) -> list[str]:
    """The topics on the broker that a declaration stands for, without prefix: a family's for each of these codes.

    `services`: those that have one of their own; as their about.py files say if not given.
    """
    if topic.place == "company":
        return [topic.member(code) for code in companies]
    if topic.place == "service":
        return [topic.member(name) for name in (doers() if services is None else services)]
    return [topic.name]


def writes(service: str, companies: Iterable[str] = ()) -> list[str]:
    """The topics that a service may write, without prefix: its own, and its one of each family of services."""
    own = [name for topic in registry.produced_by(service) for name in names_of(topic, companies)]
    families = registry.service_families() if about(service).deeds else ()
    return [*own, *(topic.member(service) for topic in families)]


def holders(secret: Secret) -> list[str]:
    """The services that declare a secret."""
    return [name for name in service_names() if secret in about(name).secrets]


def tables_of(service: str) -> tuple[Table, ...]:
    """Of a service: what it knows of others' riders and companies, and what it declares of its own tables."""
    module = f"services.{service}.retention"
    own = () if importlib.util.find_spec(module) is None else importlib.import_module(module).TABLES
    return (*tables_known(service), *own)
