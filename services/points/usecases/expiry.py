"""Points that have an end: riders are warned 30 and 7 days before, then what is left of the lot goes to breakage.

And holds that have one: what nobody has ended by its deadline is given back by the clock.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.points import metrics, problems
from services.points.domain import Book
from services.points.lots import WARNED_DAYS, ExpiryRule, Lot
from services.points.store import deadlines
from services.points.store import ledger as store
from services.points.store import lots as lot_store
from services.points.store.lots import Look
from services.points.usecases import Cause, save
from shared.events.points_expiring import POINTS_EXPIRING, PointsExpiring
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work

LOTS_AT_ONCE = 500
HOLDS_AT_ONCE = 500


async def expire(zone: ZoneInfo, work: Work) -> int:
    """Look at the next lots that are due: warn their riders, or let what is left of them go. How many were looked at.

    What is reserved for a voucher can't expire; its lot is looked at again each day until the voucher has ended, so
    that nobody keeps points alive by asking for vouchers.
    """
    today = work.now.astimezone(zone).date()
    keys = await lot_store.due(work.conn, today, LOTS_AT_ONCE)
    if not keys:
        return 0
    book = await store.open_book(work.conn, {key.rider_id for key in keys}, ())
    looks: list[Look] = []
    warned: defaultdict[tuple[UUID, date], int] = defaultdict(int)
    for lot in await lot_store.lots(work.conn, keys, today):
        look_on = _look(book, lot, today, warned)
        looks.append(Look(lot.rider_id, lot.earned_on, lot.expired, look_on, today))
    await lot_store.look_again(work.conn, looks)
    for (rider_id, expires_on), amount in warned.items():
        account = book.accounts[rider_id]
        body = PointsExpiring(
            rider_id=rider_id, amount=amount, expires_on=expires_on, days_left=(expires_on - today).days,
            available=account.available,
        )  # fmt: skip
        work.publish(POINTS_EXPIRING, body, version=account.version)
    metrics.WARNED.inc(len(warned))
    await save(work, book, [Cause(None, None, work.now)])
    return len(keys)


def _look(book: Book, lot: Lot, today: date, warned: defaultdict[tuple[UUID, date], int]) -> date | None:
    """Do what is due of a lot; when to look again."""
    account = book.accounts[lot.rider_id]
    left = lot.left(account.available)
    assert lot.expires_on is not None, "only a lot with an end is looked at"
    if lot.expires_on <= today:
        if left:
            book.expire(new_id(), lot.rider_id, left, 0)
            lot.expired += left
        waits = lot.left(account.available + account.reserved) > 0
        return today + timedelta(days=1) if waits else None
    if left:
        warned[lot.rider_id, lot.expires_on] += left
    return next(
        (on for days in WARNED_DAYS if (on := lot.expires_on - timedelta(days=days)) > today),
        lot.expires_on,
    )


async def set_expiry_rule(zone: ZoneInfo, work: Work, rule: ExpiryRule) -> None:
    """Append a rule; `rule.zone` is where its days begin.

    Raises:
        Refusal: `rule_in_the_past`: its first day has begun. `rule_moved_on`: `rule.version` isn't the next one, or a
            rule begins on that day or later.
    """
    if rule.effective_from <= work.now.astimezone(zone).date():
        raise problems.RULE_IN_THE_PAST()
    if not await lot_store.add_expiry_rule(work.conn, rule, work.now):
        raise problems.RULE_MOVED_ON(current_version=await lot_store.last_expiry_rule(work.conn))


async def expire_holds(work: Work) -> int:
    """Give back what holds its points after its deadline. How many were looked at."""
    due = await deadlines.take_due(work.conn, work.now, HOLDS_AT_ONCE)
    if not due:
        return 0
    book = await store.open_book(work.conn, {one.rider_id for one in due}, {one.hold_id for one in due})
    _void(book, [one.hold_id for one in due])
    await save(work, book, [Cause(None, None, work.now)])
    return len(due)


def _void(book: Book, hold_ids: Sequence[UUID]) -> None:
    for hold_id in hold_ids:
        if (hold := book.holds.get(hold_id)) is not None:
            book.void(hold, "hold_expired", 0)
