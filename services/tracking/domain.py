"""The journey of one report, in steps. Pure."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

from shared.events.outbound_reports import ReportStage
from shared.events.report_routed import OUTSIDE_EVERY_GRID

Icon = Literal["received", "routed", "waiting", "case", "person", "question", "done", "verified", "points", "stopped"]
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """A report as intake accepted it; the place is WGS-84 in degrees."""

    report_id: UUID
    company: str
    external_id: str
    rider_id: UUID
    kind: str
    level: str
    lng: float
    lat: float
    seen_at: datetime
    at: datetime
    by_company: bool = False
    """Whether the company has filed it, under a number of its own."""


BRINGS = frozenset({"attached", "repeated"})
"""Steps that concern the report alone that they bring."""


@dataclass(frozen=True, slots=True)
class Routing:
    """One decision where a report belongs."""

    report_id: UUID
    version: int
    company: str
    outcome: str
    reason: str | None
    grid_code: str | None
    grid_name: str | None
    ambiguous: bool
    department: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class CaseState:
    """A case after its latest step; the place is rounded to 4 decimals."""

    case_id: UUID
    version: int
    state: str
    kind: str
    level: str
    grid_code: str
    department: str | None
    lng: float
    lat: float
    report_count: int
    opened_at: datetime
    due_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CaseStep:
    """One step of a case."""

    case_id: UUID
    version: int
    step: str
    state: str
    actor_name: str | None
    actor_role: str | None
    report_id: UUID | None
    grid_code: str
    note: str
    at: datetime
    rider_id: UUID | None = None
    """Of a step that a rider took."""


@dataclass(frozen=True, slots=True)
class CaseReport:
    """A report that a step has brought to its case; `version` is the step's."""

    report_id: UUID
    case_id: UUID
    company: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of a report's points."""

    report_id: UUID
    version: int
    company: str
    movement: str
    amount: int
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Journey:
    """All that is known of one report."""

    report: ReceivedReport
    routings: Sequence[Routing] = field(default_factory=tuple)
    case: CaseState | None = None
    steps: Sequence[CaseStep] = field(default_factory=tuple)
    movements: Sequence[Movement] = field(default_factory=tuple)

    @property
    def state(self) -> str:
        """received, unroutable, routed, or the state of its case."""
        if self.case is not None:
            return self.case.state
        return self.routings[-1].outcome if self.routings else "received"

    @property
    def stage(self) -> ReportStage:
        """How far the report has come, in the words of its company's topic."""
        last = self.routings[-1] if self.routings else None
        return stage_of(self.case is not None, last.outcome if last else None, last.reason if last else None)

    @property
    def version(self) -> int:
        """The number of facts known, which is the version on that topic (store/outbound.py)."""
        mine = self.report.report_id
        concerning = (one.version for one in self.steps if one.step not in BRINGS or one.report_id == mine)
        return 1 + len(self.routings) + max(concerning, default=0) + len(self.movements)


def stage_of(in_case: bool, outcome: str | None, reason: str | None) -> ReportStage:
    """How far a report has come: whether it is in a case, and its latest routing, if it has any."""
    if in_case:
        return "in_case"
    if outcome is None:
        return "accepted"
    if outcome == "routed":
        return "routed"
    return "outside_map" if reason == OUTSIDE_EVERY_GRID else "by_hand"


def grids_of(journey: Journey) -> tuple[str, ...]:
    """The grid whose people answer for the report now; none while it waits for one."""
    if journey.case is not None:
        return (journey.case.grid_code,)
    routed = journey.routings[-1].grid_code if journey.routings else None
    return () if routed is None else (routed,)


@dataclass(frozen=True, slots=True)
class Step:
    """One step for people. `who`: the named person who did it, in the `role`; none: the system, or a rider."""

    key: str
    icon: Icon
    at: datetime
    zh: str
    en: str
    who: str | None = None
    role: str | None = None
    note: str = ""


