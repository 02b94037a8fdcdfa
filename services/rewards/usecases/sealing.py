"""A change of the sealing key, where vouchers' codes are made with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag

from services.rewards.store import redemptions
from services.rewards.usecases.codes import Codes
from shared.kit.auth.resealing import UNKNOWN, Look, Sealed, Secrets, Seen
from shared.kit.messaging.work import Work


def sealed_codes(codes: Codes, key_ids: Sequence[str]) -> Secrets:
    """The codes of usable vouchers, by the sealing key they are under, of `key_ids`."""
    return Secrets(redemptions.sealed_codes, _look(codes, key_ids), _exchange)


def _look(codes: Codes, key_ids: Sequence[str]) -> Look:
    def look(one: Sealed) -> Seen:
        redemption_id = UUID(one.key_id)
        try:
            number = codes.under(redemption_id, one.secret)
        except InvalidTag:
            return Seen(UNKNOWN, None)
        return Seen(key_ids[number], codes.renewed(redemption_id, one.secret) if number else None)

    return look


async def _exchange(work: Work, renewed: Sequence[tuple[Sealed, Any]]) -> None:
    await redemptions.renew_codes(work.conn, [(UUID(one.key_id), one.secret, *after) for one, after in renewed])
