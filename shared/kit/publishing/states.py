"""A producer's states, published once more from its tables: for a topic that was lost or damaged.

A topic that keeps the latest state of each key is what a late reader knows the producer by (docs/adr/0046). Its records
lie on Kafka alone, and the producer's tables are where they come from: so each producer says beside its code how the
states of each such topic are read again, in pages.

Safe beside live traffic: a page locks its rows as a change does, and publishes their present versions through the
outbox. A change that comes meanwhile waits for the page and leaves behind it, one that came before has left before: no
state goes back. Readers go by the version, so what they have changes nothing.
"""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.events import registry
from shared.events.topic import Latest, Topic
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection


@dataclass(frozen=True, slots=True)
class Page:
    """How far a page went. `last`: behind which key the next one begins, None where there was nothing any more;
    `left_out`: rows of which no state can be made.
    """

    last: str | None
    left_out: int = 0

    @classmethod
    def of(cls, keys: Sequence[object], left_out: int = 0) -> "Page":
        """The page that looked at these keys, in their order. A short one need not be the last: who looks again finds
        nothing.
        """
        return cls(str(keys[-1]) if keys else None, left_out)


@dataclass(frozen=True, slots=True)
class Counted:
    """What publishing all of a topic's states would say now: so many states, and so many keys that have left."""

    states: int
    tombstones: int


Publish: TypeAlias = Callable[[Work, str, int], Awaitable[Page]]
"""Locks the next rows after a key ("": from the first), at most so many, and publishes the state of each or its
tombstone, with the version that the row has. Raises ValueError where that is no key."""
Count: TypeAlias = Callable[[Connection], Awaitable[Counted]]


@dataclass(frozen=True, slots=True)
class States:
    """How one topic's states are read from the producer's tables."""

    topic: Topic[Any]
    publish: Publish
    count: Count

    def __post_init__(self) -> None:
        if not isinstance(self.topic.kept, Latest):
            raise ValueError(f"{self.topic.name} keeps facts: what happened is not published again")


def unread(service: str, declared: Container[str]) -> list[str]:
    """The service's topics that keep the latest state of each key, and of which nothing says how it is read again."""
    kept = (topic.name for topic in registry.produced_by(service) if isinstance(topic.kept, Latest))
    return sorted(name for name in kept if name not in declared)