_OUTCOMES: dict[str, tuple[Icon, str, str]] = {
    "claimed": ("person", "已认领，处理中", "Claimed, being worked on"),
    "info_requested": ("question", "需要补充信息", "More information is needed"),
    "info_given": ("person", "信息已补充", "Information was added"),
    "handled": ("done", "已处置，等待核查", "Handled, to be verified"),
    "verified": ("verified", "已现场核查", "Verified on the spot"),
    "rework_ordered": ("question", "核查未通过，重新处置", "Not yet solved, back to work"),
    "closed": ("verified", "已结案", "Closed"),
    "invalidated": ("stopped", "不予立案", "Not a valid case"),
    "returned": ("waiting", "非本单位职责，退回街道重新派单", "Returned to the street for another dispatch"),
    "redispatched": ("routed", "街道已重新派单", "Dispatched again by the street"),
    "carried_over": ("routed", "区划调整，由新的网格承接", "The city's map changed: another grid took it over"),
    "reopened": ("question", "上报人要求重新处理", "Reopened by the reporter"),
}
_MOVEMENTS: dict[str, tuple[str, str]] = {
    "held": ("积分待核：{amount} 分，结案后到账", "{amount} points pending until the case is closed"),
    "posted": ("积分已到账：{amount} 分", "{amount} points credited"),
    "voided": ("待核积分已取消", "Pending points were cancelled"),
    "reversed": ("积分已冲正：{amount} 分", "Points were corrected: {amount}"),
    "refused": ("本次上报不计积分", "This report earns no points"),
}
_REASONS: dict[str, tuple[str, str]] = {
    "already_reported": ("您已上报过同一问题", "you reported the same thing before"),
    "co_reporters_max": ("同一问题的上报人数已满", "enough riders reported it"),
    "no_points": ("该类问题不计分", "this kind has no points"),
    "case_invalid": ("案件无效", "the case is not valid"),
    "not_genuine": ("经复核，不符合积分规则", "a review found that it breaks the rules for points"),
    "rider_inactive": ("账户已停用", "the account is not active"),
    "budget_waits": ("本期预算已用完，等待街道决定", "this period's budget is used up; the street office decides"),
    "budget_refused": ("本期预算已用完，街道未追加", "this period's budget is used up, and none was added"),
}
_CAPS = {"day": ("已达当日上限", "today's limit is reached"), "week": ("已达本周上限", "this week's limit is reached")}
_REASONS |= {
    f"{each}{noun}_per_{per}_max": words
    for per, words in _CAPS.items()
    for each in ("", "kind_", "grid_")
    for noun in ("points", "reports")
}
SHOWN_ROLES: dict[str, tuple[str, str]] = {
    "grid_worker": ("网格员", "grid worker"),
    "dispatcher": ("街道", "street office"),
    "department": ("职能部门", "department"),
    "verifier": ("核查员", "verifier"),
    "operator": ("平台", "operator"),
    "rider": ("上报人", "reporter"),
}
STATES: dict[str, tuple[str, str]] = {
    "received": ("已收到", "received"),
    "routed": ("已分派", "routed"),
    "unroutable": ("待人工分派", "waiting for a grid"),
    "open": ("已立案", "open"),
    "claimed": ("处理中", "claimed"),
    "needs_info": ("待补充", "needs information"),
    "handled": ("待核查", "handled"),
    "verified": ("已核查", "verified"),
    "closed": ("已结案", "closed"),
    "invalid": ("无效", "invalid"),
    "returned": ("已退回", "returned"),
}
"""Every state with its Chinese and English name, in the order of the journey."""


