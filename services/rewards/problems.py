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
RIDER_DAY_QUOTA_USED = Problem(
    "rider_day_quota_used", 409, zh="您今日的名额已用完", en="Your quota of today is used",
    next_zh="明天再来，或换一种礼品。",
    next_en="Come back tomorrow, or choose another offer.",
    members=(FREE,),
)  # fmt: skip
NOT_FOR_YOU = Problem(
    "not_for_you", 409, zh="不对您所在的企业开放", en="For other companies' riders",
    next_zh="该礼品只提供给部分企业的骑手（见 companies）：换一种礼品。",
    next_en="Choose another offer: this one is for the riders of its `companies` alone.",
    members=(FREE,),
)  # fmt: skip
LEVEL_TOO_LOW = Problem(
    "level_too_low", 409, zh="等级不够", en="Your level is too low",
    next_zh="该礼品需要 least_level 级，您目前为 level 级（名称和门槛见 /v1/badges/thresholds 的 rank）：升级后再兑换，"
    "或换一种礼品；刚升级的，请稍后再试。",
    next_en="It takes the level whose `rank` in /v1/badges/thresholds is `least_level`, and yours is `level`: earn "
    "more points first, or choose another offer. If you have just risen, try again in a moment.",
    members=(
        FREE,
        Member("least_level", int, "the rank that it takes"),
        Member("level", int, "the rider's rank; 0: everybody's"),
    ),
)  # fmt: skip
SLOT_NEEDED = Problem(
    "slot_needed", 409, zh="请选择预约时段", en="Choose an hour",
    next_zh="在 /v1/offers/{id}/slots 选择一个时段，把它的 id 作为 slot_id 提交。",
    next_en="Choose one of /v1/offers/{id}/slots and send its id as `slot_id`.",
    members=(FREE,),
)  # fmt: skip
SLOT_OVER = Problem(
    "slot_over", 409, zh="该时段已开始", en="That hour has begun",
    next_zh="选择一个尚未开始的时段。",
    next_en="Choose an hour that has not begun.",
    members=(FREE,),
)  # fmt: skip
SLOT_FULL = Problem(
    "slot_full", 409, zh="该时段已约满", en="That hour is full",
    next_zh="选择另一个时段。",
    next_en="Choose another hour.",
    members=(FREE,),
)  # fmt: skip
SLOT_EXISTS = Problem(
    "slot_exists", 409, zh="已有该时段", en="There is such an hour",
    next_zh="同一礼品的时段开始时间不能相同，且该礼品须为预约制（by_appointment）。",
    next_en="Let hours of one offer begin at different times; the offer has to be `by_appointment`.",
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
APPLICATION_OPEN = Problem(
    "application_open", 409, zh="已有待审核的申请", en="Your last application still waits",
    next_zh="请先等待上一份申请的审核结果（见 /v1/merchants/applications）。",
    next_en="Wait until your last one is decided; see /v1/merchants/applications.",
)  # fmt: skip
ALREADY_REVIEWED = Problem(
    "already_reviewed", 409, zh="已审核", en="Decided already",
    next_zh="该商户的申请已有审核结果；如需停止服务，请用 closing。",
    next_en="This application has been decided; to end a merchant's offers, use its `closing`.",
)  # fmt: skip
NOT_STAFF = Problem(
    "not_staff", 403, zh="不在核销人员名单中", en="Not among the merchant's staff",
    next_zh="请运营人员把您加入该商户的核销人员名单。",
    next_en="Have an operator name you among those who take vouchers for this merchant.",
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
NOT_CANCELLABLE = Problem(
    "not_cancellable", 409, zh="不能取消", en="Can't be cancelled",
    next_zh="state 说明它已使用、过期或未成功：无须取消。",
    next_en="It has ended, see `state`: there is nothing to cancel.",
    members=(OF_A_VOUCHER[0],),
)  # fmt: skip
ON_A_LIST = Problem(
    "on_a_list", 409, zh="正在离线核销名单中", en="On a counter's offline list",
    next_zh="离线柜台可能已收下此券：待名单上传后再取消，或等它到期自动退回。",
    next_en="A counter without network may have taken it: cancel once its list is settled, or let it expire.",
)  # fmt: skip
STATION_EMPTY = Problem(
    "station_empty", 409, zh="本站已发完", en="This station has none left",
    next_zh="此券全市通兑：请到 /v1/offers/{id}/stations 中有库存的站点使用。",
    next_en="The voucher is good in the whole city: go to one of /v1/offers/{id}/stations that has some.",
    members=(OF_A_VOUCHER[1],),
)  # fmt: skip
STOCK_NOT_SET_HERE = Problem(
    "stock_not_set_here", 409, zh="库存不在此设置", en="The stock isn't set here",
    next_zh="通兑礼品的库存按站点设置（/v1/offers/{id}/stations/{merchant_id}）；不计库存的礼品无库存。",
    next_en="Set what each station has (/v1/offers/{id}/stations/{merchant_id}); what is not counted has no stock.",
)  # fmt: skip
STATION_MOVED_ON = Problem(
    "station_moved_on", 409, zh="站点库存已变动", en="The station's stock has moved on",
    next_zh="按站点当前的 version、sold 重新核算；礼品须为通兑，站点须已通过审核，且总数不少于已发出的券。",
    next_en="Count again with the station's `version` and `sold`. The offer has to be for the whole city, the station "
    "approved, and what is left no less than the vouchers that are out.",
)  # fmt: skip
LIST_SETTLED = Problem(
    "list_settled", 409, zh="名单已核对", en="The list is settled",
    next_zh="同一名单只能上传一次；补传请联系运营人员。",
    next_en="A list is uploaded once, whole; take what is missing to an operator.",
)  # fmt: skip
LISTS_OPEN = Problem(
    "lists_open", 409, zh="未上传的名单过多", en="Too many lists are open",
    next_zh="先上传已取走的名单（没有核销也要上传，count 为 0），再取新的。",
    next_en="Upload the lists that you have, also those from which nothing was taken (`count` 0), then fetch another.",
)  # fmt: skip
COUNT_DIFFERS = Problem(
    "count_differs", 422, zh="条数不符", en="The count differs",
    next_zh="count 须等于 items 的条数：请完整上传。",
    next_en="Let `count` be the number of `items`: upload all of them.",
)  # fmt: skip
MONTH_NOT_OVER = Problem(
    "month_not_over", 422, zh="该月尚未结束", en="The month is not over",
    next_zh="月末一小时后再结算。",
    next_en="Close it an hour after its end, or later.",
)  # fmt: skip
LEDGER_DIFFERS = Problem(
    "ledger_differs", 409, zh="与积分账本不符", en="The ledger differs",
    next_zh="redemption_ids 中的券，账本尚未记入或金额不同：稍后再试；仍不符时核对积分服务的死信和这些券的分录。",
    next_en="The ledger has not moved the points of `redemption_ids`, or others: try again later; where it stays so, "
    "look at the dead letters of points and at the entries of these vouchers.",
    members=(Member("redemption_ids", list[UUID], "vouchers of the month, at most fifty"),),
)  # fmt: skip
STATEMENT_MOVED_ON = Problem(
    "statement_moved_on", 409, zh="结算单状态不允许", en="The statement's state doesn't allow it",
    next_zh="state 是当前状态：已结算的可提异议或付款，有异议的先答复。",
    next_en="Look at its `state`: a closed one can be disputed or paid, a disputed one is answered first.",
    members=(Member("state", str, "of the statement"),),
)  # fmt: skip
NOT_READY = Problem(
    "not_ready", 409, zh="货品尚未到店", en="The goods are not here yet",
    next_zh="待货品到店（fulfilment 为 ready）后再核销。",
    next_en="Take the voucher once its goods are here: `fulfilment` is `ready` then.",
    members=(OF_A_VOUCHER[1],),
)  # fmt: skip
NOT_THE_NEXT_STEP = Problem(
    "not_the_next_step", 409, zh="不是下一步", en="Not the next step",
    next_zh="顺序为 ordered、sent、ready；券须仍有效，礼品须为需配送的。",
    next_en="The order is ordered, sent, ready; the voucher has to be good, and its offer delivered.",
    members=(OF_A_VOUCHER[0], Member("fulfilment", str | None, "how far its goods are")),
)  # fmt: skip
NO_COMPLAINT = Problem(
    "no_complaint", 409, zh="不能投诉", en="No complaint about it",
    next_zh="只能投诉您自己已核销、已过期或已撤销的券，且同一张券同时只有一条待处理的投诉。",
    next_en="Complain about a voucher of yours that was used, undone or has expired; one complaint at a time.",
)  # fmt: skip
COMPLAINT_ANSWERED = Problem(
    "complaint_answered", 409, zh="投诉已答复", en="The complaint is answered",
    next_zh="state 是答复的结果；骑手可再次投诉。",
    next_en="Look at its `state`; the rider may complain once more.",
    members=(Member("state", str, "of the complaint"),),
)  # fmt: skip
