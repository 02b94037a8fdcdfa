"""What redeeming answers with, and that a repeated request gets its first answer: for a batch of requests at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID

from fastapi import Response
from pydantic import Field

from services.rewards import problems
from services.rewards.domain import Redemption
from services.rewards.store import keys
from services.rewards.usecases import redemptions
from services.rewards.usecases.redemptions import Desk, Wish
from shared.kit.auth.idempotency import Attempt, StoredResponse
from shared.kit.http.models import Answer
from shared.kit.messaging.work import Work
from shared.kit.refusals import Refusal


class RedemptionOut(Answer):
    """One rider's way to one gift. `requested`: the points are being held; a voucher follows in a moment."""

    redemption_id: UUID
    version: int
    offer_id: UUID
    merchant_id: UUID
    offer_name: str
    price: int
    state: Literal["requested", "issued", "used", "expired", "refused", "cancelled", "undone"]
    reason: str | None
    requested_at: datetime
    expires_at: datetime | None = Field(description="of an issued voucher")
    ended_at: datetime | None
    undone_at: datetime | None = Field(None, description="when an operator undid its use; `reason` says why")
    slot_id: UUID | None = Field(None, description="the hour that was agreed on")
    fulfilment: Literal["ordered", "sent", "ready"] | None = Field(
        None, description="of goods that are brought first: the voucher is taken when they are ready"
    )

    @staticmethod
    def of(redemption: Redemption) -> "RedemptionOut":
        """Without the code."""
        return RedemptionOut(
            redemption_id=redemption.id,
            version=redemption.version,
            offer_id=redemption.offer_id,
            merchant_id=redemption.merchant_id,
            offer_name=redemption.offer_name,
            price=redemption.price,
            state=redemption.state,
            reason=redemption.reason,
            requested_at=redemption.requested_at,
            expires_at=redemption.deadline_at if redemption.state == "issued" else None,
            ended_at=redemption.ended_at,
            undone_at=redemption.undone_at,
            slot_id=redemption.slot_id,
            fulfilment=redemption.fulfilment,
        )


@dataclass(frozen=True, slots=True)
class WishMade:
    """A wish with the request that it came in."""

    attempt: Attempt
    rider_id: UUID
    offer_id: UUID
    slot_id: UUID | None = None

    @property
    def key(self) -> keys.Key:
        """What makes a repetition recognisable."""
        return self.attempt.principal.key, self.attempt.key

    @property
    def wish(self) -> Wish:
        """What is wanted, however it came."""
        return Wish(self.rider_id, self.offer_id, self.slot_id)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Status and body of the response; `replayed`: it was given before."""

    status: int
    body: bytes
    replayed: bool

    def response(self) -> Response:
        """The same over HTTP."""
        if self.replayed:
            return StoredResponse(self.status, self.body).response()
        return Response(self.body, self.status, media_type="application/json")


async def redeem_once(desk: Desk, work: Work, made: Sequence[WishMade]) -> list[Redeemed | Exception]:
    """Many requests in one transaction; one answer each, in order. The first answer is kept with its key.

    Refusals: those of `usecases.redemptions.redeem`, whose keys are free again, and `idempotency_conflict`.
    """
    firsts = {one.key: one for one in reversed(made)}
    kept = await keys.claim(work.conn, {key: one.attempt.body_hash for key, one in firsts.items()})
    fresh = [one for one in dict.fromkeys(firsts[one.key] for one in made) if one.key not in kept]
    done = await redemptions.redeem(desk, work, [one.wish for one in fresh]) if fresh else []
    outcomes = {one.key: outcome for one, outcome in zip(fresh, done, strict=True)}
    answers = {key: _created(outcome) for key, outcome in outcomes.items() if isinstance(outcome, Redemption)}
    await keys.keep(work.conn, [(*key, answer.status, answer.body) for key, answer in answers.items()])
    await keys.free(work.conn, [key for key in outcomes if key not in answers])
    given: list[Redeemed | Exception] = []
    answered: set[keys.Key] = set()
    for one in made:
        before, outcome = kept.get(one.key), outcomes.get(one.key)
        if one.attempt.body_hash != (before or firsts[one.key].attempt).body_hash:
            given.append(problems.IDEMPOTENCY_CONFLICT("the key came with another request"))
        elif before is not None:
            given.append(Redeemed(before.status, before.body, True))
        elif isinstance(outcome, Refusal):
            given.append(outcome)
        else:
            answer = answers[one.key]
            given.append(answer if one.key not in answered else Redeemed(answer.status, answer.body, True))
            answered.add(one.key)
    return given


def _created(redemption: Redemption) -> Redeemed:
    return Redeemed(HTTPStatus.CREATED, RedemptionOut.of(redemption).model_dump_json().encode(), False)
