"""What rewards refuses with."""

from uuid import UUID

from pydantic import AwareDatetime

from shared.kit import problems
from shared.kit.refusals import Member, Problem

FREE = Member("free", int, "how many pieces are free")
OF_A_VOUCHER = (
    Member("state", str, "of the voucher"),
    Member("redemption_id", UUID, "of the voucher"),
    Member("ended_at", AwareDatetime | None, "when it was used, undone or expired"),
)

IDEMPOTENCY_CONFLICT = problems.IDEMPOTENCY_CONFLICT

MERCHANT_INACTIVE = Problem(
    "merchant_inactive", 409, zh="商户已停止服务", en="The merchant is not active",
    next_zh="换一家商户的礼品。",
    next_en="Choose another merchant's offer.",
    members=(FREE,),
)  # fmt: skip
OFFER_CLOSED = Problem(
    "offer_closed", 409, zh="不再提供", en="No longer offered",
    next_zh="detail 说明原因：换一种礼品。",
    next_en="Choose another offer; `detail` says why this one is closed.",
    members=(FREE,),
)  # fmt: skip
NOT_VALID_NOW = Problem(
    "not_valid_now", 409, zh="不在有效期内", en="Not valid now",
    next_zh="在有效期内再兑换。",
    next_en="Redeem it within the offer's valid_from and valid_until.",
    members=(FREE,),
)  # fmt: skip
RIDER_QUOTA_USED = Problem(
    "rider_quota_used", 409, zh="您的名额已用完", en="Your quota is used",
    next_zh="每位骑手的名额有限：换一种礼品。",
    next_en="Choose another offer: each rider may have so many of this one.",
    members=(FREE,),
)  # fmt: skip
DAY_QUOTA_USED = Problem(
    "day_quota_used", 409, zh="今日名额已用完", en="Today's quota is used",
    next_zh="明天再试，或换一种礼品。",
    next_en="Try again tomorrow, or choose another offer.",
    members=(FREE,),
)  # fmt: skip
SOLD_OUT = Problem(
    "sold_out", 409, zh="已兑完", en="Sold out",
    next_zh="换一种礼品，或等待补货。",
    next_en="Choose another offer, or wait for new stock.",
    members=(FREE,),
)  # fmt: skip
REDEMPTION_OPEN = Problem(
    "redemption_open", 409, zh="上一次兑换尚未完成", en="Your last request is still open",
    next_zh="请先在 /v1/redemptions/me 查看上一次兑换的结果，再兑换同一种礼品。",
    next_en="Look at /v1/redemptions/me until the one you have asked for is issued or refused, then ask for another.",
    members=(FREE,),
)  # fmt: skip
POINTS_MISSING = Problem(
    "points_missing", 409, zh="积分不足", en="Too few points",
    next_zh="available 是刚才不足时的可用积分。换一种礼品；若积分刚到账，请一分钟后再试。",
    next_en="You had `available` when points refused you just now. Choose a cheaper offer; if points have just come, "
    "ask again in a minute.",
    members=(
        Member("price", int, "points that it costs"),
        Member("available", int, "points that the rider had lately"),
    ),
)  # fmt: skip
STOCK_MOVED_ON = Problem(
    "stock_moved_on", 409, zh="库存已变动", en="Stock has moved on",
    next_zh="按 current_version、held 和 sold 重新核算库存后再提交。",
    next_en="Count again with `current_version`, `held` and `sold`, and send the new total.",
    members=(
        Member("current_version", int, "the present version"),
        Member("held", int, "pieces that are held"),
        Member("sold", int, "pieces that are sold"),
    ),
)  # fmt: skip
BAD_PERIOD = Problem(
    "bad_period", 422, zh="时间段无效", en="Bad period",
    next_zh="from 须早于 to，且不超过 detail 所示的天数。",
    next_en="Let `from` be before `to`, and no longer apart than `detail` says.",
)  # fmt: skip
UNKNOWN_CODE = Problem(
    "unknown_code", 404, zh="券码无效", en="Unknown code",
    next_zh="请顾客出示当前券码并核对输入。",
    next_en="Compare what was entered with the voucher's code.",
)  # fmt: skip
OTHER_MERCHANT = Problem(
    "other_merchant", 409, zh="不是本店的券", en="Another merchant's voucher",
    next_zh="请顾客到发券的商户使用。",
    next_en="Send the customer to the merchant whose voucher it is.",
)  # fmt: skip
CLOSED_NOW = Problem(
    "closed_now", 409, zh="不在营业时间", en="Outside opening hours",
    next_zh="在营业时间内再核销。",
    next_en="Come back within the counter's opening hours; the voucher is still good.",
    members=(OF_A_VOUCHER[1],),
)  # fmt: skip
VOUCHER_USED = Problem(
    "voucher_used", 409, zh="券已使用", en="Already used",
    next_zh="该券不能再次使用，核销时间见 ended_at。",
    next_en="It can't be used again; `ended_at` says when it was.",
    members=OF_A_VOUCHER,
)  # fmt: skip
VOUCHER_EXPIRED = Problem(
    "voucher_expired", 409, zh="券已失效", en="No longer valid",
    next_zh="该券已失效，不能再使用；可重新兑换。",
    next_en="It can't be used any more; redeem the offer again.",
    members=OF_A_VOUCHER,
)  # fmt: skip
VOUCHER_UNDONE = Problem(
    "voucher_undone", 409, zh="券的核销已撤销", en="Its use was undone",
    next_zh="该券不能再使用；积分已退回，可重新兑换。",
    next_en="It can't be used any more: the points came back, redeem the offer again.",
    members=OF_A_VOUCHER,
)  # fmt: skip
NOT_UNDOABLE = Problem(
    "not_undoable", 409, zh="不能撤销", en="Can't be undone",
    next_zh="state 不是已核销，或核销已久：不再能撤销。",
    next_en="Only a voucher that was used lately can be undone; look at its `state`.",
    members=(OF_A_VOUCHER[0],),
)  # fmt: skip
