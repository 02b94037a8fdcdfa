"""A change of the sealing key: webhooks' secrets and people's addresses under the new one."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from services.notifications.store import sealed as store
from services.notifications.store.sealed import Exchange, Sealed
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit.auth import Sealer
from shared.kit.work import Work


async def reseal(sealer: Sealer, work: Work, anew: bool) -> Counter[str]:
    """Count what is sealed by the key it is under; `anew`: seal this service's own under the first."""
    webhooks = await store.webhooks(work.conn)
    channels = await store.channels(work.conn, SEALED_FOR)
    if anew:
        # one at a time: an update sees a row once, and a webhook may have two secrets
        for one in _exchanges(sealer, webhooks):
            await store.exchange_webhooks(work.conn, [one])
        if fresh := _exchanges(sealer, channels):
            await store.exchange_channels(work.conn, fresh)
    return sealer.count([*webhooks, *channels, *await store.company_keys(work.conn)])


def _exchanges(sealer: Sealer, found: Sequence[Sealed]) -> list[Exchange]:
    resealed = ((id_, before, sealer.resealed(before, bound_to, id_)) for bound_to, id_, before in found)
    return [(UUID(id_), before, after) for id_, before, after in resealed if after is not None]
