"""A change of the sealing key: webhooks' secrets and people's addresses under the new one."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from services.notifications.store import sealed as store
from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit.auth import Sealer
from shared.kit.auth.resealing import Sealed, Secrets, opened_by
from shared.kit.messaging.work import Work


def secrets(sealer: Sealer) -> tuple[Secrets, ...]:
    """What this service itself keeps sealed."""
    look = opened_by(sealer)
    return (
        Secrets(store.webhooks, look, _exchange_webhooks),
        Secrets(partial(store.channels, SEALED_FOR), look, _exchange_channels),
    )


async def _exchange_webhooks(work: Work, renewed: Sequence[tuple[Sealed, Any]]) -> None:
    # one at a time: an update sees a row once, and a webhook may have two secrets
    for one, after in renewed:
        await store.exchange_webhooks(work.conn, [(UUID(one.key_id), one.secret, after)])


async def _exchange_channels(work: Work, renewed: Sequence[tuple[Sealed, Any]]) -> None:
    await store.exchange_channels(work.conn, [(UUID(one.key_id), one.secret, after) for one, after in renewed])
