"""Which rule has decided, and why, in the rider's languages: Chinese first, English. Pure."""

from typing import NamedTuple

from services.points.earning.rows import RuleRow
from services.points.earning.rules import RuleSet


class Why(NamedTuple):
    """One reason in both languages."""

    zh: str
    en: str


NOTHING = Why("", "")
REASONS: dict[str, Why] = {
    "no_points": Why("该类上报不计积分", "reports of this kind earn no points"),
    "unknown_action": Why("当地规则没有这类行为", "no rule of that place knows such a deed"),
    "deed_too_early": Why("完成时间在将来", "its time lies in the future"),
    "deed_too_old": Why("完成时间过早，不再计分", "it was done too long ago"),
    "already_reported": Why("您已上报过同一事件", "you have reported this already"),
    "co_reporters_max": Why("共同上报人数已满", "enough others have reported it"),
    "case_invalid": Why("上报未通过核实", "the report could not be confirmed"),
    "deed_withdrawn": Why("登记单位已撤回", "the office has withdrawn it"),
    "budget_waits": Why("本期预算已用完，等待街道决定", "this period's budget is used up; the street office decides"),
    "budget_refused": Why("本期预算已用完，街道未追加", "this period's budget is used up, and none was added"),
    "not_genuine": Why("经复核，该上报不符合积分规则", "a review found that the report breaks the rules for points"),
    "rider_inactive": Why("账号已停用", "your account is not active"),
    "insufficient_points": Why("可用积分不足", "you don't have enough points"),
    "hold_expired": Why("逾期未使用，积分已退回", "it was not used in time; the points came back"),
    "points_expired": Why("到期未用", "they were not used in time"),
    # why rewards gives points back
    "points_not_answered": Why("未能及时确认积分，已取消", "it was cancelled, since points didn't answer in time"),
    "not_used_in_time": Why("逾期未使用，积分已退回", "it was not used in time; the points came back"),
    "by_rider": Why("您已取消", "you have cancelled it"),
    "cancelled": Why("已取消", "it was cancelled"),
    "expired": Why("已过期", "its time is over"),
    "undone": Why("核销已撤销", "its use was undone"),
    # adjustments
    "goodwill": Why("补偿", "goodwill"),
    "wrongly_refused": Why("误拒更正", "they were wrongly refused before"),
    "wrongly_paid": Why("误发更正", "they were wrongly paid before"),
    "cheating": Why("违规获取", "they were not earned honestly"),
    "technical_fault": Why("系统故障", "a technical fault"),
    "other": Why("其他原因", "another reason"),
}
_PER = {"day": Why("当日", "today's"), "week": Why("本周", "this week's")}
_EACH = {"": Why("", ""), "kind": Why("该类", " of this kind"), "grid": Why("该网格", " in this grid")}
_NOUNS = {
    "points": Why("积分上限", "limit of points"),
    "reports": Why("上报次数上限", "limit of reports"),
    "times": Why("次数上限", "limit of times"),
}
for _per, _when in _PER.items():
    for _each, _of in _EACH.items():
        for _noun, _what in _NOUNS.items():
            _code = f"{_each}_{_noun}_per_{_per}_max" if _each else f"{_noun}_per_{_per}_max"
            REASONS[_code] = Why(f"已达{_of.zh}{_when.zh}{_what.zh}", f"you have reached {_when.en} {_what.en}{_of.en}")


def why(sets: tuple[RuleSet, ...], rule: str | None, reason: str | None, said: str | None = None) -> Why:
    """Of a movement: the words of its reason, if it is one of ours, and of the rule that has decided.

    `rule` as in `RuleSet.ref`. What an operator has said instead of a reason of ours stands beside these words; `said`:
    what an office has said to explain ours.
    """
    version, _, names = (rule or "").partition("/")
    name, _, campaign = names.partition("+")
    found = next((one for one in reversed(sets) if str(one.version) == version), None) if version else None
    row = found.by_name.get(name) if found is not None else None
    multiplier = found.by_name.get(campaign) if found is not None and campaign else None
    because = REASONS.get(reason or "", NOTHING)
    if said is not None and because.zh:
        because = Why(f"{because.zh}：“{said}”", f"{because.en}: “{said}”")
    return _words(row, version, multiplier, because)


def _words(row: RuleRow | None, version: str, campaign: RuleRow | None, said: Why) -> Why:
    if row is None:
        return said
    by = Why(f"依据规则「{row.zh}」（第 {version} 版）", f"by the rule “{row.en}” (version {version})")
    if campaign is not None:
        times = f"{(campaign.percent or 100) / 100:g}"
        by = Why(f"{by.zh}，活动「{campaign.zh}」{times} 倍", f"{by.en}, times {times} by “{campaign.en}”")
    return Why(f"{said.zh}；{by.zh}", f"{said.en}; {by.en}") if said.zh else by
