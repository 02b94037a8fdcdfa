"""Riders redeem and read their vouchers; merchants verify them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import Response
from pydantic import Field

from services.rewards import problems
from services.rewards.api.parameters import LAST_ID, merchant_id
from services.rewards.api.redeeming import Redeemed, RedemptionOut, WishMade
from services.rewards.domain import QR_PREFIX, shown
from services.rewards.settings import Settings
from services.rewards.store import merchants, redemptions
from services.rewards.usecases import redemptions as usecases
from services.rewards.usecases import vouchers
from services.rewards.usecases.redemptions import Desk
from services.rewards.usecases.vouchers import Counter, Verdict
from shared.events.outside import Code, Words
from shared.kit.auth import AnyOf, Caller, CityOperator, Merchant, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.qr import qr_svg
from shared.kit.postgres.batcher import Batcher
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found, too_many
from shared.kit.refusals import Refusal
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["redemptions"])


class WishIn(Body):
    """What a wish needs besides the offer: nothing, or an hour."""

    slot_id: UUID | None = Field(None, description="of an offer by appointment: one of its slots")


class FulfilmentIn(Body):
    """How far goods are that are brought."""

    state: Literal["sent", "ready"]


class UndoIn(Body):
    """Why a voucher's use is undone: kept, and shown to its rider."""

    reason: Words = Field(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f]*$")


class UndoneOut(RedemptionOut):
    """With who undid it."""

    undone_by: str


class VoucherOut(RedemptionOut):
    """With the code, while it can be used: for its rider only."""

    code: str | None = Field(description="XXXX-XXXX-XXXXX, to be read out")
    qr: str | None = Field(description="text of the QR code")
    qr_svg: str | None = Field(description="the QR code as a picture: SVG, without scripts or styles")


class CodeIn(Body):
    """What was typed or scanned."""

    code: Code = Field(min_length=1, max_length=80)


class VerifiedOut(Answer):
    """The gift to hand over."""

    redemption_id: UUID
    offer_id: UUID
    offer_name: str
    price: int
    used_at: datetime


@router.post(
    "/v1/offers/{offer_id}/redeem",
    status_code=201,
    response_model=RedemptionOut,
    tags=["offers"],
)
@allow(
    Rider,
    body_max=1_000,
    refuses=(
        NOT_FOUND,
        problems.MERCHANT_INACTIVE,
        problems.OFFER_CLOSED,
        problems.NOT_VALID_NOW,
        problems.RIDER_QUOTA_USED,
        problems.DAY_QUOTA_USED,
        problems.RIDER_DAY_QUOTA_USED,
        problems.NOT_FOR_YOU,
        problems.LEVEL_TOO_LOW,
        problems.SLOT_NEEDED,
        problems.SLOT_OVER,
        problems.SLOT_FULL,
        problems.REDEMPTION_OPEN,
        problems.POINTS_MISSING,
        problems.SOLD_OUT,
    ),
    writes=True,
)
async def redeem(
    offer_id: UUID,
    caller: Caller,
    attempt: Idempotent,
    service: CurrentService,
    redeemer: Given[Batcher[WishMade, Redeemed]],
    settings: Given[Settings],
    body: WishIn | None = None,
) -> Response:
    """Reserve one piece. The state is `requested` until points answer; an offer without a price is `issued` at once."""
    if service.limiter is not None:
        await service.limiter.check(f"redeem:{caller.key}", per_minute=settings.redemptions_per_minute)
    answer = await redeemer.submit(WishMade(attempt, caller.rider_id, offer_id, body.slot_id if body else None))
    return answer.response()


@router.get("/v1/redemptions/me")
@allow(Rider)
async def read_mine(caller: Caller, conn: Reading, asked: Asked) -> Page[RedemptionOut]:
    """The caller's redemptions, newest first."""
    found = await redemptions.of_rider(conn, caller.rider_id, asked.after(UUID) or LAST_ID, asked.rows)
    return asked.page(found, RedemptionOut.of, lambda redemption: redemption.id)


@router.get("/v1/redemptions/{redemption_id}")
@allow(AnyOf(Rider, CityOperator), refuses=(NOT_FOUND,))
async def read_redemption(redemption_id: UUID, caller: Caller, conn: Reading, desk: Given[Desk]) -> VoucherOut:
    """One redemption; the code only for its own rider and while the voucher can be used."""
    found = await redemptions.redemption(conn, redemption_id)
    if found is None or not (caller.has("operator") or caller.is_self(found[0].rider_id)):
        raise not_found("redemption")
    redemption, sealed = found
    code = None
    if redemption.state == "issued" and sealed is not None and caller.is_self(redemption.rider_id):
        code = desk.codes.open(redemption.id, sealed)
    public = RedemptionOut.of(redemption).model_dump()
    if code is None:
        return VoucherOut(**public, code=None, qr=None, qr_svg=None)
    qr = QR_PREFIX + code
    picture = qr_svg(qr, f"兑换码 / voucher {shown(code)}")
    return VoucherOut(**public, code=shown(code), qr=qr, qr_svg=picture)


