"""A change of the sealing key, under which emergency contacts are."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.tasks.store import claims
from shared.kit.auth import Sealer
from shared.kit.auth.resealing import Sealed, Secrets, opened_by
from shared.kit.messaging.work import Work


def sealed_contacts(sealer: Sealer) -> Secrets:
    """Contacts of riders whose tasks are not over."""
    return Secrets(claims.sealed_page, opened_by(sealer), _exchange)


async def _exchange(work: Work, renewed: Sequence[tuple[Sealed, Any]]) -> None:
    await claims.reseal(work.conn, [(UUID(one.key_id), one.secret, fresh) for one, fresh in renewed])
