"""Lock the accounts, let the Book decide, write it, publish one event per movement: in the caller's transaction."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.points import metrics, problems
from services.points.domain import EARNS, Book, Hold, Movement
from services.points.earning.words import NOTHING, Why
from services.points.store import budgets, deadlines, deeds, rounds, seals
from services.points.store import cases as case_store
from services.points.store import ledger as store
from services.points.store.deadlines import Deadline
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.redemption_changed import RedemptionChanged
from shared.kit import clock
from shared.kit.messaging.work import Event, Work, database_now
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found
from shared.known import riders as known_riders

UNENDED_AFTER = timedelta(days=7)
"""So long after a voucher's end its points are given back if nobody has said what became of it.

Longer than any counter without network may keep a voucher before it uploads what it took, by the settings of rewards.
"""
RECENT = timedelta(minutes=3)
"""More than the minute between two looks, so that what commits late is seen by the next one."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a movement follows from: an event, a verdict that is being settled, or a person who asked for it.

    `changed_at`: since when it could be seen to; None: nobody can say.
    """

    traceparent: str | None
    grid_code: str | None
    changed_at: datetime | None

    @staticmethod
    def of(event: Event[Any], grid_code: str | None = None) -> "Cause":
        """An event whose body says when it happened; `grid_code` of a case: where it lies now."""
        return Cause(event.traceparent, grid_code, event.data.changed_at)


async def measure_ledger(conn: Connection) -> None:
    """Show whether the totals agree, the accounts that have just moved, and when all was sealed."""
    recent = await check_recent(conn)
    figures = await store.tallies(conn)
    metrics.LEDGER_SUM.set(figures["ledger_sum"])
    metrics.LEDGER_UNBALANCED.set(max(recent, figures["imbalance"]))
    sealed = await seals.newest(conn)
    metrics.LEDGER_SEALED.set(sealed.sealed_at.timestamp() if sealed is not None and sealed.sealed_at else math.nan)
    metrics.LEDGER_CHECKED.set(clock.unix_s())  # process clock: a gauge


async def follow_redemptions(work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Reserve a requested redemption's price or refuse it, pay it when used, give it back when it comes to nothing.

    What an operator undid was paid: it is given back as a reversal, which the ledger keeps beside the payment.
    """
    priced = [(cause, event.data) for cause, event in enumerate(events) if event.data.price > 0]
    await deadlines.set_deadlines(
        work.conn,
        [
            Deadline(r.redemption_id, r.rider_id, r.expires_at + UNENDED_AFTER)
            for _, r in priced
            if r.state == "issued" and r.expires_at is not None
        ],
    )
    priced = [(cause, redemption) for cause, redemption in priced if redemption.state != "issued"]
    if not priced:
        return
    riders = {r.rider_id for _, r in priced}
    book = await store.open_book(work.conn, riders, {r.redemption_id for _, r in priced})
    book.inactive |= await known_riders.inactive_among(work.conn, riders)
    for cause, redemption in priced:
        party = f"merchant:{redemption.merchant_id}"
        if not _is_same(book, redemption, party):
            work.reject(events[cause], problems.KEY_REUSED("a redemption came again with another rider or price"))
            continue
        if redemption.state in ("requested", "used", "undone"):
            book.spend(redemption.redemption_id, redemption.rider_id, redemption.price, cause, party)
        if redemption.state in ("used", "undone"):
            # whoever takes the voucher: of one that every station takes, another than the one that was said before
            hold = book.holds[redemption.redemption_id]
            hold.party = party
            book.post(redemption.redemption_id, cause)
            if redemption.state == "undone":
                book.refund(redemption.redemption_id, redemption.reason or "undone", cause)
            if hold.state not in ("posted", "reversed"):
                work.reject(events[cause], problems.UNPAID_VOUCHER("a voucher was used whose points are not held"))
        elif redemption.state != "requested":
            absent = Hold(redemption.redemption_id, "redemption", redemption.rider_id, None, "", 0, "voided")
            book.void(absent, redemption.reason or redemption.state, cause)
    await save(work, book, [Cause.of(event) for event in events])


