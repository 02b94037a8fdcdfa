"""What tasks refuses with."""

from pydantic import AwareDatetime

from shared.kit.refusals import Member, Problem

STATE = Member("state", str, "its present state")
UNTIL = Member("until", AwareDatetime, "until when it is so")

TASK_NOT_OPEN = Problem(
    "task_not_open", 409, zh="任务已不开放", en="The task is not open",
    next_zh="换一个任务。",
    next_en="Choose another task.",
    members=(STATE,),
)  # fmt: skip
TASK_BEGUN = Problem(
    "task_begun", 409, zh="任务已经开始", en="The task has begun",
    next_zh="任务开始后不能再认领：换一个任务。",
    next_en="Choose another task: one that has begun can't be claimed.",
)  # fmt: skip
WEATHER_ALARM = Problem(
    "weather_alarm", 409, zh="天气预警，任务暂停", en="A weather alarm holds",
    next_zh="预警解除后再试；words_zh 是社区的说明。",
    next_en="Try again when the alarm is over; `words_en` is what the city says of it.",
    members=(
        UNTIL, Member("words_zh", str, "what the city says of it"), Member("words_en", str, "the same in English"),
    ),
)  # fmt: skip
TASK_FULL = Problem(
    "task_full", 409, zh="名额已满", en="The task is full",
    next_zh="换一个任务；候补名单开放时可用 wait 排队。",
    next_en="Choose another task, or send `wait` while there is a waiting list.",
)  # fmt: skip
ALREADY_CLAIMED = Problem(
    "already_claimed", 409, zh="您已认领该任务", en="You have claimed this task",
    next_zh="在“我的任务”里查看。",
    next_en="Look at your own claims.",
)  # fmt: skip
NOT_OF_AGE = Problem(
    "not_of_age", 409, zh="未成年人不能认领任务", en="Tasks are for adults alone",
    next_zh="只有声明已成年的骑手可以认领（of_age）。",
    next_en="Only riders who declare that they are of age may claim (`of_age`).",
)  # fmt: skip
CLAIMS_PAUSE = Problem(
    "claims_pause", 409, zh="多次未到场，暂停认领", en="Too many tasks were missed",
    next_zh="到 until 之后再认领；去不了请提前交还名额。",
    next_en="Claim again after `until`; hand a place back in time when you can't come.",
    members=(UNTIL,),
)  # fmt: skip
NOT_IN_TEAM = Problem(
    "not_in_team", 409, zh="不是该队成员", en="Not a member of the team",
    next_zh="先加入该队，或换一个任务。",
    next_en="Join the team first, or choose another task.",
)  # fmt: skip
HAND_BACK_OVER = Problem(
    "hand_back_over", 409, zh="已过交还时间", en="Too late to hand it back",
    next_zh="until 之前才能交还：请到场，或联系社区。",
    next_en="Come, or call the community: a place can be handed back before `until` alone.",
    members=(UNTIL,),
)  # fmt: skip
CLAIM_MOVED_ON = Problem(
    "claim_moved_on", 409, zh="认领的状态已变化", en="The claim has moved on",
    next_zh="按 state 查看现在能做什么。",
    next_en="Read the claim: its `state` says what can be done now.",
    members=(STATE,),
)  # fmt: skip
NOT_NOW = Problem(
    "not_now", 409, zh="不在可开始的时间内", en="Not the time for it",
    next_zh="在任务开始前后、结束之前再试。",
    next_en="Start a task about when it begins, and before it ends.",
)  # fmt: skip
TOO_FAR = Problem(
    "too_far", 409, zh="离任务地点太远", en="Too far from the task's place",
    next_zh="到任务地点 near_m 米以内再开始；位置只用于核对，不保存。",
    next_en="Start within `near_m` metres of the place; where you are is compared and not kept.",
    members=(Member("near_m", int, "how near it has to be, in metres"),),
)  # fmt: skip
PLACE_NEEDED = Problem(
    "place_needed", 422, zh="需要您的位置", en="Say where you are",
    next_zh="该任务有公开地点：开始时带上 place，只用于核对，不保存。",
    next_en="The task has a public place: send `place`, which is compared and not kept.",
)  # fmt: skip
JUDGED_BEFORE = Problem(
    "judged_before", 409, zh="须由另一人决定", en="Another person has to decide",
    next_zh="请没有审核过该任务的同事处理。",
    next_en="Let a colleague decide who has not judged this work.",
)  # fmt: skip
APPEAL_OVER = Problem(
    "appeal_over", 409, zh="不能申诉", en="No appeal is possible",
    next_zh="只有未通过的审核可在期限内申诉一次。",
    next_en="Work that was rejected can be appealed once, within the days after it.",
    members=(STATE,),
)  # fmt: skip
IN_PEAK_HOURS = Problem(
    "in_peak_hours", 422, zh="与高峰时段重叠", en="Within peak hours",
    next_zh="避开骑手的高峰时段 peak 再发布。",
    next_en="Choose a time clear of riders' peak hours; `peak` says which ones.",
    members=(Member("peak", str, "the hours, by the city's clock"),),
)  # fmt: skip
TASK_IN_THE_PAST = Problem(
    "task_in_the_past", 422, zh="开始时间已过", en="It would begin in the past",
    next_zh="starts_at 须晚于现在。",
    next_en="Let it begin later than now.",
)  # fmt: skip
POINTS_OVER_GIVEN = Problem(
    "points_over_given", 422, zh="超过给定的积分", en="More points than were given",
    next_zh="名额 × 每人积分不能超过 points_given。",
    next_en="Let capacity × points be no more than points_given.",
)  # fmt: skip
TASKS_MONTH_NOT_OVER = Problem(
    "tasks_month_not_over", 422, zh="该月尚未结束", en="The month is not over",
    next_zh="只提供已结束月份的汇总。",
    next_en="Ask for a month that is over.",
)  # fmt: skip
