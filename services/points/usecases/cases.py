"""Riders earn with the steps of cases; a verdict on a crowded case is carried out some holds at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.points import metrics, problems
from services.points.domain import Act, Book, CaseVerdict, Claim
from services.points.earning import judging
from services.points.earning.judging import Judgement
from services.points.earning.memory import Known
from services.points.earning.rules import Asked, reporter
from services.points.earning.terms import Terms
from services.points.store import cases as case_store
from services.points.store import ledger as store
from services.points.store.cases import Place, Settlement
from services.points.usecases import Cause, save
from shared.catalog import Kind
from shared.events.case_changed import CaseChanged, CaseReport
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection

SETTLED_AT_ONCE_MAX = 20
"""Holds of one case that are settled with the event; more are left to `settle`."""
SETTLED_PER_TRANSACTION = 500
ACTS: dict[str, Act] = {"closed": "post", "invalidated": "void"}
MOVES = frozenset({"claimed", "redispatched", "carried_over"})
"""Steps that may bring a case to another grid. (A claim settles which of the grids of an ambiguous place it is.)"""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one event of a case does to the ledger: a report's claim, or a verdict."""

    cause: int
    case_id: UUID
    judged: Judgement | None = None
    act: Act | None = None
    up_to: int = 0


async def follow_cases(terms: Terms, work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Hold points for new reports, post them when the case is closed, give them back when it is invalid.

    What is decided of a case is remembered, so that a report which is heard after its case's verdict meets it; and so
    is where the case has moved to.
    Reopening takes nothing back: only an invalid case does. A kind that the catalogue lacks is refused as
    `unknown_kind`.
    """
    known = await terms.memory.read(work.conn)
    steps = _steps(terms, known, work, events)
    places = _places(steps, events)
    verdicts = await case_store.lock(work.conn, places) if places else {}
    if not steps:
        return
    up_to: Counter[UUID] = Counter()
    for step in steps:
        if step.act is not None:
            up_to[step.case_id] = max(up_to[step.case_id], step.up_to)
    crowded, due = await _due(work, up_to)
    judged = [step.judged for step in steps if step.judged is not None]
    paying = (one.budget_id for one in due if one.budget_id is not None)
    await judging.lock_budgets(work.conn, known, judged, paying)
    book = await store.open_book(
        work.conn,
        {one.claim.rider_id for one in judged} | {one.rider_id for one in due},
        {one.claim.report_id for one in judged} | {one.hold_id for one in due},
        judging.days_of(judged),
    )
    await judging.admit(work.conn, book, _going(steps, verdicts))
    queued = [
        _settlement(events[step.cause], step)
        for step in steps
        if not _take(book, step, verdicts[step.case_id], step.case_id in crowded)
    ]
    await case_store.decide(work.conn, [(case_id, verdicts[case_id]) for case_id in up_to])
    await case_store.queue(work.conn, queued, work.now)
    await save(work, book, [Cause.of(event, event.data.grid_code) for event in events], terms.why)


async def settle(terms: Terms, work: Work) -> bool:
    """Carry a verdict on a crowded case out on its next holds. False: nothing waits that nobody else works on.

    What a later verdict voids is not posted first: it waits for that verdict's own settlement.
    """
    settlement = await case_store.next_settlement(work.conn)
    if settlement is None:
        return False
    after = settlement.settled_up_to
    if settlement.act == "post":
        after = max(after, await case_store.voided_up_to(work.conn, settlement.case_id))
    reach = (settlement.case_id, after, settlement.up_to)
    due = await case_store.to_settle(work.conn, [reach], SETTLED_PER_TRANSACTION)
    known = await terms.memory.read(work.conn)
    await judging.lock_budgets(work.conn, known, (), {one.budget_id for one in due if one.budget_id is not None})
    book = await store.open_book(work.conn, {one.rider_id for one in due}, {one.hold_id for one in due})
    book.settle(settlement.act, [one.hold_id for one in due], 0)
    if len(due) < SETTLED_PER_TRANSACTION:
        await case_store.settled(work.conn, settlement)
    else:
        await case_store.go_on(work.conn, settlement, due[-1].ordinal)
    await save(work, book, [Cause(settlement.traceparent, settlement.grid_code, settlement.changed_at)], terms.why)
    return True


async def measure_settlements(conn: Connection) -> None:
    """Show for how long the oldest verdict on a crowd has waited."""
    metrics.SETTLEMENT_AGE.set(await case_store.oldest_age_s(conn))


def _steps(terms: Terms, known: Known, work: Work, events: Sequence[Event[CaseChanged]]) -> list[_Step]:
    steps: list[_Step] = []
    for cause, event in enumerate(events):
        case = event.data
        if case.transition in ACTS:
            steps.append(_Step(cause, case.case_id, act=ACTS[case.transition], up_to=case.report_count))
        elif case.report is not None:
            kind = terms.catalogue.kind(case.kind, case.opened_at)
            if kind is None:
                work.reject(event, problems.UNKNOWN_KIND(f"the catalogue has no kind {case.kind!r}"))
                continue
            steps.append(_Step(cause, case.case_id, judged=_judged(terms, known, case, case.report, kind)))
    return steps


def _going(steps: Sequence[_Step], verdicts: Mapping[UUID, CaseVerdict]) -> list[Judgement]:
    """The claims that meet no verdict by which they are void: only those are counted and paid."""
    voided = {case_id: verdict.voided_up_to for case_id, verdict in verdicts.items()}
    going: list[Judgement] = []
    for step in steps:
        if step.act == "void":
            voided[step.case_id] = max(voided[step.case_id], step.up_to)
        elif step.judged is not None and step.judged.asked.ordinal > voided[step.case_id]:
            going.append(step.judged)
    return going


def _places(steps: Sequence[_Step], events: Sequence[Event[CaseChanged]]) -> dict[UUID, Place]:
    """Where the cases of these steps, and those that may have moved, are by the newest event of each."""
    concerned = {step.case_id for step in steps}
    concerned |= {event.data.case_id for event in events if event.data.transition in MOVES}
    places: dict[UUID, Place] = {}
    for event in events:
        case = event.data
        if case.case_id in concerned and (case.case_id not in places or places[case.case_id].version < event.version):
            places[case.case_id] = Place(event.version, case.grid_code)
    return places


async def _due(work: Work, up_to: Counter[UUID]) -> tuple[set[UUID], list[case_store.ToSettle]]:
    """Which of the cases with a verdict are settled later, and the stored holds of the others."""
    if not up_to:
        return set(), []
    crowded = await case_store.settling(work.conn, up_to)
    ranges = [(case_id, 0, ordinal) for case_id, ordinal in up_to.items() if case_id not in crowded]
    due = await case_store.to_settle(work.conn, ranges, SETTLED_AT_ONCE_MAX + 1) if ranges else []
    crowded |= {case_id for case_id, n in Counter(one.case_id for one in due).items() if n > SETTLED_AT_ONCE_MAX}
    return crowded, [one for one in due if one.case_id not in crowded]


def _take(book: Book, step: _Step, verdict: CaseVerdict, crowded: bool) -> bool:
    """Let a step take effect; False where that is left to `settle`."""
    if step.judged is not None:
        book.take(step.judged.claim, verdict, step.cause)
    elif step.act == "void":
        verdict.voided_up_to = max(verdict.voided_up_to, step.up_to)
    else:
        verdict.posted_up_to = max(verdict.posted_up_to, step.up_to)
    if step.act is None:
        return True
    if not crowded:
        book.settle(step.act, book.of_case(step.case_id, step.up_to), step.cause)
    return not crowded


def _judged(terms: Terms, known: Known, case: CaseChanged, report: CaseReport, kind: Kind) -> Judgement:
    at: datetime = case.changed_at
    rules = known.rules.at(at)
    asked = Asked(
        source="report", line=terms.tree().line(case.grid_code), what=case.kind, at=at,
        on=at.astimezone(terms.zone).date(), grid=case.grid_code, level=case.level, role=reporter(report.ordinal),
        ordinal=report.ordinal, points=kind.points, co_percent=kind.co_reporter_percent,
        repeated=case.transition == "repeated",
    )  # fmt: skip
    found = rules.judge(asked)
    claim = Claim(
        report_id=report.report_id, rider_id=report.rider_id, case_id=case.case_id, kind=case.kind,
        amount=found.amount, on=asked.on, refusal=found.refusal, rule=found.rule, ordinal=report.ordinal,
        company=report.company, happened_at=at,
    )  # fmt: skip
    return Judgement(claim, asked, rules)


def _settlement(event: Event[Any], step: _Step) -> Settlement:
    assert step.act is not None, "only a verdict is left to be settled"
    case = event.data
    return Settlement(
        step.case_id, event.version, step.act, step.up_to, 0, case.grid_code, case.changed_at, event.traceparent
    )
