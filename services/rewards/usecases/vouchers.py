"""At the counter: a voucher is taken once, by its merchant, in time."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.rewards import metrics
from services.rewards.domain import Redemption, canonical, is_open
from services.rewards.store import offers, redemptions
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.redemptions import publish
from shared.kit.messaging.work import Work

Outcome = Literal["used", "too_many", "unknown_code", "other_merchant", "closed_now", "not_usable"]


@dataclass(frozen=True, slots=True)
class Counter:
    """What verifying needs: at most `wrong_max` wrong codes per merchant in `window_s` seconds."""

    codes: Codes
    zone: ZoneInfo
    wrong_max: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a code; the redemption only where it is the merchant's own."""

    outcome: Outcome
    redemption: Redemption | None = None


async def verify(counter: Counter, work: Work, merchant_id: UUID, entered: str) -> Verdict:
    """Take a voucher. The transaction must commit whatever the verdict: wrong codes are counted."""
    verdict = await _verify(counter, work, merchant_id, entered)
    if verdict.outcome in ("unknown_code", "other_merchant"):
        await redemptions.count_wrong(work.conn, merchant_id)
    metrics.VERIFICATIONS.labels(verdict.outcome).inc()
    return verdict


async def _verify(counter: Counter, work: Work, merchant_id: UUID, entered: str) -> Verdict:
    if await redemptions.wrong_attempts(work.conn, merchant_id, counter.window_s) >= counter.wrong_max:
        return Verdict("too_many")
    code = canonical(entered)
    found = await redemptions.by_code(work.conn, counter.codes.hashes(code)) if code is not None else None
    if found is None:
        return Verdict("unknown_code")
    redemption, opens_minute, closes_minute = found
    if redemption.merchant_id != merchant_id:
        return Verdict("other_merchant")
    if redemption.state == "issued" and not is_open(opens_minute, closes_minute, work.now.astimezone(counter.zone)):
        return Verdict("closed_now", redemption)
    await offers.lock_of(work.conn, [redemption.id])
    used = await redemptions.use(work.conn, redemption.id, merchant_id)
    if used is None:
        return Verdict("not_usable", redemption)
    await offers.move_stock(work.conn, {}, {used.offer_id: 1})
    publish(work, used)
    return Verdict("used", used)