def timeline(journey: Journey) -> list[Step]:
    """Every step of the report in the order of time, the suite's own order where times are equal."""
    steps = [(0, 0, _received(journey.report))]
    steps += [(1, one.version, _routed(one)) for one in journey.routings]
    own = journey.report.report_id
    steps += [
        (2, one.version, _case_step(one, journey.report))
        for one in journey.steps
        # that somebody else repeats is news to nobody
        if one.step != "repeated" or one.report_id == own
    ]
    steps += [(3, one.version, _moved(one)) for one in journey.movements]
    return [step for _, _, step in sorted(steps, key=lambda entry: (entry[2].at, entry[0], entry[1]))]


def _received(report: ReceivedReport) -> Step:
    return Step("received", "received", report.at, "已收到上报", "Report received")


def _routed(routing: Routing) -> Step:
    if routing.outcome == "unroutable":
        return Step(
            "unroutable",
            "waiting",
            routing.at,
            "位置需人工核实，等待分派",
            "A person will find the grid",
        )
    grid = routing.grid_name or routing.grid_code or ""
    zh, en = f"已派往网格 {grid}", f"Sent to grid {grid}"
    if routing.ambiguous:
        zh, en = f"{zh}（位于网格交界，先认领者负责）", f"{en} (on a border: the first to claim takes it)"
    return Step("routed", "routed", routing.at, zh, en)


def _case_step(step: CaseStep, report: ReceivedReport) -> Step:
    if step.step == "repeated":
        zh, en = ("您已上报过同一问题，本次上报已并入该案件", "You reported this already; joined to that case")
        return Step(step.step, "case", step.at, zh, en)
    if step.step in ("opened", "attached"):
        if step.report_id != report.report_id:
            zh, en = ("案件已由先前的上报立案", "An earlier report had opened the case")
            if step.step == "attached":
                zh, en = ("又有小哥上报同一问题", "Another rider reported the same")
            return Step(f"other_{step.step}", "case", step.at, zh, en)
        zh, en = ("已立案", "A case was opened")
        if step.step == "attached":
            zh, en = ("已并入同一问题的案件", "Joined the case of the same thing")
        return Step(step.step, "case", step.at, zh, en)
    icon, zh, en = _OUTCOMES.get(step.step, ("case", step.step, step.step))
    # A rider is never named, also not to other reporters of the same thing.
    who = None if step.actor_role in (None, "rider") else step.actor_name
    # Nor is what another rider wrote for those who work on the case, and may have said of themselves.
    note = step.note if step.actor_role != "rider" or step.rider_id == report.rider_id else ""
    return Step(step.step, icon, step.at, zh, en, who, step.actor_role if who else None, note)


def _moved(moved: Movement) -> Step:
    zh, en = _MOVEMENTS.get(moved.movement, (moved.movement, moved.movement))
    if moved.reason and (moved.movement in ("refused", "voided") or moved.reason == "budget_waits"):
        reason_zh, reason_en = _REASONS.get(moved.reason, (moved.reason, moved.reason))
        zh, en = f"{zh}：{reason_zh}", f"{en}: {reason_en}"
    icon: Icon = "stopped" if moved.movement in ("voided", "refused") else "points"
    text = {"amount": abs(moved.amount)}
    return Step(f"points_{moved.movement}", icon, moved.at, zh.format(**text), en.format(**text))


# ── the reporter's one address ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Links:
    """What reporters' links are made of: the first key makes them, all open them."""

    keys: tuple[bytes, ...]


def link_token(key: bytes, report_id: UUID) -> str:
    """The report's public token: its id and a MAC of it, so that nobody makes one without the key."""
    mac = hmac.digest(key, b"report-link:" + report_id.bytes, sha256)[:_MAC_BYTES]
    return urlsafe_b64encode(report_id.bytes + mac).decode().rstrip("=")


def report_of(keys: Sequence[bytes], token: str) -> UUID | None:
    """The report of a token made with one of the keys; None for one that we didn't make."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    if len(raw) != 16 + _MAC_BYTES:
        return None
    report_id = UUID(bytes=raw[:16])
    ours = [hmac.compare_digest(link_token(key, report_id), token) for key in keys]
    return report_id if any(ours) else None
