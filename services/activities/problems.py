"""What activities refuses with."""

from shared.kit.refusals import Member, Problem

NOT_YOUR_AREA = Problem(
    "not_your_area", 403, zh="不在您负责的区域", en="Not in your area",
    next_zh="活动地点须在您负责的区域内；请由该区域或上级的人员操作。",
    next_en="The activity has to lie in an area of yours; ask who answers for its area, or one above.",
)  # fmt: skip
BAD_TIMES = Problem(
    "bad_times", 422, zh="时间不合理", en="The times don't fit",
    next_zh="报名截止不晚于开始，开始早于结束，且截止时间在现在之后，活动不超过七天。",
    next_en="Let sign-up end now or later, not after the beginning, and the end follow within seven days.",
)  # fmt: skip
ACTIVITY_MOVED_ON = Problem(
    "activity_moved_on", 409, zh="活动已变动", en="The activity has moved on",
    next_zh="按当前的 current_version 重新读取；名额不能少于已占用的，已开始或取消的活动不能再改。",
    next_en="Read it again at `current_version`: there can't be fewer places than are taken, and what has begun or was "
    "called off stays as it is.",
    members=(Member("current_version", int, "the present version"),),
)  # fmt: skip
TEMPLATE_MOVED_ON = Problem(
    "template_moved_on", 409, zh="模板已被他人修改", en="The template has changed",
    next_zh="重新读取模板当前的版本后再提交。",
    next_en="Read the template's present version, then send the change again.",
    members=(Member("current_version", int, "the present version"),),
)  # fmt: skip
SIGNUP_CLOSED = Problem(
    "signup_closed", 409, zh="报名已截止", en="Sign-up is over",
    next_zh="请选择其他活动（/v1/activities）。",
    next_en="Choose another activity: /v1/activities.",
)  # fmt: skip
NOT_FOR_YOU_HERE = Problem(
    "not_for_you_here", 403, zh="不在参加范围内", en="It is for others",
    next_zh="该活动只面向指定的企业或区域；如您在所列区域工作，请在报名时填写 area_code。",
    next_en="It is for certain companies or areas; if you work in one of its `areas`, name it as `area_code`.",
)  # fmt: skip
UNKNOWN_TEAM = Problem(
    "unknown_team", 422, zh="没有这支队伍", en="No such team",
    next_zh="队伍代码见活动的 teams。",
    next_en="Choose one of the activity's `teams`, by its code.",
)  # fmt: skip
LIST_FULL = Problem(
    "list_full", 409, zh="报名人数已达上限", en="The list is full",
    next_zh="候补名单也已满，请选择其他活动。",
    next_en="Nobody more can wait for it either: choose another activity.",
)  # fmt: skip
SIGNUP_OVER = Problem(
    "signup_over", 409, zh="不能再取消", en="Too late to cancel",
    next_zh="活动已开始或已结束，报名记录保持不变。",
    next_en="The activity has begun or is over: the sign-up stays as it is.",
)  # fmt: skip
CODE_WRONG = Problem(
    "code_wrong", 422, zh="签到码不正确", en="The code is not right",
    next_zh="现场码每五分钟更换：请扫描或输入当前显示的码；小哥的码在报名详情中。",
    next_en="The code at the place changes every five minutes: use the one that is shown now; a rider's own is with "
    "the sign-up.",
)  # fmt: skip
DOORS_CLOSED = Problem(
    "doors_closed", 409, zh="不在签到时间内", en="Check-in is closed",
    next_zh="签到在活动开始前不久开放，结束后不久关闭；时间见活动。",
    next_en="Check-in opens shortly before the beginning and closes shortly after the end.",
)  # fmt: skip
NO_PLACE = Problem(
    "no_place", 409, zh="没有名额", en="No place",
    next_zh="只有已确认名额的小哥可以签到；state 是当前状态。",
    next_en="Only who has a place can check in; look at the sign-up's `state`.",
    members=(Member("state", str, "of the sign-up"),),
)  # fmt: skip
NOT_ATTENDED = Problem(
    "not_attended", 409, zh="未签到", en="You were not there",
    next_zh="签到过的小哥才能评价。",
    next_en="Who has checked in can say how it was.",
)  # fmt: skip
NO_CONSENT = Problem(
    "no_consent", 409, zh="有人未同意公开照片", en="Somebody does not agree",
    next_zh="照片上的每个人都须在报名中同意公开；请换一张，或先征得同意。",
    next_en="Everybody on it has to agree with their sign-up: take another photo, or ask them first.",
)  # fmt: skip
NOT_DRAWN = Problem(
    "not_drawn", 404, zh="尚未抽签", en="Not drawn yet",
    next_zh="报名截止后抽签；在此之前只公布种子的哈希。",
    next_en="The draw follows the end of sign-up; until then only the hash of the seed is known.",
)  # fmt: skip
MONTH_RUNS = Problem(
    "month_runs", 422, zh="该月尚未结束", en="The month is still running",
    next_zh="月末之后再查询。",
    next_en="Ask for it once it is over.",
)  # fmt: skip
