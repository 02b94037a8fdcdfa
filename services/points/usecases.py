"""Lock the accounts, let the Book decide, write it, publish one event per movement: in the caller's transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.points import metrics, store
from services.points.domain import Book, Claim, Hold, Movement, Rule, rule_at, share
from shared.catalog import Catalogue, Kind
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.case_changed import CaseChanged, CaseReport
from shared.events.redemption_changed import RedemptionChanged
from shared.events.rider_changed import RiderChanged
from shared.kit.http import conflict, not_found
from shared.kit.work import Event, Work


@dataclass(frozen=True, slots=True)
class Terms:
    """What points are reckoned by, besides the rules in the database."""

    catalogue: Catalogue
    zone: ZoneInfo
    """Where a day begins."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one event of a case does to the ledger."""

    cause: int
    case: CaseChanged
    claims: list[Claim]


async def follow_cases(terms: Terms, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Hold points for new reports, post them when the case is closed, give them back when it is invalid.

    Each event carries all reports of the case, so a report whose hold is missing gets it at the close. Reopening takes
    nothing back: only an invalid case does. A kind that the catalogue lacks is refused as `unknown_kind`.
    """
    rules: list[Rule] | None = None
    steps: list[_Step] = []
    for cause, event in enumerate(events):
        case = event.data
        if case.state == "invalid":
            steps.append(_Step(cause, case, []))
            continue
        wanted = _wanted(case)
        if not wanted:
            continue
        kind = terms.catalogue.kind(case.kind, case.opened_at)
        if kind is None:
            work.reject(event, "unknown_kind", f"the catalogue has no kind {case.kind!r}")
            continue
        rules = rules or await store.rules(work.conn)
        steps.append(_Step(cause, case, [_claim(terms, rules, case, kind, place) for place in wanted]))
    if not steps:
        return
    claims = [claim for step in steps for claim in step.claims]
    invalid = [report for step in steps if not step.claims for report in step.case.reports]
    book = await store.open_book(
        work.conn,
        {claim.rider_id for claim in claims} | {report.rider_id for report in invalid},
        {claim.report_id for claim in claims} | {report.report_id for report in invalid},
        {(claim.rider_id, claim.on) for claim in claims},
    )
    for step in steps:
        _take(book, step)
    await _save(work, book, events)


async def follow_redemptions(work: Work, events: Sequence[Event[RedemptionChanged]]) -> None:
    """Reserve a requested redemption's price or refuse it, pay it when used, give it back when it comes to nothing."""
    priced = [(cause, event.data) for cause, event in enumerate(events) if event.data.price > 0]
    priced = [(cause, redemption) for cause, redemption in priced if redemption.state != "issued"]
    if not priced:
        return
    book = await store.open_book(work.conn, {r.rider_id for _, r in priced}, {r.redemption_id for _, r in priced})
    for cause, redemption in priced:
        if redemption.state in ("requested", "used"):
            book.spend(redemption.redemption_id, redemption.rider_id, redemption.price, cause)
        if redemption.state == "used":
            book.post(redemption.redemption_id, cause)
            if book.holds[redemption.redemption_id].state != "posted":
                work.reject(events[cause], "unpaid_voucher", "a voucher was used whose points are not held")
        elif redemption.state != "requested":
            absent = Hold(redemption.redemption_id, "redemption", redemption.rider_id, None, None, "", 0, "voided")
            book.void(absent, redemption.reason or redemption.state, cause)
    await _save(work, book, events)


async def follow_riders(work: Work, events: Sequence[Event[RiderChanged]]) -> None:
    """Keep who may spend."""
    newest: dict[UUID, tuple[bool, int]] = {}
    for event in events:
        if event.version > newest.get(event.data.rider_id, (True, 0))[1]:
            newest[event.data.rider_id] = (event.data.active, event.version)
    await store.project_riders(work.conn, [(rider, *state) for rider, state in newest.items()])


async def reverse(work: Work, hold_id: UUID, reason: str) -> None:
    """Take posted points of a report back.

    Raises:
        ApiProblem: 404 no such hold; 409 `not_reversible` with its state, where nothing is posted to take back.
    """
    seen = await store.hold(work.conn, hold_id)
    if seen is None:
        raise not_found("hold")
    book = await store.open_book(work.conn, {seen.rider_id}, {hold_id})
    if not book.reverse(hold_id, reason, -1):
        hold = book.holds[hold_id]
        raise conflict(
            "not_reversible",
            "积分不能冲正 / Can't be reversed",
            "only posted points of a report can be taken back",
            state=hold.state,
            source=hold.source,
        )
    await _save(work, book, ())


async def set_rule(work: Work, rule: Rule) -> None:
    """Append a rule.

    Raises:
        ApiProblem: 409 `rule_moved_on` when `rule.version` isn't the next one or its instant is taken.
    """
    if not await store.add_rule(work.conn, rule, work.now):
        current = (await store.rules(work.conn))[-1]
        raise conflict("rule_moved_on", "规则已被他人修改 / Rules have changed", current_version=current.version)


def _wanted(case: CaseChanged) -> Sequence[int]:
    """Places in the case's list of reports that this event may hold points for."""
    if case.state == "closed" or case.transition == "opened":
        return range(len(case.reports))
    if case.transition == "attached":
        return [at for at, report in enumerate(case.reports) if report.report_id == case.attached_report]
    return ()


def _claim(terms: Terms, rules: Sequence[Rule], case: CaseChanged, kind: Kind, place: int) -> Claim:
    report: CaseReport = case.reports[place]
    # a co-report counts for the day it was attached; one first heard of at the close, for the day the case was opened
    at: datetime = case.opened_at if place == 0 or case.transition != "attached" else case.changed_at
    rule = rule_at(rules, at)
    riders = [other.rider_id for other in case.reports[: place + 1]]
    amount, refusal = share(riders, place, kind.points, kind.co_reporter_percent, rule)
    on = at.astimezone(terms.zone).date()
    return Claim(report.report_id, report.rider_id, case.case_id, case.grid_code, case.kind, amount, on, refusal, rule)


def _take(book: Book, step: _Step) -> None:
    case = step.case
    if case.state == "invalid":
        for report in case.reports:
            if not book.reverse(report.report_id, "case_invalid", step.cause):
                absent = Hold(report.report_id, "report", report.rider_id, case.case_id, None, case.kind, 0, "voided")
                book.void(absent, "case_invalid", step.cause)
        return
    for claim in step.claims:
        book.earn(claim, step.cause)
        if case.state == "closed":
            book.post(claim.report_id, step.cause)


async def _save(work: Work, book: Book, events: Sequence[Event[Any]]) -> None:
    entry_ids = await store.write_book(work.conn, book, work.now)
    for movement, entry_id in zip(book.movements, entry_ids, strict=True):
        cause = events[movement.cause] if movement.cause >= 0 else None
        work.publish(ACCOUNT_CHANGED, _told(movement, entry_id, cause, work.now), version=movement.version, cause=cause)
        if cause is not None and movement.name == "posted" and movement.hold.source == "report":
            metrics.TIME_TO_POSTED.observe((work.now - cause.data.changed_at).total_seconds())
    for (name, source), count in Counter((m.name, m.hold.source) for m in book.movements).items():
        metrics.MOVEMENTS.labels(name, source).inc(count)
    for reason, count in Counter(m.reason for m in book.movements if m.name == "refused").items():
        metrics.REFUSALS.labels(reason or "").inc(count)


def _told(movement: Movement, entry_id: UUID, cause: Event[Any] | None, now: datetime) -> AccountChanged:
    hold = movement.hold
    # a case may have moved to another grid since its points were held
    grid_code = cause.data.grid_code if cause is not None and hold.source == "report" else hold.grid_code
    return AccountChanged(
        rider_id=hold.rider_id,
        entry_id=entry_id,
        movement=movement.name,
        source=hold.source,
        source_id=hold.id,
        case_id=hold.case_id,
        grid_code=grid_code,
        amount=movement.amount,
        reason=movement.reason,
        pending=movement.pending,
        available=movement.available,
        changed_at=now,
    )
