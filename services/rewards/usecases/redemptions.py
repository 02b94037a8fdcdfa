"""From wish to voucher: reserve stock, wait for the points, issue or release, end in time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.rewards import metrics, problems
from services.rewards.domain import Offer, Redemption, Taken
from services.rewards.store import levels, offers, redemptions, slots, standing, statements, stations
from services.rewards.store.offers import Stock
from services.rewards.store.redemptions import NewRedemption
from services.rewards.store.standing import Balance
from services.rewards.usecases.codes import Codes
from shared.events.account_changed import AccountChanged
from shared.events.public_stock_changed import PUBLIC_STOCK_CHANGED, PublicStockChanged
from shared.events.public_voucher_changed import PUBLIC_VOUCHER_CHANGED, PublicVoucherChanged
from shared.events.redemption_changed import REDEMPTION_CHANGED, RedemptionChanged
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.problems import not_found
from shared.kit.refusals import Problem, Refusal
from shared.known import riders as known_riders

TOO_FEW = "insufficient_points"


@dataclass(frozen=True, slots=True)
class Desk:
    """What redeeming needs besides the database. `points_answer_s`: how long points may take to answer a request."""

    codes: Codes
    zone: ZoneInfo
    points_answer_s: int
    refusal_holds_s: int
    """So long after points refused a rider a balance that is too low refuses them here. Later, points are asked again:
    what has come and was not heard of yet makes nobody wait longer."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One rider wants one piece of an offer."""

    rider_id: UUID
    offer_id: UUID
    slot_id: UUID | None = None
    """The hour that is agreed on."""


async def redeem(desk: Desk, work: Work, wishes: Sequence[Wish]) -> list[Redemption | Refusal]:
    """Many riders' wishes in one transaction, first come first served per offer; one outcome each, in order.

    Refusals: no such offer, or the reason (`sold_out`, `rider_quota_used`, …). A free offer (price 0) is issued at
    once; else the voucher waits for the points.
    """
    locked = await offers.lock_offers(work.conn, {wish.offer_id for wish in wishes})
    today: date = work.now.astimezone(desk.zone).date()
    wanted = {(wish.offer_id, wish.rider_id) for wish in wishes if wish.offer_id in locked}
    taken = await offers.taken(work.conn, locked, wanted, today)
    await _stand(desk, work, taken, [(offer, rider) for offer, rider in wanted if locked[offer].price > 0])
    await _let_in(work, taken, locked, wishes)
    outcomes = [_grant(desk, work, wish, locked.get(wish.offer_id), taken) for wish in wishes]
    granted = [one for one in outcomes if isinstance(one, NewRedemption)]
    if not granted:
        return [one for one in outcomes if isinstance(one, Refusal)]
    say_stock(work, await offers.hold_stock(work.conn, Counter(new.offer_id for new in granted)))
    written = await redemptions.add(work.conn, today, granted)
    for new in granted:
        publish(work, written[new.id])
    return [one if isinstance(one, Refusal) else written[one.id] for one in outcomes]


def _grant(
    desk: Desk, work: Work, wish: Wish, offer: Offer | None, taken: dict[UUID, Taken]
) -> NewRedemption | Refusal:
    if offer is None:
        return not_found("offer")
    if (problem := taken[offer.id].take(offer, wish.rider_id, work.now, wish.slot_id)) is not None:
        metrics.REFUSALS.labels(problem.code).inc()
        return _refusal(problem, offer, taken[offer.id], wish.rider_id)
    return _new(desk, offer, wish)


async def _stand(desk: Desk, work: Work, taken: dict[UUID, Taken], priced: Sequence[tuple[UUID, UUID]]) -> None:
    """Note who still waits for points, and who has plainly too few."""
    if not priced:
        return
    for one in await standing.standings(work.conn, priced, desk.refusal_holds_s):
        if one.waits:
            taken[one.offer_id].waiting.add(one.rider_id)
        if one.available is not None:
            taken[one.offer_id].available[one.rider_id] = one.available


