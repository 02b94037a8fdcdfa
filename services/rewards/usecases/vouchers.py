"""At the counter: a voucher is taken once, by its merchant, in time."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.rewards import metrics
from services.rewards.domain import Redemption, canonical
from services.rewards.store import merchants, offers, redemptions, stations
from services.rewards.store.redemptions import AtCounter
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.redemptions import publish, say_stock
from shared.kit.messaging.work import Work

Outcome = Literal[
    "used",
    "too_many",
    "not_staff",
    "unknown_code",
    "other_merchant",
    "closed_now",
    "station_empty",
    "not_ready",
    "not_usable",
]


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


async def verify(counter: Counter, work: Work, merchant_id: UUID, entered: str, clerk: str) -> Verdict:
    """Take a voucher. The transaction must commit whatever the verdict: wrong codes are counted."""
    verdict = await _verify(counter, work, merchant_id, entered, clerk)
    if verdict.outcome in ("unknown_code", "other_merchant"):
        await redemptions.count_wrong(work.conn, merchant_id, 1)
    metrics.VERIFICATIONS.labels(verdict.outcome).inc()
    return verdict


async def _verify(counter: Counter, work: Work, merchant_id: UUID, entered: str, clerk: str) -> Verdict:
    if not await merchants.may_take(work.conn, merchant_id, clerk):
        return Verdict("not_staff")
    if await redemptions.wrong_attempts(work.conn, merchant_id, counter.window_s) >= counter.wrong_max:
        return Verdict("too_many")
    code = canonical(entered)
    found = await redemptions.by_code(work.conn, counter.codes.hashes(code)) if code is not None else None
    if found is None:
        return Verdict("unknown_code")
    redemption = found.redemption
    if not found.citywide and redemption.merchant_id != merchant_id:
        return Verdict("other_merchant")
    if found.citywide and redemption.state == "issued":
        there = await stations.there(work.conn, redemption.offer_id, merchant_id)
        if not there:
            return Verdict("other_merchant" if there is None else "station_empty", redemption)
    if redemption.state == "issued" and not found.hours.allow(work.now, counter.zone):
        return Verdict("closed_now", redemption)
    if redemption.state == "issued" and redemption.fulfilment not in (None, "ready"):
        return Verdict("not_ready", redemption)
    await offers.lock_of(work.conn, [redemption.id])
    take = stations.use if found.citywide else redemptions.use
    used = await take(work.conn, redemption.id, merchant_id, clerk)
    if used is None:
        return Verdict(await _why_not(work, found, merchant_id), redemption)
    say_stock(work, await offers.move_stock(work.conn, {}, {used.offer_id: 1}))
    publish(work, used)
    return Verdict("used", used)


async def _why_not(work: Work, found: AtCounter, merchant_id: UUID) -> Outcome:
    """The voucher's time is over; or the station has just given its last piece."""
    shown = found.redemption
    if not found.citywide or shown.state != "issued" or shown.deadline_at <= work.now:
        return "not_usable"
    return "not_usable" if await stations.there(work.conn, shown.offer_id, merchant_id) else "station_empty"
