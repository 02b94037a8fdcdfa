"""Records on their way through a consumer's rounds, and what becomes of those that don't get through."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from shared.events.topic import Topic
from shared.kit.consuming.decode import Unreadable
from shared.kit.consuming.numbers import number_of
from shared.kit.letters.codes import HANDLER_FAILED, PARKED
from shared.kit.letters.dead_letters import Burial, Status
from shared.kit.messaging.work import Event, Work
from shared.kit.problems import EVENT_KNOWN

Item: TypeAlias = Event[Any] | Unreadable


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that its sender has to know is none: unreadable, or refused for a reason of business.

    `key`: the body's number, where that can be read, else Kafka's key, as text; None where neither is a number, or it
    must not be written down.
    """

    company: str
    key: str | None
    code: str
    detail: str


Refusing: TypeAlias = Callable[[Work, Sequence[RefusedRecord]], Awaitable[None]]
"""What a service does in the transaction in which it buries records that it refuses."""


@dataclass(slots=True)
class Pending:
    """One record on its way through the rounds; `order` is its place in the batch."""

    order: int
    item: Item
    error: Exception | None = None
    attempts: int = 0

    @property
    def key(self) -> bytes | None:
        """The Kafka key: what order is kept for."""
        return self.item.record.key


def last_burials(pending: Sequence[Pending], *, ordered: bool) -> list[Burial]:
    """What those that failed in all rounds become: culprits are dead; on ordered topics those behind one are parked."""
    seen: set[bytes] = set()
    burials: list[Burial] = []
    for p in pending:
        if ordered and p.key is not None and p.key in seen:
            burials.append(burial(p.item, "parked", PARKED.code, "behind a dead letter of its key", p.attempts))
        else:
            burials.append(burial(p.item, "dead", HANDLER_FAILED.code, _described(p.error), p.attempts))
        if p.key is not None:
            seen.add(p.key)
    return burials


def refused_records(topic: Topic[Any], live: Sequence[Event[Any]], burials: Sequence[Burial]) -> list[RefusedRecord]:
    """What companies have to know of those burials that are no failure of ours."""
    keys = {event.id: event.key for event in live}
    return [
        RefusedRecord(
            company=one.record.topic.split(".")[1],
            key=_key_of(topic, one, keys),
            code=one.code,
            detail=one.detail,
        )
        for one in burials
        if one.status != "parked" and one.code != "unreadable"
    ]


def _key_of(topic: Topic[Any], one: Burial, keys: Mapping[UUID, str]) -> str | None:
    if one.content != "kept" or (one.record.value is None and one.status == "rejected"):
        return None  # what the record says must go
    if one.event_id is not None:
        return keys.get(one.event_id)
    return number_of(topic, one.record)


def known_otherwise(event: Event[Any]) -> Unreadable:
    """An event that says something else than the one that came under its id before, as what it is: no event."""
    detail = "an event of this ce_source and ce_id came before, with other content"
    return Unreadable(event.record, EVENT_KNOWN.code, detail, "rejected")


def burial(item: Item, status: Status, code: str, detail: str, attempts: int) -> Burial:
    """One record as a dead letter."""
    return Burial(item.record, item.id if isinstance(item, Event) else None, status, code, detail, attempts)


def _described(error: Exception | None) -> str:
    """Class and message; of a database error not its DETAIL line, which quotes values."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error.message if hasattr(error, 'message') else error}"
    return f"{type(error).__name__}: {error}"