async def _let_in(work: Work, taken: dict[UUID, Taken], locked: dict[UUID, Offer], wishes: Sequence[Wish]) -> None:
    """Note whose riders they are and of which level, where that matters, and the hours that are wanted."""
    there = [wish for wish in wishes if wish.offer_id in locked]
    found = await slots.by_id(work.conn, {wish.slot_id for wish in there if wish.slot_id is not None})
    for slot in found.values():
        if slot.offer_id in taken:
            taken[slot.offer_id].slots[slot.id] = slot
    bound = [wish for wish in there if locked[wish.offer_id].companies]
    riders = await known_riders.by_id(work.conn, {wish.rider_id for wish in bound})
    for wish in bound:
        rider = riders.get(wish.rider_id)
        if rider is not None and rider.active and not rider.erased:
            taken[wish.offer_id].companies[wish.rider_id] = rider.company
    asked = [wish for wish in there if locked[wish.offer_id].least_level > 0]
    ranks = await levels.ranks(work.conn, {wish.rider_id for wish in asked})
    for wish in asked:
        taken[wish.offer_id].levels[wish.rider_id] = ranks.get(wish.rider_id, 0)


def _refusal(problem: Problem, offer: Offer, taken: Taken, rider_id: UUID) -> Refusal:
    if problem is problems.POINTS_MISSING:
        return problem(price=offer.price, available=taken.available[rider_id])
    if problem is problems.LEVEL_TOO_LOW:
        level = taken.levels.get(rider_id, 0)
        return problem(free=max(0, taken.free), least_level=offer.least_level, level=level)
    why = offer.closed_reason or "" if problem is problems.OFFER_CLOSED else ""
    return problem(why, free=max(0, taken.free))


def _new(desk: Desk, offer: Offer, wish: Wish) -> NewRedemption:
    id_ = new_id()
    code_hash, sealed = desk.codes.issue(id_) if offer.price == 0 else (None, None)
    return NewRedemption(
        id=id_,
        rider_id=wish.rider_id,
        offer_id=offer.id,
        merchant_id=offer.merchant_id,
        offer_name=offer.name,
        price=offer.price,
        state="issued" if offer.price == 0 else "requested",
        deadline_s=offer.voucher_minutes * 60 if offer.price == 0 else desk.points_answer_s,
        code_hash=code_hash,
        code_sealed=sealed,
        slot_id=wish.slot_id,
        fulfilment="ordered" if offer.delivered else None,
    )


