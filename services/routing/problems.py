"""What routing refuses with."""

from shared.kit import problems
from shared.kit.refusals import Member, Problem

TOTAL = Member("total", int, "how many areas there are in all")
CODES = Member("codes", list[str], "of the areas, the first ones")

NOT_A_DRAFT = Problem(
    "not_a_draft", 409, zh="版本已生效", en="The version is no draft",
    next_zh="该版本已生效或曾经生效：请新建一个版本。",
    next_en="The version is or was in force: make a new one.",
)  # fmt: skip
INVALID_FEATURES = Problem(
    "invalid_features", 422, zh="区域数据有误", en="Invalid areas",
    next_zh="按 errors 逐个改正区域后重新上传；本次请求中没有任何内容被保存。",
    next_en="Correct the areas in `errors` and upload the chunk again; nothing of it was saved.",
    members=(problems.ERRORS,),
)  # fmt: skip
NO_GRIDS = Problem(
    "no_grids", 422, zh="没有网格", en="No grids",
    next_zh="先上传至少一个网格，再启用该版本。",
    next_en="Upload at least one grid to the version, then activate it.",
)  # fmt: skip
MAP_HAS_FINDINGS = Problem(
    "map_has_findings", 409, zh="地图有重叠或空洞", en="Overlaps or holes",
    next_zh="按 findings 所列修正重叠和空洞，或不用严格模式生效。",
    next_en="Remove the overlaps and holes in `findings`, or activate without strict.",
    members=(Member("findings", "FindingsOut", "overlaps and holes, the largest first"),),
)  # fmt: skip
VERSION_CHANGED = Problem(
    "version_changed", 409, zh="版本已变更", en="The version changed while it was checked",
    next_zh="重新启用：检查会按现在的内容再做一遍。",
    next_en="Activate again: it is checked as it is now.",
)  # fmt: skip
AREAS_VANISH = Problem(
    "areas_vanish", 409, zh="有区域将消失", en="Areas vanish",
    next_zh="新地图没有 codes 所列的区域：用承接表说明由谁承接，或确认放弃。",
    next_en="The new map lacks the areas in `codes`: name who takes them over in a mapping, or accept that they "
    "vanish.",
    members=(TOTAL, CODES),
)  # fmt: skip
AREAS_MOVED = Problem(
    "areas_moved", 409, zh="有编号改指别处", en="Codes stand for other ground",
    next_zh="codes 所列编号在新地图上改指别处：给新的范围用新编号，或确认原有内容留在这些编号下。",
    next_en="The codes in `codes` stand for other ground on the new map: give that ground new codes, or accept that "
    "what is kept under them goes with them.",
    members=(TOTAL, CODES),
)  # fmt: skip
INVALID_MAPPING = Problem(
    "invalid_mapping", 422, zh="承接表有误", en="The mapping can't be followed",
    next_zh="按 errors 逐行改正承接表；现行地图未变。",
    next_en="Correct the lines in `errors`; the map in force is as it was.",
    members=(problems.ERRORS,),
)  # fmt: skip
UNKNOWN_GRID = Problem(
    "unknown_grid", 422, zh="没有这个网格", en="No such grid",
    next_zh="换用现行地图中的网格代码。",
    next_en="Use the code of a grid of the map in force.",
)  # fmt: skip
ALREADY_ROUTED = Problem(
    "already_routed", 409, zh="该上报已有网格", en="The report has a grid",
    next_zh="不必再分派；grid_code 是现有网格，如有误请在案件中改派。",
    next_en="Nothing is left to do: `grid_code` is its grid; where that is wrong, have the case redispatched.",
    members=(
        Member("grid_code", str, "its grid"),
        Member("version", int, "the present version"),
    ),
)  # fmt: skip
REVISION_MOVED_ON = Problem(
    "revision_moved_on", 409, zh="已被他人修改", en="Changed by somebody else",
    next_zh="重新读取后在新的 revision 上修改。",
    next_en="Read again, and make the change on the present `revision`.",
    members=(Member("revision", int, "the present one"),),
)  # fmt: skip
