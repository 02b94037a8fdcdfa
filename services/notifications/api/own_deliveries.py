"""What a company sees of its webhook's deliveries, and how it has one sent again."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query
from pydantic import Field

from services.notifications import problems
from services.notifications.api.deliveries import AttemptOut
from services.notifications.api.webhooks import company_of
from services.notifications.domain import Attempt, DeliveryState
from services.notifications.settings import Settings
from services.notifications.store import company_deliveries, deliveries, webhooks
from services.notifications.store.company_deliveries import CompanyDelivery
from services.notifications.usecases import webhooks as usecases
from shared.events.common import CompanyCode
from shared.kit.auth import AnyOf, Caller, CityOperator, Company, allow, policy_router
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["webhooks"])


class OwnDeliveryOut(Answer):
    """A delivery with its body and every attempt. `delivery_id` is the `webhook-id` that it is sent with."""

    delivery_id: UUID
    type: str
    state: DeliveryState
    reason: str | None = Field(description="why the last attempt failed, or why it was given up")
    attempts: list[AttemptOut]
    next_attempt_at: datetime | None = Field(description="none: it is sent or dead")
    created_at: datetime
    finished_at: datetime | None
    payload: dict[str, Any]

    @classmethod
    def of(cls, one: CompanyDelivery, attempts: list[Attempt]) -> Self:
        """As it is shown."""
        return cls(
            delivery_id=one.delivery_id, type=str(one.params.get("type", "")), state=one.state, reason=one.reason,
            attempts=[AttemptOut.of(attempt) for attempt in attempts],
            next_attempt_at=one.next_attempt_at if one.finished_at is None else None,
            created_at=one.created_at, finished_at=one.finished_at, payload=dict(one.params),
        )  # fmt: skip


class SentAgainOut(Answer):
    """What is sent again, under the same `webhook-id`."""

    delivery_id: UUID


@router.get("/v1/webhooks/deliveries")
@allow(AnyOf(Company, CityOperator), refuses=(problems.COMPANY_MISSING,))
async def list_own_deliveries(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    state: DeliveryState = "dead",
    company: Annotated[CompanyCode | None, Query(description="whose, only from an operator")] = None,
) -> Page[OwnDeliveryOut]:
    """The webhook's deliveries of one state with body and attempts, oldest first: kept for 30 days after they ended."""
    hook = await webhooks.webhook(conn, company_of(caller, company))
    after = asked.after(datetime, UUID)
    found = await company_deliveries.listed(conn, hook.webhook_id, state, after, asked.rows) if hook else []
    attempts = await deliveries.attempts(conn, [one.delivery_id for one in found[: asked.limit]])
    return asked.page(
        found,
        lambda one: OwnDeliveryOut.of(one, attempts[one.delivery_id]),
        lambda one: (one.created_at, one.delivery_id),
    )


@router.post("/v1/webhooks/deliveries/{delivery_id}/retry", status_code=202)
@allow(Company, refuses=(NOT_FOUND, problems.NOT_DEAD))
async def send_delivery_again(
    delivery_id: UUID, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> SentAgainOut:
    """Send a delivery again that was given up or taken, with as many attempts as a new one, under the same webhook-id.
    A webhook that fails is tried again within seconds."""
    async with service.work() as work:
        state = await usecases.send_again(work, settings, caller.company_code, delivery_id)
    if state is None:
        raise not_found("delivery")
    if state in ("pending", "failed"):
        raise problems.NOT_DEAD(f"the delivery is {state}", state=state)
    return SentAgainOut(delivery_id=delivery_id)
