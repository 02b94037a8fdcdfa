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
