"""What intake keeps of the riders service's words, and the companies' signing keys from it."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from services.intake.store import projections as store
from shared.events.company_changed import CompanyChanged
from shared.events.rider_changed import RiderChanged
from shared.events.topic import EventModel
from shared.kit.auth import Sealer
from shared.kit.db import ACQUIRE_TIMEOUT_S, Pool
from shared.kit.resealing import Secrets, opened_by
from shared.kit.work import Event, Gone, Work

M = TypeVar("M", bound=EventModel)


async def follow_companies(work: Work, events: Sequence[Event[CompanyChanged]]) -> None:
    """Keep the newest state of each company; older states, late or replayed, change nothing."""
    await store.upsert_companies(work.conn, _newest(events))


async def follow_riders(work: Work, events: Sequence[Event[RiderChanged]]) -> None:
    """Keep the newest state of each rider; older states, late or replayed, change nothing."""
    await store.upsert_riders(work.conn, _newest(events))


async def retire_riders(work: Work, gone: Sequence[Gone]) -> None:
    """Riders whose state has left the topic are erased: they may not report, whether or not the order has come."""
    await store.retire_riders(work.conn, [(UUID(one.key), one.version) for one in gone])


def secrets(sealer: Sealer) -> Secrets:
    """Companies' keys, which follow the riders service's events."""
    return Secrets(store.sealed, opened_by(sealer))


def _newest(events: Sequence[Event[M]]) -> list[tuple[M, int]]:
    """The body and version of each key's newest event."""
    newest: dict[str, Event[M]] = {}
    for event in events:
        if event.key not in newest or newest[event.key].version < event.version:
            newest[event.key] = event
    return [(event.data, event.version) for event in newest.values()]


class ProjectedKeys:
    """The companies' secrets, unsealed anew only when a company's version has changed."""

    def __init__(self, pool: Callable[[], Pool], sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer
        self._unsealed: dict[str, tuple[int, list[bytes]]] = {}

    async def load(self, company: str) -> list[bytes]:
        """Active secrets, newest first; [] for an unknown company. A suspended company keeps them: it is told why it
        is refused instead of being taken for somebody else."""
        async with self._pool().acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            version, sealed = await store.company_keys(conn, company)
        if version == 0:
            return []
        kept = self._unsealed.get(company)
        if kept is None or kept[0] != version:
            kept = version, [self._sealer.unseal(text, company, key_id) for key_id, text in sealed]
            self._unsealed[company] = kept
        return kept[1]

    async def codes(self) -> set[str]:
        """The codes of all companies."""
        async with self._pool().acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            return await store.company_codes(conn)
