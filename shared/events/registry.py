"""All topics of the suite, discovered from the files of this folder: there is no list to keep by hand."""

import importlib
import pkgutil
from functools import cache
from typing import Any

import shared.events
from shared.events.topic import ANY_SERVICE, Audience, Topic

AnyTopic = Topic[Any]


@cache
def topics() -> tuple[AnyTopic, ...]:
    """Every declared Topic, ordered by journey and step.

    Raises:
        ValueError: two topics have one name.
    """
    found: dict[str, AnyTopic] = {}
    for module_info in pkgutil.iter_modules(shared.events.__path__):
        module = importlib.import_module(f"shared.events.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, Topic) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"two topics are named {value.name}")
    return tuple(sorted(found.values(), key=lambda topic: (topic.journey, topic.step, topic.name)))


def produced_by(service: str) -> tuple[AnyTopic, ...]:
    """Topics that a service may write."""
    return tuple(topic for topic in topics() if topic.producer == service)


def consumed_by(service: str) -> tuple[AnyTopic, ...]:
    """Topics that a service must subscribe to."""
    return tuple(topic for topic in topics() if service in topic.consumers)


def services() -> tuple[str, ...]:
    """Names of all services that any topic mentions."""
    named = {topic.producer for topic in topics()} | {name for topic in topics() for name in topic.consumers}
    return tuple(sorted(named - {"company", "city-system", ANY_SERVICE}))


def service_families() -> tuple[AnyTopic, ...]:
    """Families with a topic for each service that says in its about.py that it writes one."""
    return tuple(topic for topic in topics() if topic.place == "service")


def inbound_topics() -> tuple[AnyTopic, ...]:
    """Families of topics that companies write."""
    return tuple(topic for topic in topics() if topic.audience is Audience.INBOUND)


def outbound_topics() -> tuple[AnyTopic, ...]:
    """Families of topics that companies read."""
    return tuple(topic for topic in topics() if topic.audience is Audience.OUTBOUND)


def public_topics() -> tuple[AnyTopic, ...]:
    """Topics that city systems may read."""
    return tuple(topic for topic in topics() if topic.audience is Audience.PUBLIC)