def _is_same(book: Book, redemption: RedemptionChanged, party: str) -> bool:
    """Whether a redemption is what came under its id before: a hold's id is a key for ever.

    What was given back before it was held had no amount. The merchant is settled when the voucher is used.
    """
    hold = book.holds.get(redemption.redemption_id)
    if hold is None:
        return True
    amounts = (redemption.price, 0) if hold.state == "voided" else (redemption.price,)
    if redemption.state in ("used", "undone") and hold.state in ("posted", "reversed") and hold.party != party:
        return False
    return hold.rider_id == redemption.rider_id and hold.amount in amounts


async def reverse(work: Work, hold_id: UUID, reason: str, covers: Callable[[str], bool]) -> None:
    """Take posted points of a report or deed back. `covers`: whether whoever asks answers for an area.

    Raises:
        Refusal: no such hold in these areas; `not_reversible` with its state, where nothing is posted to
            take back.
    """
    seen = await store.hold(work.conn, hold_id)
    # A hold is for the office where its case is now, as its photos are; it may have been held elsewhere
    grid_code = await case_store.grid_of(work.conn, seen.case_id) if seen is not None and seen.case_id else None
    area = await deeds.area_of(work.conn, hold_id) if seen is not None and seen.source == "deed" else grid_code
    if seen is None or not covers(area or ""):
        raise not_found("hold")
    if seen.budget_id is not None:
        await budgets.lock(work.conn, [seen.budget_id])
    book = await store.open_book(work.conn, {seen.rider_id}, {hold_id})
    if not book.reverse(hold_id, reason, 0):
        hold = book.holds[hold_id]
        raise problems.NOT_REVERSIBLE(
            "only posted points of a report can be taken back",
            state=hold.state,
            source=hold.source,
        )
    await save(work, book, [Cause(None, grid_code, work.now)])


async def check_recent(conn: Connection) -> int:
    """How many accounts that moved in the last minutes their entries don't explain."""
    now = await database_now(conn)
    # what is committed later may be made earlier: the next call's window reaches back far enough
    riders = await rounds.recent_riders(conn, now - RECENT, now)
    return await rounds.recent_wrong(conn, riders)


async def save(work: Work, book: Book, causes: Sequence[Cause], why: Callable[[str | None], Why] | None = None) -> None:
    """Write a book and publish its movements; a movement's `cause` is its place among the causes.

    `why`: from a hold's rule to words for the rider. Budgets get back what isn't earned.
    """
    entry_ids = await store.write_book(work.conn, book, work.now)
    await budgets.give_back(work.conn, _returned(book))
    for movement, entry_id in zip(book.movements, entry_ids, strict=True):
        cause = causes[movement.cause]
        work.publish(
            ACCOUNT_CHANGED,
            _account_changed(movement, entry_id, cause, work.now, why),
            version=movement.version,
            traceparent=cause.traceparent,
        )
        if movement.name == "posted" and movement.hold.source == "report" and cause.changed_at is not None:
            metrics.TIME_TO_POSTED.observe((work.now - cause.changed_at).total_seconds())
    for (name, source), count in Counter((m.name, m.hold.source) for m in book.movements).items():
        metrics.MOVEMENTS.labels(name, source).inc(count)
    for reason, count in Counter(m.reason for m in book.movements if m.name == "refused").items():
        metrics.REFUSALS.labels(reason or "").inc(count)


def _returned(book: Book) -> dict[int, tuple[int, int]]:
    """By budget: spent points that are the rider's no more, and such that only waited."""
    found: dict[int, tuple[int, int]] = {}
    for movement in book.movements:
        hold = movement.hold
        if hold.budget_id is not None and movement.name in ("voided", "reversed"):
            spent, waiting = found.get(hold.budget_id, (0, 0))
            found[hold.budget_id] = (spent, waiting + hold.amount) if hold.waits else (spent + hold.amount, waiting)
    return found


def _account_changed(
    movement: Movement,
    entry_id: UUID,
    cause: Cause,
    now: datetime,
    why: Callable[[str | None], Why] | None,
) -> AccountChanged:
    hold = movement.hold
    words = why(hold.rule) if why is not None and hold.source in EARNS else NOTHING
    return AccountChanged(
        rider_id=hold.rider_id,
        entry_id=entry_id,
        movement=movement.name,
        source=hold.source,
        source_id=hold.id,
        case_id=hold.case_id,
        company=hold.company,
        grid_code=cause.grid_code,
        amount=movement.amount,
        reason=movement.reason,
        rule=hold.rule,
        why_zh=words.zh or None,
        why_en=words.en or None,
        pending=movement.pending,
        available=movement.available,
        changed_at=now,
    )
