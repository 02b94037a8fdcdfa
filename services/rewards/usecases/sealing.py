"""A change of the sealing key, where vouchers' codes are made with it."""

from collections import Counter
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag

from services.rewards.store import redemptions
from services.rewards.usecases.codes import Codes
from shared.kit.work import Work


async def reseal(codes: Codes, key_ids: Sequence[str], work: Work, anew: bool) -> Counter[str]:
    """Count usable vouchers by the sealing key they are under, of `key_ids`; `anew`: bring them under the first."""
    found: Counter[str] = Counter()
    for redemption_id, sealed in await redemptions.sealed_codes(work.conn):
        try:
            number = codes.under(redemption_id, sealed)
        except InvalidTag:
            found["unknown"] += 1
            continue
        found[key_ids[number]] += 1
        if anew and number:
            await redemptions.renew_code(work.conn, redemption_id, sealed, *codes.renewed(redemption_id, sealed))
    return found
