"""What stations refuses with."""

from shared.kit import problems
from shared.kit.problems import ERRORS
from shared.kit.refusals import Member, Problem

RIDER_ERASED = problems.RIDER_ERASED
RIDER_INACTIVE = problems.RIDER_INACTIVE
UNKNOWN_RIDER = problems.UNKNOWN_RIDER

STATIONS_FAULTY = Problem(
    "stations_faulty", 422, zh="驿站资料有误", en="Stations with faults",
    next_zh="errors 逐项列出出错的行和字段：改正后重新提交，整份文件一起生效。",
    next_en="Correct what `errors` lists by line and field, and send it again: a file takes effect as a whole.",
    members=(ERRORS,),
)  # fmt: skip
STATION_CODE_TAKEN = Problem(
    "station_code_taken", 409, zh="驿站编号已被使用", en="Code taken",
    next_zh="换一个编号，或修改已有的驿站。",
    next_en="Choose another code, or change the station that has this one.",
)  # fmt: skip
STATION_EDITED = Problem(
    "station_edited", 409, zh="驿站资料已被修改", en="The station was changed",
    next_zh="重新读取驿站，在新的 edition 上修改。",
    next_en="Read the station again and change its present `edition`.",
    members=(Member("edition", int, "the station's present edition"),),
)  # fmt: skip
SERVICE_LIST_EXISTS = Problem(
    "service_list_exists", 409, zh="服务清单已有新版本", en="There is a newer list",
    next_zh="读取当年最新的清单，以其版本号加一提交。",
    next_en="Read the year's newest list and send the version after it.",
    members=(Member("list_version", int, "the year's newest version, 0 where there is none"),),
)  # fmt: skip
STATION_NOT_OPEN = Problem(
    "station_not_open", 409, zh="驿站现在不开放", en="The station is not open now",
    next_zh="state 说明原因：开放时再打卡；若驿站其实开着，请上报“开放”。",
    next_en="Check in when it is open; `state` says why it isn't. If it is, report that you found it open.",
    members=(Member("state", str, "of the station"),),
)  # fmt: skip
NOT_AT_THE_STATION = Problem(
    "not_at_the_station", 409, zh="不在驿站附近", en="Not at the station",
    next_zh="到驿站后再打卡，或输入驿站内张贴的打卡码。",
    next_en="Check in when you are there, or type the code that hangs in the station.",
)  # fmt: skip
WRONG_STATION_CODE = Problem(
    "wrong_station_code", 409, zh="打卡码不对", en="Not the station's code",
    next_zh="输入驿站内现在张贴的打卡码。",
    next_en="Type the code that hangs in the station now.",
)  # fmt: skip
FEEDBACK_GIVEN = Problem(
    "feedback_given", 409, zh="今天已评价过该驿站", en="You have rated it today",
    next_zh="明天可以再次评价。",
    next_en="Rate it again tomorrow.",
)  # fmt: skip
FEEDBACK_ANSWERED = Problem(
    "feedback_answered", 409, zh="无需答复", en="Nothing waits for an answer",
    next_zh="该评价已答复，或骑手没有留言。",
    next_en="Somebody has answered it, or the rider gave stars alone.",
)  # fmt: skip
