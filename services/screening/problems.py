"""What screening refuses with."""

from shared.kit.refusals import Member, Problem

LIMITS_IN_THE_PAST = Problem(
    "limits_in_the_past", 422, zh="阈值不能追溯", en="Limits can't begin in the past",
    next_zh="effective_from 不早于现在；留空即立即生效。",
    next_en="Let effective_from not be before now; left out, the limits hold at once.",
)  # fmt: skip
LIMITS_MOVED_ON = Problem(
    "limits_moved_on", 409, zh="阈值已被他人修改", en="Limits have changed",
    next_zh="读取 current_version 的阈值后重新提交。",
    next_en="Read the limits up to `current_version`, then send the change again.",
    members=(Member("current_version", int, "the present version"),),
)  # fmt: skip
