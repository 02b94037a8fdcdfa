"""How a service says whom it knows, in one line of its app.py.

knows(service, riders=Riders())                        # whose they are, whether they may act, their language
knows(service, riders=Riders(numbers=True), companies=sealer)    # and companies, whose signatures it takes
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from shared.events.company_changed import COMPANY_CHANGED, CompanyChanged
from shared.events.rider_changed import RIDER_CHANGED, RiderChanged
from shared.events.rider_erased import RIDER_ERASED
from shared.kit.auth import Sealer
from shared.kit.auth.resealing import Secrets, opened_by
from shared.kit.messaging.work import Event, Gone, Work
from shared.kit.postgres.db import Connection
from shared.kit.service import Service
from shared.known import companies as company_store
from shared.known import riders as rider_store
from shared.known.keys import UnsealedKeys
from shared.known.tables import COMPANIES, COMPANY_MIGRATIONS, RIDER_MIGRATIONS, RIDERS

Left = Callable[[Connection, Sequence[UUID]], Awaitable[None]]
Also = Callable[[Connection, Sequence[tuple[RiderChanged, int]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Riders:
    """What a service keeps of riders beside what all do.

    `numbers`: the companies' own, where they are given to it to look up. `left`: removes what it keeps of riders only
    while they are active; again changes nothing. An erasure is not its business. `also`: keeps more of the states, each
    with its version; older ones must change nothing, and nobody erased may come back.
    """

    numbers: bool = False
    left: Left | None = None
    also: Also | None = None


def knows(service: Service, *, riders: Riders | None = None, companies: Sealer | None = None) -> None:
    """Let a service follow riders, or companies, into its own schema; before or after `service.erases`.

    Args:
        service: one that the topics name.
        riders: what it keeps of them.
        companies: opens their signing keys. The service takes their signatures and counts their secrets, which are
            resealed by their owner.

    Raises:
        ValueError: a topic doesn't name the service; or it would know riders, and hear of no erasure.
    """
    if riders is not None:
        if service.name not in RIDER_ERASED.consumers:
            raise ValueError(f"{service.name} knows riders: {RIDER_ERASED.name} has to name it among its consumers")
        service.keeps(RIDERS)
        service.migrations.append(RIDER_MIGRATIONS)
        service.consumes(RIDER_CHANGED, partial(follow_riders, riders), partial(retire_riders, riders))
        service.forgets.append(rider_store.forget)
    if companies is not None:
        service.keeps(COMPANIES)
        service.migrations.append(COMPANY_MIGRATIONS)
        service.consumes(COMPANY_CHANGED, follow_companies)
        service.key_ring = UnsealedKeys(lambda: service.pool, companies).ring()
        service.seals(Secrets(company_store.sealed_page, opened_by(companies)))


async def follow_riders(kept: Riders, work: Work, events: Sequence[Event[RiderChanged]]) -> None:
    """Keep the newest state of each rider; late and replayed ones change nothing, and nobody erased comes back."""
    states = [(event.data, event.version) for event in events]
    await _leave(kept, work, await rider_store.keep(work.conn, states, numbers=kept.numbers))
    if kept.also is not None:
        await kept.also(work.conn, states)


async def retire_riders(kept: Riders, work: Work, gone: Sequence[Gone]) -> None:
    """Riders whose state has left the topic are erased: they may do nothing, whether or not the order has come."""
    await _leave(kept, work, await rider_store.retire(work.conn, [(UUID(one.key), one.version) for one in gone]))


async def follow_companies(work: Work, events: Sequence[Event[CompanyChanged]]) -> None:
    """Keep the newest state of each company; late and replayed ones change nothing."""
    await company_store.keep(work.conn, [(event.data, event.version) for event in events])


async def _leave(kept: Riders, work: Work, riders: Sequence[UUID]) -> None:
    if riders and kept.left is not None:
        await kept.left(work.conn, riders)
