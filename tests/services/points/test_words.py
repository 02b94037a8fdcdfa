"""Whatever code of ours says why, riders read it in words."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from services.points import domain
from services.points.domain import HoldState, Source
from services.points.earning import rules, words
from services.points.earning.rows import RuleRow
from services.points.earning.rules import RuleSet
from services.points.store.adjustments import Reason
from services.tracking.domain import Journey, Movement, ReceivedReport, timeline
from shared.devtools.gen.files import ROOT

SAYS = {"void": 1, "reverse": 1, "refund": 1, "_move": 2, "Judged": 1}
"""What a reason is given to: function → the place of its argument."""
CODE = re.compile(r"[a-z]+(_[a-z]+)+|expired|cancelled|undone")


def strings(node: ast.AST) -> Iterator[str]:
    """Every text in an expression that may be a reason: a comparison's are none."""
    if isinstance(node, ast.Compare):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and isinstance(value := getattr(domain, node.id, None), str):
        yield value
    for part in ast.iter_child_nodes(node):
        yield from strings(part)


def written(tree: ast.AST) -> Iterator[str]:
    """The reasons that a module's code writes: into calls, refusals, and holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SAYS and len(node.args) > SAYS[name]:
                yield from strings(node.args[SAYS[name]])
        elif isinstance(node, ast.Assign):
            names = {getattr(one, "id", getattr(one, "attr", "")) for one in node.targets}
            if names & {"refusal", "reason"}:
                yield from strings(node.value)


def in_code() -> set[str]:
    """Those of the whole service."""
    files = [path for path in (ROOT / "services/points").rglob("*.py") if path.name != "words.py"]
    found = {one for file in files for one in written(ast.parse(file.read_text(encoding="utf-8")))}
    return {one for one in found if CODE.fullmatch(one)}


def of_caps() -> set[str]:
    """What `cap_code` makes of every cap that the rules may have."""
    rows = [
        RuleRow("cap", 1, "cap", source, per=per, each=each, points_max=points, count_max=count)  # type: ignore[arg-type]
        for source, per, each, (points, count) in product(
            ("report", "deed"), ("day", "week"), ("", "kind", "grid"), ((1, None), (None, 1))
        )
    ]
    return {rules.cap_code(row) for row in rows}


def of_rewards() -> set[str]:
    """Why rewards ends a redemption: its own codes, as its statements write them."""
    text = (ROOT / "services/rewards/store/redemptions.py").read_text(encoding="utf-8")
    ending = re.findall(r"reason = (?:CASE .* THEN )?'(\w+)'|ELSE '(\w+)' END,\n", text)
    return {one for pair in ending for one in pair if one}


def test_the_walk_finds_them() -> None:
    found = in_code()
    assert {
        "not_genuine", "case_invalid", "rider_inactive", "insufficient_points", "hold_expired", "points_expired",
        "budget_waits", "budget_refused", "deed_too_old", "deed_too_early", "deed_withdrawn", "no_points",
        "unknown_action", "already_reported", "co_reporters_max",
    } <= found  # fmt: skip
    assert of_rewards() >= {"points_not_answered", "not_used_in_time", "by_rider"}
    assert len(of_caps()) > 10
    assert not found & {*get_args(HoldState), *get_args(Source)} - {"expired"}


@pytest.mark.parametrize("code", sorted(in_code() | of_caps() | of_rewards() | set(get_args(Reason))))
def test_every_reason_has_words_in_both_languages(code: str) -> None:
    said = words.why((), None, code)
    assert re.search("[\u4e00-\u9fff]", said.zh) and said.en.isascii() and len(said.en) > 4, said


@pytest.mark.parametrize("language", ["zh", "en"])
def test_messages_have_words_for_each_of_them(language: str) -> None:
    lines = (ROOT / f"services/notifications/templates/words.{language}").read_text(encoding="utf-8").splitlines()
    named = {line.partition(" =")[0].removeprefix("reason.") for line in lines if line.startswith("reason.")}
    assert in_code() | of_caps() | set(get_args(Reason)) <= named


def of_reports() -> set[str]:
    """Without those of deeds, vouchers and lots."""
    others = {"unknown_action", "insufficient_points", "hold_expired", "points_expired", "undone"}
    found = in_code() | {one for one in of_caps() if "times" not in one}
    return {one for one in found - others if not one.startswith("deed_")}


@pytest.mark.parametrize("code", sorted(of_reports()))
def test_a_reports_page_shows_no_code(code: str) -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    received = ReceivedReport(UUID(int=1), "mt", "F-1", UUID(int=9), "part-01001", "hazard", 120.3, 30.3, at, at)
    moved = Movement(UUID(int=1), 1, "mt", "held" if code == "budget_waits" else "refused", 0, code, at)
    shown = timeline(Journey(received, movements=[moved]))[-1]
    assert code not in shown.zh + shown.en and re.search("[：:]", shown.zh), shown


def test_an_offices_words_stand_between_the_reason_and_the_rule() -> None:
    row = RuleRow("catalogue", 1, "award", "report", zh="类别标准", en="the points of its kind")
    sets = (RuleSet(1, datetime(2020, 1, 1, tzinfo=UTC), (row,)),)
    said = words.why(sets, "1/catalogue", "budget_refused", "没有预算")
    assert said.zh == "本期预算已用完，街道未追加：“没有预算”；依据规则「类别标准」（第 1 版）"
    assert words.why(sets, None, "what an operator wrote", "more") == words.NOTHING
