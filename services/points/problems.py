"""What points refuses with."""

from shared.kit import problems
from shared.kit.refusals import Member, Problem

UNKNOWN_KIND = problems.UNKNOWN_KIND

NOT_REVERSIBLE = Problem(
    "not_reversible", 409, zh="积分不能冲正", en="Can't be reversed",
    next_zh="只有已入账的上报积分可以冲正：先查看其状态。",
    next_en="Only posted points of a report can be taken back; look at `state` and `source`.",
    members=(Member("state", str, "of the points"), Member("source", str, "what they are for")),
)  # fmt: skip
RULE_IN_THE_PAST = Problem(
    "rule_in_the_past", 422, zh="规则不能追溯", en="A rule can't begin in the past",
    next_zh="effective_from 不早于现在；留空即立即生效。",
    next_en="Let effective_from not be before now; left out, the rule holds at once.",
)  # fmt: skip
RULE_MOVED_ON = Problem(
    "rule_moved_on", 409, zh="规则已被他人修改", en="Rules have changed",
    next_zh="读取 current_version 的规则后重新提交。",
    next_en="Read the rules up to `current_version`, then send the change again.",
    members=(Member("current_version", int, "the present version"),),
)  # fmt: skip
UNPAID_VOUCHER = Problem(
    "unpaid_voucher", 409, zh="券没有对应的积分", en="No points are held for the voucher",
    next_zh="由平台运维对账：券已使用而积分没有冻结。",
    next_en="The operator reconciles: a voucher was used whose points are not held.",
)  # fmt: skip
KEY_REUSED = Problem(
    "key_reused", 409, zh="编号已用于另一笔", en="The id was used for something else",
    next_zh="由平台运维核对：同一编号带来了不同的骑手、商户或积分数。",
    next_en="The operator compares: the same id came with another rider, merchant or price.",
    same_number=False,
)  # fmt: skip
NOTHING_TO_ADJUST = Problem(
    "nothing_to_adjust", 422, zh="没有要调整的积分", en="Nothing to adjust",
    next_zh="amount 填正数（补发）或负数（扣回）。",
    next_en="Let `amount` be above 0, to give, or below, to take.",
)  # fmt: skip
TWO_PEOPLE = Problem(
    "two_people", 409, zh="须由另一人决定", en="Another person decides",
    next_zh="批准或驳回由提出人以外的人办理；撤回只能由提出人办理。",
    next_en="Let somebody else approve or refuse it; only who proposed it withdraws it.",
)  # fmt: skip
ADJUSTMENT_DECIDED = Problem(
    "adjustment_decided", 409, zh="该调整已有结论", en="It is decided already",
    next_zh="先查看其状态；仍需调整时另提一笔。",
    next_en="Look at its `state`; where something is still to be adjusted, propose it again.",
)  # fmt: skip
TOO_FEW_POINTS = Problem(
    "too_few_points", 409, zh="可用积分不足以扣回", en="There are fewer points to take",
    next_zh="按 available 另提一笔较小的调整。",
    next_en="Propose a smaller one, of at most `available`.",
    members=(Member("available", int, "what the rider has"),),
)  # fmt: skip
BAD_PERIOD = Problem(
    "bad_period", 422, zh="时间段无效", en="Bad period",
    next_zh="from 须早于 to，且不超过 detail 所示的天数。",
    next_en="Let `from` be before `to`, and no longer apart than `detail` says.",
)  # fmt: skip
NO_SEAL = Problem(
    "no_seal", 404, zh="尚无封存记录", en="Nothing is sealed yet",
    next_zh="账本每日封存一次：首次封存后再查。",
    next_en="The ledger is sealed once a day: ask again after the first seal that has the account.",
)  # fmt: skip
