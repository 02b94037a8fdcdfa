"""Tombstones: records without a value, by which a key leaves a topic that keeps the latest state of each key.

A tombstone is no poison: its event's id goes through the inbox like any other, and it keeps its place in its key's
order. A handler that keeps state of the key hears of it; a service that loses that state by other means (an order to
forget a rider) need not be. On topics of facts a record without a value is still a dead letter.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from shared.events.topic import Latest, Topic
from shared.kit.messaging.work import Event, Gone, Work

Handler: TypeAlias = Callable[[Work, Sequence[Event[Any]]], Awaitable[None]]
GoneHandler: TypeAlias = Callable[[Work, Sequence[Gone]], Awaitable[None]]


def minding(topic: Topic[Any], handler: Handler, gone: GoneHandler | None) -> Handler:
    """The handler for a batch that may have tombstones; it sees events only. `gone` None: tombstones are passed by.

    `gone` hears of keys whose last record in the batch is a tombstone, after the handler has had all events.
    """
    if not isinstance(topic.kept, Latest):
        return handler

    async def handle(work: Work, events: Sequence[Event[Any]]) -> None:
        if not any(isinstance(event, Gone) for event in events):
            await handler(work, events)
            return
        if there := [event for event in events if not isinstance(event, Gone)]:
            await handler(work, there)
        last = {event.key: event for event in events}
        left = [event for event in last.values() if isinstance(event, Gone)]
        if left and gone is not None:
            await gone(work, left)

    return handle
