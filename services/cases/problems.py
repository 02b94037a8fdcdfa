"""What cases refuses with."""

from shared.kit.refusals import Member, Problem

STATE = Member("state", str, "of the case")

WRONG_STATE = Problem(
    "wrong_state", 409, zh="案件状态不允许此操作", en="Not possible in this state",
    next_zh="读取案件的当前状态（state），再决定下一步。",
    next_en="Look at the case's `state`, then take a step that it allows.",
    members=(STATE,),
)  # fmt: skip
SAME_PERSON = Problem(
    "same_person", 409, zh="处置人不能核查自己的案件", en="The handler can't verify",
    next_zh="由另一位核查员核查。",
    next_en="Have somebody else verify it.",
    members=(STATE,),
)  # fmt: skip
OTHER_WORKER = Problem(
    "other_worker", 409, zh="案件已由他人认领", en="Claimed by somebody else",
    next_zh="由认领人处置，或请调度员收回改派。",
    next_en="Leave it to whoever claimed it, or ask a dispatcher to assign it to you.",
    members=(STATE,),
)  # fmt: skip
WRONG_GRID = Problem(
    "wrong_grid", 409, zh="网格不符", en="Wrong grid",
    next_zh="换用案件候选网格之一，或现行地图中您辖区内的网格。",
    next_en="Name one of the case's grids, or a grid of the map in force that is yours.",
    members=(STATE,),
)  # fmt: skip
TOO_LATE = Problem(
    "too_late", 409, zh="已超过重新打开的期限", en="Too late to reopen",
    next_zh="重新上报：会成为新的案件。",
    next_en="Report it again: it becomes a new case.",
    members=(STATE,),
)  # fmt: skip
GRID_MISSING = Problem(
    "grid_missing", 422, zh="缺少网格", en="The grid is missing",
    next_zh="由平台运维核对分派结果后重放死信。",
    next_en="The operator checks how the report was routed, then replays the dead letter.",
)  # fmt: skip
