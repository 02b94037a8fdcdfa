"""Who reports with whom, and who verifies whom."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.screening.domain import Finding, Limits, Pair, Reason, is_ring, limits_at, often, quick
from services.screening.store import cases as store
from services.screening.store import suspicions
from services.screening.store.cases import Bound, Meeting, Partners, Verdict
from services.screening.usecases import record
from shared.events.case_changed import CaseChanged
from shared.kit.messaging.work import Event, Work

FIRST_REPORTERS = 8
"""Of a case; whoever comes later earns nothing, however many they are."""


async def follow_cases(work: Work, events: Sequence[Event[CaseChanged]]) -> None:
    """Compare who meets in cases, and who verifies them, with what is usual. Steps that say neither cost nothing."""
    limits = limits_at(await suspicions.limits(work.conn), work.now)
    met, verdicts = _meetings(events), _verdicts(events)
    found: list[Finding] = []
    if met:
        await store.meet(work.conn, met)
        found += await _rings(work, [*{one.case_id for one in met}], limits)
    if verdicts:
        await store.keep_verdicts(work.conn, [verdicts[case_id] for case_id in sorted(verdicts)])
        found += await _pairs(work, list(verdicts), limits)
    await record(work, found, limits)


def _meetings(events: Sequence[Event[CaseChanged]]) -> list[Meeting]:
    return [
        Meeting(case.case_id, report.rider_id, report.report_id, case.changed_at)
        for case in (event.data for event in events)
        if (report := case.report) is not None and case.transition != "repeated" and report.ordinal <= FIRST_REPORTERS
    ]


def _verdicts(events: Sequence[Event[CaseChanged]]) -> dict[UUID, Verdict]:
    """One row a case: what these events say of its first reporter and of who verified it."""
    rows: dict[UUID, Verdict] = {}
    for event in sorted(events, key=lambda event: event.version):
        case = event.data
        if case.transition not in ("opened", "verified"):
            continue
        row = rows.setdefault(case.case_id, Verdict(case.case_id, case.grid_code, case.opened_at))
        if case.transition == "opened" and case.report is not None:
            row.rider_id, row.report_id = case.report.rider_id, case.report.report_id
        elif case.transition == "verified" and case.actor is not None:
            row.verified_by, row.verified_at = case.actor.id, case.changed_at
    return rows


async def _rings(work: Work, case_ids: Sequence[UUID], limits: Limits) -> list[Finding]:
    since = work.now - timedelta(days=limits.ring_days)
    met = await store.together(work.conn, case_ids, since, limits.ring_cases) if limits.ring_score else []
    shared = {
        frozenset((two.one, two.other)): two for two in met if is_ring(two.shared, two.of_one, two.of_other, limits)
    }
    if not shared:
        return []
    reports = await store.linked(work.conn, [Partners(two.one, two.other) for two in shared.values()], since)
    return [
        Finding(
            one.report_id, one.rider_id, "ring", limits.ring_score,
            shared[frozenset((one.rider_id, one.other_rider))].shared, limits.ring_cases, limits.ring_days,
            other_rider=one.other_rider,
        )
        for one in reports
    ]  # fmt: skip


async def _pairs(work: Work, case_ids: Sequence[UUID], limits: Limits) -> list[Finding]:
    if not limits.looks_at_verifiers:
        return []
    since = work.now - timedelta(days=limits.pair_days)
    least = min(limits.pair_cases, limits.quick_cases)
    soon = timedelta(minutes=limits.quick_minutes)
    found: dict[tuple[UUID, str], list[tuple[Reason, int, int, int]]] = {}
    for pair in await store.pairs(work.conn, case_ids, since, soon, least):
        if said := _of_pair(pair, limits):
            found[pair.rider_id, pair.verified_by] = said
    if not found:
        return []
    return [
        Finding(
            one.report_id, one.rider_id, reason, score, measured, usual, limits.pair_days,
            other_person=one.verified_by,
        )
        for one in await store.verified(work.conn, [Bound(*key) for key in found], since)
        for reason, score, measured, usual in found[one.rider_id, one.verified_by]
    ]  # fmt: skip


def _of_pair(pair: Pair, limits: Limits) -> list[tuple[Reason, int, int, int]]:
    said: list[tuple[Reason, int, int, int]] = []
    if limits.pair_score and (share := often(pair, limits)) is not None:
        said.append(("verifier_often", limits.pair_score, share, 100 * pair.near_by_them // pair.near))
    if limits.quick_score and (share := quick(pair, limits)) is not None:
        said.append(("verifier_quick", limits.quick_score, share, 100 * pair.others_quick // pair.others))
    return said