@router.put("/v1/redemptions/{redemption_id}/fulfilment")
@allow(AnyOf(Merchant, CityOperator), refuses=(NOT_FOUND, problems.NOT_STAFF, problems.NOT_THE_NEXT_STEP), writes=True)
async def set_fulfilment(
    redemption_id: UUID, body: FulfilmentIn, caller: Caller, service: CurrentService
) -> RedemptionOut:
    """Goods that are brought: ordered → sent → ready, by their merchant; its voucher is taken when they are ready."""
    async with service.work() as work:
        found = await redemptions.redemption(work.conn, redemption_id)
        if found is None or not (caller.has("operator") or merchant_id(caller) == found[0].merchant_id):
            raise not_found("redemption")
        if not caller.has("operator") and not await merchants.may_take(work.conn, found[0].merchant_id, caller.id):
            raise problems.NOT_STAFF()
        made = await usecases.fulfil(work, redemption_id, body.state)
        if made is None:
            raise problems.NOT_THE_NEXT_STEP(state=found[0].state, fulfilment=found[0].fulfilment)
    return RedemptionOut.of(made)


@router.post("/v1/redemptions/{redemption_id}/cancel")
@allow(Rider, refuses=(NOT_FOUND, problems.NOT_CANCELLABLE, problems.ON_A_LIST), writes=True)
async def cancel(redemption_id: UUID, caller: Caller, service: CurrentService) -> RedemptionOut:
    """Give up a gift that was not fetched: piece and points come back. Again: the same answer."""
    async with service.work() as work:
        done = await usecases.cancel(work, redemption_id, caller.rider_id)
    return RedemptionOut.of(done)


@router.post("/v1/redemptions/{redemption_id}/undo")
@allow(
    CityOperator,
    body_max=2_000,
    refuses=(
        NOT_FOUND,
        problems.NOT_UNDOABLE,
    ),
    writes=True,
)
async def undo(
    redemption_id: UUID, body: UndoIn, caller: Caller, service: CurrentService, settings: Given[Settings]
) -> UndoneOut:
    """Undo a voucher's use that was pressed by mistake: piece and points come back. Again: the same answer."""
    async with service.work() as work:
        done = await usecases.undo(work, redemption_id, masked(body.reason), caller.id, settings.undo_days_max)
    assert done.undone_by is not None, "an undone redemption names who did it"
    return UndoneOut(**RedemptionOut.of(done).model_dump(), undone_by=done.undone_by)


@router.post("/v1/vouchers/verify", tags=["vouchers"])
@allow(
    Merchant,
    body_max=1_000,
    refuses=(
        problems.NOT_STAFF,
        problems.UNKNOWN_CODE,
        problems.OTHER_MERCHANT,
        problems.CLOSED_NOW,
        problems.STATION_EMPTY,
        problems.NOT_READY,
        problems.VOUCHER_USED,
        problems.VOUCHER_EXPIRED,
        problems.VOUCHER_UNDONE,
    ),
    writes=True,
)
async def verify(body: CodeIn, caller: Caller, service: CurrentService, counter: Given[Counter]) -> VerifiedOut:
    """Take a voucher at the counter: once, by its own merchant, in time."""
    own_id = merchant_id(caller)
    async with service.work() as work:
        verdict = await vouchers.verify(counter, work, own_id, body.code, caller.id)
    # only now: a problem raised inside would roll the count of wrong codes back
    if verdict.outcome != "used":
        raise _refusal(verdict, counter.window_s)
    used = verdict.redemption
    assert used is not None, "a used voucher has its redemption"
    return VerifiedOut(
        redemption_id=used.id,
        offer_id=used.offer_id,
        offer_name=used.offer_name,
        price=used.price,
        used_at=used.ended_at or used.requested_at,
    )


def _refusal(verdict: Verdict, window_s: int) -> Refusal:
    if verdict.outcome == "too_many":
        return too_many(window_s)
    if verdict.outcome == "not_staff":
        return problems.NOT_STAFF()
    if verdict.outcome == "unknown_code":
        return problems.UNKNOWN_CODE()
    if verdict.outcome == "other_merchant":
        return problems.OTHER_MERCHANT()
    redemption = verdict.redemption
    assert redemption is not None, "the other outcomes have it"
    if verdict.outcome == "not_ready":
        return problems.NOT_READY(redemption_id=str(redemption.id))
    if verdict.outcome == "station_empty":
        return problems.STATION_EMPTY(redemption_id=str(redemption.id))
    if verdict.outcome == "closed_now":
        return problems.CLOSED_NOW(redemption_id=str(redemption.id))
    # what has a code was issued: it is used, undone or at its end by now
    state = "expired" if redemption.state == "issued" else redemption.state
    problem = {"used": problems.VOUCHER_USED, "undone": problems.VOUCHER_UNDONE}.get(state, problems.VOUCHER_EXPIRED)
    ended_at = redemption.ended_at.isoformat() if redemption.ended_at else None
    return problem(state=state, redemption_id=str(redemption.id), ended_at=ended_at)
