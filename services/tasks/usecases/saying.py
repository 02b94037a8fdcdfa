"""What leaves the service: a task's public state, and news for a claim's rider."""

from services.tasks.domain import Claim, Task
from shared.events.public_task_changed import PUBLIC_TASK_CHANGED, PublicTaskChanged, TaskState
from shared.events.task_claim_changed import TASK_CLAIM_CHANGED, ClaimNews, TaskClaimChanged
from shared.kit.messaging.work import Work


def say(work: Work, task: Task) -> None:
    """Publish a task's state, or that it is gone."""
    if task.left_topic:
        work.retire(PUBLIC_TASK_CHANGED, task.id, version=task.version)
        return
    state: TaskState = "paused" if task.state == "open" and task.paused else task.state
    body = PublicTaskChanged(
        task_id=task.id,
        state=state,
        kind=task.kind,
        title=task.title,
        area_code=task.area_code,
        starts_at=task.starts_at,
        ends_at=task.ends_at,
        capacity=task.capacity,
        points=task.points,
        taken=task.taken,
        waiting=task.waiting,
        approved=task.approved,
        changed_at=task.changed_at,
    )
    work.publish(PUBLIC_TASK_CHANGED, body, version=task.version)


def notify(work: Work, task: Task, claim: Claim, news: ClaimNews, reason: str = "") -> None:
    """Let the claim's rider hear of it."""
    body = TaskClaimChanged(
        claim_id=claim.id,
        task_id=task.id,
        rider_id=claim.rider_id,
        news=news,
        title=task.title,
        starts_at=task.starts_at,
        reason=reason,
        changed_at=work.now,
    )
    work.publish(TASK_CLAIM_CHANGED, body, version=claim.version)