async def follow_accounts(desk: Desk, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Issue vouchers whose points are held; give stock back where they are refused; keep what was paid for used ones.

    An answer to a redemption that has ended meanwhile changes nothing: points hear of its end and give back.
    """
    await standing.hear(work.conn, _balances(events))
    await statements.hear_postings(work.conn, _postings(events))
    answers: dict[UUID, Event[AccountChanged]] = {}
    for event in events:
        if event.data.source == "redemption" and event.data.movement in ("held", "refused"):
            answers.setdefault(event.data.source_id, event)
    if not answers:
        return
    waiting = await redemptions.lock_requested(work.conn, answers)
    # before anything is counted, as whoever redeems does it: else the two wait for each other
    await offers.lock_of(work.conn, waiting)
    held = [(id_, *desk.codes.issue(id_)) for id_ in waiting if answers[id_].data.movement == "held"]
    refused = [
        (id_, answers[id_].data.reason or "refused") for id_ in waiting if answers[id_].data.movement == "refused"
    ]
    changed = await redemptions.issue(work.conn, held) if held else []
    released = await redemptions.refuse(work.conn, refused) if refused else []
    say_stock(work, await offers.move_stock(work.conn, Counter(r.offer_id for r in released), {}))
    for redemption in [*changed, *released]:
        publish(work, redemption, answers[redemption.id])


def _balances(events: Sequence[Event[AccountChanged]]) -> list[Balance]:
    """Each rider's newest, and whether any of the batch was refused for too few points."""
    newest: dict[UUID, Event[AccountChanged]] = {}
    refused: set[UUID] = set()
    for event in events:
        known = newest.get(event.data.rider_id)
        if known is None or known.version < event.version:
            newest[event.data.rider_id] = event
        if event.data.movement == "refused" and event.data.source == "redemption" and event.data.reason == TOO_FEW:
            refused.add(event.data.rider_id)
    return [Balance(id_, one.version, one.data.available, id_ in refused) for id_, one in newest.items()]


def _postings(events: Sequence[Event[AccountChanged]]) -> dict[UUID, tuple[int | None, int | None]]:
    """What the ledger has paid for redemptions, and given back."""
    heard: dict[UUID, tuple[int | None, int | None]] = {}
    for event in events:
        if event.data.source != "redemption" or event.data.movement not in ("posted", "reversed"):
            continue
        posted, returned = heard.get(event.data.source_id, (None, None))
        amount = abs(event.data.amount)
        heard[event.data.source_id] = (amount, returned) if event.data.movement == "posted" else (posted, amount)
    return heard


async def sweep(work: Work, rows_max: int) -> int:
    """End redemptions whose time is over and give their stock back; how many."""
    ended = await redemptions.end_due(work.conn, rows_max)
    say_stock(work, await offers.move_stock(work.conn, Counter(r.offer_id for r in ended), {}))
    for redemption in ended:
        publish(work, redemption)
    return len(ended)


async def cancel(work: Work, id_: UUID, rider_id: UUID) -> Redemption:
    """Give up a gift that was not fetched: its piece is free again, points follow by the event. Again: the same answer.

    Raises:
        Refusal: no such redemption of the rider; `not_cancellable` with its state; `on_a_list` while a counter without
            network may have taken it.
    """
    found = await redemptions.lock_of_rider(work.conn, id_, rider_id)
    if found is None:
        raise not_found("redemption")
    await offers.lock_of(work.conn, [id_])
    cancelled = await redemptions.cancel(work.conn, id_)
    if cancelled is not None:
        say_stock(work, await offers.move_stock(work.conn, {cancelled.offer_id: 1}, {}))
        publish(work, cancelled)
        return cancelled
    state, kept = found
    if state in ("requested", "issued") and kept:
        raise problems.ON_A_LIST()
    again = await redemptions.redemption(work.conn, id_)
    if again is not None and again[0].state == "cancelled":
        return again[0]
    raise problems.NOT_CANCELLABLE(state=state)


async def fulfil(work: Work, id_: UUID, state: Literal["sent", "ready"]) -> Redemption | None:
    """Goods are sent, then ready. None: that isn't the next step, or the voucher has ended.

    Ready, it is good for the offer's whole time again, and is published once more as issued, with its later end.
    """
    made = await redemptions.fulfil(work.conn, id_, state)
    if made is not None and state == "ready":
        publish(work, made, at=work.now)
    return made


async def undo(work: Work, id_: UUID, reason: str, by: str, days_max: int) -> Redemption:
    """Undo a redemption that was pressed by mistake: the piece is free again, points follow by the event.

    The same answer again where it is undone already.

    Raises:
        Refusal: no such redemption; `not_undoable` with its state, or when it was used too long ago.
    """
    await redemptions.lock(work.conn, id_)
    await offers.lock_of(work.conn, [id_])
    undone = await redemptions.undo(work.conn, id_, reason, by, days_max)
    if undone is not None:
        await offers.return_stock(work.conn, undone.offer_id)
        await stations.give_back(work.conn, undone.offer_id, undone.merchant_id)
        say_stock(work, await offers.say(work.conn, [undone.offer_id]))
        publish(work, undone)
        return undone
    found = await redemptions.redemption(work.conn, id_)
    if found is None:
        raise not_found("redemption")
    if found[0].state == "undone":
        return found[0]
    detail = f"only a voucher that was used within {days_max} days can be undone"
    raise problems.NOT_UNDOABLE(detail, state=found[0].state)


def say_stock(work: Work, stocks: Sequence[Stock]) -> None:
    """Publish what is there of offers now: one event an offer, however many pieces have moved."""
    for stock in stocks:
        values = {name: getattr(stock, name) for name in PublicStockChanged.model_fields if name != "changed_at"}
        work.publish(PUBLIC_STOCK_CHANGED, PublicStockChanged(**values, changed_at=work.now), version=stock.said)


def publish(work: Work, redemption: Redemption, cause: Event[Any] | None = None, *, at: datetime | None = None) -> None:
    """Publish a redemption's state. `at`: when something else of it changed than its state."""
    body = RedemptionChanged(
        redemption_id=redemption.id,
        rider_id=redemption.rider_id,
        offer_id=redemption.offer_id,
        merchant_id=redemption.merchant_id,
        offer_name=redemption.offer_name,
        price=redemption.price,
        state=redemption.state,
        reason=redemption.reason,
        expires_at=redemption.deadline_at if redemption.state == "issued" else None,
        changed_at=at or redemption.undone_at or redemption.ended_at or redemption.issued_at or redemption.requested_at,
    )
    work.publish(REDEMPTION_CHANGED, body, version=redemption.version, cause=cause)
    # what points refused, or never answered, was no voucher
    if redemption.issued_at is not None:
        seen = body.model_dump(include=set(PublicVoucherChanged.model_fields))
        work.publish(PUBLIC_VOUCHER_CHANGED, PublicVoucherChanged(**seen), version=redemption.version, cause=cause)
    if at is None:
        metrics.REDEMPTIONS.labels(redemption.state).inc()
