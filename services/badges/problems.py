"""What badges refuses with."""

from shared.kit.refusals import Member, Problem

THRESHOLD_IN_THE_PAST = Problem(
    "threshold_in_the_past", 422, zh="门槛不能追溯", en="A threshold can't begin in the past",
    next_zh="effective_from 不早于现在；留空即立即生效。",
    next_en="Let effective_from not be before now; left out, it holds at once.",
)  # fmt: skip
THRESHOLD_MOVED_ON = Problem(
    "threshold_moved_on", 409, zh="门槛已被他人修改", en="The threshold has changed",
    next_zh="重新读取 current_version 的门槛后再提交。",
    next_en="Read the threshold's `current_version`, then send the change again.",
    members=(Member("current_version", int, "the present version"),),
)  # fmt: skip
