"""The community judges finished work; points are asked for what is approved, and asked back where that is overturned.

Who judges what another has judged is another person: statements say so, and constraints.
"""

from collections.abc import Callable
from uuid import UUID

from services.tasks import metrics, problems
from services.tasks.domain import Claim, ClaimState, Moves, Task
from services.tasks.settings import Settings
from services.tasks.store import claims, deeds, tasks
from services.tasks.store.deeds import Deed
from services.tasks.usecases.claiming import locked
from services.tasks.usecases.saying import notify, say
from shared.events.deed_done import DEED_DONE, DeedDone
from shared.events.task_claim_changed import ClaimNews
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found

Covers = Callable[[str], bool]
"""Whether the caller answers for an area."""


async def review(work: Work, id_: UUID, by: str, covers: Covers, *, approved: bool, reason: str) -> Claim:
    """Approve or reject finished work. Again in the same words by the same person: the same answer.

    Raises:
        Refusal: no such claim in the caller's areas; `claim_moved_on` with its state.
    """
    task, found = await _covered(work, id_, covers)
    state: ClaimState = "approved" if approved else "rejected"
    if (found.state, found.reviewed_by, found.reason, found.overturned_by) == (state, by, reason, None):
        return found
    made = await claims.review(work.conn, id_, state, by, reason)
    if made is None:
        raise problems.CLAIM_MOVED_ON(state=found.state)
    if approved:
        await _report(work, task, made)
    notify(work, task, made, "approved" if approved else "rejected", reason)
    metrics.REVIEWS.labels(made.state).inc()
    return made


async def overturn(work: Work, id_: UUID, by: str, covers: Covers, reason: str) -> Claim:
    """Reject approved work after all, as another person than who approved it: its points are asked back.

    Raises:
        Refusal: no such claim in the caller's areas; `judged_before`; `claim_moved_on`, also after an appeal.
    """
    task, found = await _covered(work, id_, covers)
    if (found.state, found.overturned_by) == ("rejected", by):
        return found
    if found.state == "approved" and by in found.has_judged:
        raise problems.JUDGED_BEFORE()
    made = await claims.overturn(work.conn, id_, by, reason)
    if made is None:
        raise problems.CLAIM_MOVED_ON(state=found.state)
    await _withdraw(work, task, made, reason)
    notify(work, task, made, "overturned", reason)
    metrics.REVIEWS.labels("overturned").inc()
    return made


async def appeal(settings: Settings, work: Work, id_: UUID, rider_id: UUID, words: str) -> Claim:
    """The rider appeals, once, within days of the rejection. Again: the same answer.

    Raises:
        Refusal: no such claim of the rider; `appeal_over` with its state.
    """
    _, found = await locked(work, id_, rider_id)
    if found.appeal_open:
        return found
    made = await claims.appeal(work.conn, id_, words, settings.appeal_days)
    if made is None:
        raise problems.APPEAL_OVER(state=found.state)
    return made


async def decide(work: Work, id_: UUID, by: str, covers: Covers, *, granted: bool, reason: str) -> Claim:
    """Decide on an appeal, as somebody who has not judged this work before; that is the end of it.

    Raises:
        Refusal: no such claim in the caller's areas; `judged_before`; `claim_moved_on` where no appeal is open.
    """
    task, found = await _covered(work, id_, covers)
    if found.appeal_decided_by == by and (found.state == "approved") is granted and found.reason == reason:
        return found
    if not found.appeal_open:
        raise problems.CLAIM_MOVED_ON(state=found.state)
    if by in found.has_judged:
        raise problems.JUDGED_BEFORE()
    made = await claims.decide(work.conn, id_, "approved" if granted else "rejected", by, reason)
    assert made is not None, "it is locked, and was looked at"
    if granted:
        await _report(work, task, made)
    news: ClaimNews = "appeal_granted" if granted else "appeal_refused"
    notify(work, task, made, news, reason)
    metrics.REVIEWS.labels(news).inc()
    return made


async def _covered(work: Work, id_: UUID, covers: Covers) -> tuple[Task, Claim]:
    task, found = await locked(work, id_)
    if not covers(task.area_code):
        raise not_found("claim")
    return task, found


async def _report(work: Work, task: Task, claim: Claim) -> None:
    """Ask points for approved work: a new deed each time, since one that was withdrawn never comes back."""
    assert claim.finished_at is not None, "only finished work is reviewed"
    deed = Deed(new_id(), claim.id, claim.rider_id, task.kind, task.area_code, task.points, claim.finished_at, work.now)
    await deeds.add(work.conn, deed)
    say(work, await tasks.move(work.conn, task.id, Moves(approved=1)))
    _publish(work, deed)


async def _withdraw(work: Work, task: Task, claim: Claim, reason: str) -> None:
    deed = await deeds.withdraw(work.conn, claim.id)
    assert deed is not None, "what was approved has one"
    say(work, await tasks.move(work.conn, task.id, Moves(approved=-1)))
    _publish(work, deed, reason)


def _publish(work: Work, deed: Deed, withdrawn: str | None = None) -> None:
    body = DeedDone(
        deed_id=deed.deed_id,
        state="done" if withdrawn is None else "withdrawn",
        action=deed.action,
        rider_id=deed.rider_id,
        area_code=deed.area_code,
        quantity=deed.quantity,
        done_at=deed.done_at,
        confirmed_by=deed.area_code,
        reason=withdrawn or "",
        changed_at=work.now,
    )
    work.publish(DEED_DONE, body, version=1 if withdrawn is None else 2, service="tasks")
