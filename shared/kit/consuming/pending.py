"""Records on their way through a consumer's rounds, and what becomes of those that don't get through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from shared.kit.consuming.decode import Unreadable
from shared.kit.letters.codes import HANDLER_FAILED, PARKED
from shared.kit.letters.dead_letters import Burial, Status
from shared.kit.messaging.work import Event

Item: TypeAlias = Event[Any] | Unreadable


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
            burials.append(burial(p.item, "dead", HANDLER_FAILED.code, _told_error(p.error), p.attempts))
        if p.key is not None:
            seen.add(p.key)
    return burials


def burial(item: Item, status: Status, code: str, detail: str, attempts: int) -> Burial:
    """One record as a dead letter."""
    return Burial(item.record, item.id if isinstance(item, Event) else None, status, code, detail, attempts)


def _told_error(error: Exception | None) -> str:
    """Class and message; of a database error not its DETAIL line, which quotes values."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error.message if hasattr(error, 'message') else error}"
    return f"{type(error).__name__}: {error}"
