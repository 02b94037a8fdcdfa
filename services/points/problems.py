"""What points refuses with."""

from shared.kit import problems
from shared.kit.problems import ERRORS
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
RULES_FAULTY = Problem(
    "rules_faulty", 422, zh="规则文件有误", en="The file of rules has faults",
    next_zh="按 errors 逐行改正后重新提交；dry_run 为 true 时只检查。",
    next_en="Correct each line that `errors` names and send the file again; `dry_run` only checks.",
    members=(ERRORS,),
)  # fmt: skip
DEED_CONFLICT = Problem(
    "deed_conflict", 409, zh="同一编号的事项内容不同", en="The deed was reported otherwise before",
    next_zh="由上报的服务处理：先撤回原事项，再用新编号上报。",
    next_en="The service that reports it withdraws the first one and reports another deed under an id of its own.",
    same_number=False,
)  # fmt: skip
LEFT = Member("left", int, "points that can still be given or spent there")
BUDGET_SHORT = Problem(
    "budget_short", 409, zh="预算余额不足", en="The budget has less left",
    next_zh="减少分值，或请上级先追加预算；余额见 left。",
    next_en="Ask for fewer points, or let the office above add some first; `left` says how many there are.",
    members=(LEFT,),
)  # fmt: skip
BUDGET_OVERLAPS = Problem(
    "budget_overlaps", 409, zh="该区域在此期间已有预算", en="The area has a budget for some of these days",
    next_zh="追加到已有预算，或换一段时间。",
    next_en="Add points to the budget there is, or choose other days.",
)  # fmt: skip
BUDGET_NOTHING_WAITS = Problem(
    "budget_nothing_waits", 409, zh="没有等待预算的积分", en="No points wait for this budget",
    next_zh="无需处理。",
    next_en="There is nothing to decide.",
)  # fmt: skip
BUDGET_NOT_YOURS = Problem(
    "budget_not_yours", 403, zh="不能动用上级预算", en="The budget above is another office's",
    next_zh="请上级单位（最高一级为市级运营）设立或追加。",
    next_en="Ask the office above, for the topmost budget the city's operators, to make or fill it.",
)  # fmt: skip
BUDGET_DAYS = Problem(
    "budget_days", 422, zh="起止日期有误", en="The budget ends before it begins",
    next_zh="ends_on 是期后第一天，须晚于 begins_on。",
    next_en="Let ends_on, the first day that is no longer in it, be after begins_on.",
)  # fmt: skip
DRY_RUN_TOO_LONG = Problem(
    "dry_run_too_long", 422, zh="试算时段有误", en="Too many days, or none, for a dry run",
    next_zh="until 须晚于 first，且不超过 days_max 天。",
    next_en="Let until be after first, by `days_max` days at most.",
    members=(Member("days_max", int, "so many days at most"),),
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
    next_zh="批准或驳回由提出人以外的人办理，且不得为本人增减积分；撤回只能由提出人办理。",
    next_en="Let somebody else approve or refuse it, and nobody their own; only who proposed it withdraws it.",
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
