"""Deeds of any service become points: done, they are posted; withdrawn, they are taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

from services.points import problems
from services.points.domain import Book, Claim
from services.points.earning import judging
from services.points.earning.judging import Judgement
from services.points.earning.memory import Known
from services.points.earning.rules import Asked
from services.points.earning.terms import Terms
from services.points.store import budgets as budget_store
from services.points.store import deeds as store
from services.points.store import ledger
from services.points.store.deeds import Before, Deed
from services.points.usecases import Cause, save
from shared.events.deed_done import DeedDone
from shared.kit.messaging.work import Event, Work
from shared.kit.privacy.masking import masked_each

OLDEST = timedelta(days=45)
"""A deed that was done longer ago earns nothing: the caps of its day are known for 60 days."""
NEWEST = timedelta(hours=1)
"""What may lie in the future, since clocks differ."""


@dataclass(slots=True)
class _Step:
    """What one event does: a deed that earns, or one that is taken back."""

    cause: int
    withdrawn: bool
    judged: Judgement


async def follow_deeds(terms: Terms, work: Work, events: Sequence[Event[DeedDone]]) -> None:
    """Post what deeds earn by the rules of their day and place; take back what is withdrawn.

    The same deed earns once, however often it is reported. One that is reported otherwise than before, by another
    service, or under the id of something else, is refused as `deed_conflict` and changes nothing. An action that no
    rule knows is refused in the ledger, where its rider reads it.
    """
    known = await terms.memory.read(work.conn)
    steps = await _steps(terms, known, work, events)
    if not steps:
        return
    judged = [step.judged for step in steps if not step.withdrawn]
    leaving = [step.judged.claim.report_id for step in steps if step.withdrawn]
    # a budget may have been made since the deed was paid: its hold knows which one did
    also = await budget_store.of_holds(work.conn, leaving)
    await judging.lock_budgets(work.conn, known, judged, also)
    book = await ledger.open_book(
        work.conn,
        {step.judged.claim.rider_id for step in steps},
        {step.judged.claim.report_id for step in steps},
        judging.days_of(judged),
    )
    steps = [step for step in steps if not _is_anothers(work, book, step, events)]
    withdrawn: set[UUID] = set()
    going: list[Judgement] = []
    for step in steps:
        if step.withdrawn:
            withdrawn.add(step.judged.claim.report_id)
        elif step.judged.claim.report_id not in withdrawn:
            going.append(step.judged)
    await judging.admit(work.conn, book, going)
    # whatever a service lets people write there is for a rider's eyes, and goes out on topics
    said = await masked_each(events[step.cause].data.reason for step in steps)
    for step, reason in zip(steps, said, strict=True):
        _take(book, step, reason)
    await save(work, book, [Cause.of(event) for event in events], terms.why)


async def _steps(terms: Terms, known: Known, work: Work, events: Sequence[Event[DeedDone]]) -> list[_Step]:
    """The events that are no repetition and contradict nothing, in order."""
    deeds: dict[UUID, Deed] = {}
    for event in events:
        deeds.setdefault(event.data.deed_id, _deed(event))
    fresh = await store.enter(work.conn, list(deeds.values()), work.now)
    before = await store.before(work.conn, deeds.keys() - fresh)
    said = {id_: Before(id_, deed.fingerprint, False) for id_, deed in deeds.items()} | before
    steps: list[_Step] = []
    leaving: set[UUID] = set()
    for cause, event in enumerate(events):
        data = event.data
        if fingerprint(event) != said[data.deed_id].fingerprint:
            work.reject(event, problems.DEED_CONFLICT("the deed was reported before, and otherwise"))
            continue
        if data.state == "withdrawn":
            leaving.add(data.deed_id)
        steps.append(_Step(cause, data.state == "withdrawn", _judged(terms, known, work, event)))
    await store.withdraw(work.conn, leaving)
    return steps


def _is_anothers(work: Work, book: Book, step: _Step, events: Sequence[Event[DeedDone]]) -> bool:
    """Whether a deed's id is that of a report or redemption; it is refused then."""
    hold = book.holds.get(step.judged.claim.report_id)
    if hold is None or hold.source == "deed":
        return False
    work.reject(events[step.cause], problems.DEED_CONFLICT("the deed's id is that of something else"))
    return True


def _take(book: Book, step: _Step, reason: str) -> None:
    claim = step.judged.claim
    if not step.withdrawn:
        if claim.report_id not in book.holds:
            book.earn(claim, step.cause)
            book.post(claim.report_id, step.cause)
    elif not book.reverse(claim.report_id, reason or "deed_withdrawn", step.cause):
        book.void(claim.hold(None), reason or "deed_withdrawn", step.cause)


def _judged(terms: Terms, known: Known, work: Work, event: Event[DeedDone]) -> Judgement:
    data = event.data
    rules = known.rules.at(data.done_at)
    asked = Asked(
        source="deed", line=terms.tree().line(data.area_code), what=data.action, at=data.done_at,
        on=data.done_at.astimezone(terms.zone).date(), grid=data.area_code, role=data.role or "",
        outcome=data.outcome or "", quantity=data.quantity,
    )  # fmt: skip
    found = rules.judge(asked)
    refusal = found.refusal
    if not work.now - OLDEST <= data.done_at <= work.now + NEWEST:
        refusal = "deed_too_old" if data.done_at < work.now else "deed_too_early"
    claim = Claim(
        report_id=data.deed_id, rider_id=data.rider_id, case_id=None, kind=data.action, amount=found.amount,
        on=asked.on, refusal=refusal, rule=found.rule, ordinal=None, company=None, source="deed",
        happened_at=data.done_at,
    )  # fmt: skip
    return Judgement(claim, asked, rules)


def _deed(event: Event[DeedDone]) -> Deed:
    data = event.data
    return Deed(
        deed_id=data.deed_id, service=service_of(event), fingerprint=fingerprint(event), rider_id=data.rider_id,
        action=data.action, area_code=data.area_code, quantity=data.quantity, role=data.role, outcome=data.outcome,
        done_at=data.done_at, confirmed_by=data.confirmed_by, withdrawn=data.state == "withdrawn",
    )  # fmt: skip


def service_of(event: Event[DeedDone]) -> str:
    """Who reports it: the topic is that service's alone."""
    return event.topic.partition(".")[0]


def fingerprint(event: Event[DeedDone]) -> bytes:
    """Of all that may not change under a deed's id, with the service that reports it."""
    data = event.data
    said = (
        service_of(event), data.action, data.rider_id, data.area_code, data.quantity, data.role, data.outcome,
        data.done_at.timestamp(), data.confirmed_by,
    )  # fmt: skip
    return blake2b("\x1f".join(map(repr, said)).encode(), digest_size=16).digest()
