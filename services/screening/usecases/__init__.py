"""Keep what was found, raise suspicions and publish them: in the caller's transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from services.screening import metrics, problems
from services.screening.domain import Finding, Limits, State
from services.screening.store import suspicions as store
from services.screening.store.suspicions import Added, NewFinding, Suspect, Suspicion
from shared.events.suspicion_changed import SUSPICION_CHANGED, SuspicionChanged
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found


async def record(work: Work, found: Iterable[Finding], limits: Limits) -> None:
    """Enter findings, each once, and raise the suspicions whose score has reached the limit. Few statements: none where
    nothing was found, and one where it is all known, as with most of what a window shows again and again.
    """
    once = {(one.report_id, one.reason): one for one in found if one.score > 0}
    if not once:
        return
    known = await store.known(work.conn, [*{report_id for report_id, _ in once}])
    ordered = [once[key] for key in sorted(once) if key not in known]
    if not ordered:
        return
    riders = {one.report_id: one.rider_id for one in ordered}
    await store.lock(work.conn, [Suspect(*item) for item in sorted(riders.items())], work.now)
    new = await store.enter(work.conn, [_row(one, work.now) for one in ordered])
    if not new:
        return
    sums: dict[UUID, int] = {}
    for entered in new:
        sums[entered.report_id] = sums.get(entered.report_id, 0) + entered.score
        metrics.FINDINGS.labels(entered.reason).inc()
    added = [Added(*item) for item in sorted(sums.items())]
    present = await store.add(work.conn, added, limits.raise_at, work.now)
    await _publish(work, [one for one in present if one.state == "raised" and one.changed_at == work.now])


async def decide(work: Work, reports: Sequence[UUID], state: State, by: str, note: str) -> list[Suspicion]:
    """Clear suspicions or confirm them; those that were decided before stay as they are. As they are now, by report.

    Raises:
        Refusal: `not_found` where one of the reports is under no suspicion.
    """
    there = await store.of(work.conn, reports)
    if {one.report_id for one in there if one.state != "watched"} != set(reports):
        raise not_found("suspicion")
    changed = {one.report_id: one for one in await store.decide(work.conn, reports, state, work.now, by, note)}
    await _publish(work, list(changed.values()))
    metrics.DECISIONS.labels(state).inc(len(changed))
    return [changed.get(one.report_id, one) for one in there]


async def set_limits(work: Work, limits: Limits) -> None:
    """Append thresholds.

    Raises:
        Refusal: `limits_moved_on` when the version isn't the next one or the instant is taken.
    """
    if not await store.add_limits(work.conn, limits, work.now):
        raise problems.LIMITS_MOVED_ON(current_version=await store.last_limits(work.conn))


async def measure(conn: Connection) -> None:
    """Show how many suspicions wait for somebody, and for how long the oldest."""
    metrics.OPEN.set((await store.tallies(conn))["raised"])
    metrics.OLDEST.set(await store.oldest_age_s(conn))


async def _publish(work: Work, changed: Sequence[Suspicion]) -> None:
    if not changed:
        return
    found = await store.findings(work.conn, [one.report_id for one in changed])
    for one in changed:
        reasons = tuple(finding.reason for finding in found.get(one.report_id, ()))
        body = SuspicionChanged.model_validate(
            {
                "report_id": one.report_id, "rider_id": one.rider_id, "state": one.state, "reasons": reasons,
                "changed_at": one.changed_at,
            }
        )  # fmt: skip
        work.publish(SUSPICION_CHANGED, body, version=one.version)


def _row(one: Finding, now: datetime) -> NewFinding:
    return NewFinding(
        one.report_id, one.reason, one.score, one.measured, one.allowed, one.span, one.other_report, one.other_rider,
        one.other_person, now,
    )  # fmt: skip
