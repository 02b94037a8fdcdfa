"""What an operator sees of deliveries, and what can be done about dead ones."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from services.notifications import problems
from services.notifications.domain import Attempt, Delivery, DeliveryState
from services.notifications.settings import Settings
from services.notifications.store import deliveries
from shared.kit.auth import Caller, CityOperator, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["deliveries"])
RETRY_MOST = 1_000


class AttemptOut(Answer):
    """One attempt. `status`: the HTTP status where there was one."""

    attempt: int
    at: datetime
    outcome: Literal["sent", "retry", "refused"]
    status: int | None
    duration_ms: int
    detail: str

    @classmethod
    def of(cls, one: Attempt) -> Self:
        """As it is shown."""
        return cls(
            attempt=one.attempt, at=one.at, outcome=one.outcome, status=one.status, duration_ms=one.duration_ms,
            detail=one.detail,
        )  # fmt: skip


class DeliveryOut(Answer):
    """A delivery without its content, with every attempt that was made."""

    delivery_id: UUID
    event_id: UUID
    lane: str
    target_id: UUID
    template: str
    state: DeliveryState
    reason: str | None
    attempts: list[AttemptOut]
    next_attempt_at: datetime
    created_at: datetime

    @classmethod
    def of(cls, one: Delivery, attempts: list[Attempt]) -> Self:
        """As it is shown."""
        return cls(
            delivery_id=one.delivery_id, event_id=one.event_id, lane=one.lane, target_id=one.target_id,
            template=one.template, state=one.state, reason=one.reason, next_attempt_at=one.next_attempt_at,
            created_at=one.created_at, attempts=[AttemptOut.of(attempt) for attempt in attempts],
        )  # fmt: skip


class RetryIn(Body):
    """The dead deliveries of one target, oldest first."""

    target_id: UUID


class RetriedOut(Answer):
    """How many deliveries were taken up again (at most 1,000 at once)."""

    retried: int = Field(ge=0)


@router.get("/v1/notifications/deliveries")
@allow(CityOperator)
async def list_deliveries(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    state: DeliveryState = "dead",
) -> Page[DeliveryOut]:
    """Deliveries of one state with their attempts, oldest first."""
    after = asked.after(datetime, UUID)
    found = await deliveries.listed(conn, state, after, asked.rows)
    attempts = await deliveries.attempts(conn, [one.delivery_id for one in found[: asked.limit]])
    return asked.page(
        found,
        lambda one: DeliveryOut.of(one, attempts[one.delivery_id]),
        lambda one: (one.created_at, one.delivery_id),
    )


@router.post("/v1/notifications/deliveries/{delivery_id}/retry", status_code=202)
@allow(
    CityOperator,
    refuses=(
        NOT_FOUND,
        problems.NOT_DEAD,
    ),
)
async def retry_delivery(
    delivery_id: UUID, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> RetriedOut:
    """Take a dead delivery up again, with as many attempts as a new one, under the same webhook-id."""
    async with service.work() as work:
        done = await deliveries.retry(work.conn, [delivery_id], work.now, settings.delivery_attempts_max)
        state = await deliveries.state(work.conn, delivery_id)
    if state is None:
        raise not_found("delivery")
    if not done:
        raise problems.NOT_DEAD(f"the delivery is {state}", state=state)
    return RetriedOut(retried=len(done))


@router.post("/v1/notifications/deliveries/retry", status_code=202)
@allow(CityOperator)
async def retry_target(body: RetryIn, caller: Caller, service: CurrentService, settings: Given[Settings]) -> RetriedOut:
    """Take up all dead deliveries of a webhook or channel."""
    async with service.work() as work:
        retried = await deliveries.retry_target(
            work.conn, body.target_id, work.now, settings.delivery_attempts_max, RETRY_MOST
        )
    return RetriedOut(retried=retried)
