"""A missing template or parameter fails here, never before a rider."""

from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from services.notifications.domain import CASE_STEPS, IDS, LANGUAGES, MOVEMENTS, REDEMPTIONS, SIGNUPS, TEMPLATES
from services.notifications.texts import FALLBACK, TextError, Texts
from shared.catalog import Catalogue
from shared.events.account_changed import AccountChanged
from shared.events.case_changed import CaseTransition
from shared.events.redemption_changed import RedemptionChanged
from shared.events.signup_changed import SignupChanged

TEXTS = Texts(Catalogue.load(), ZoneInfo("Asia/Shanghai"))
SAMPLE = {
    "grid_code": "330114001001001", "amount": 50, "pending": 120, "available": 70, "reason": "already_reported",
    "kind": "local-gas-smell", "by": "王芳", "role": "grid_worker", "note": "请补拍一张照片", "offer": "热饮券",
    "price": 30, "expires_at": "2026-03-02T04:00:00+00:00", "due_at": "2026-03-02T04:30:00+00:00",
    "code": "12345678", "minutes": 15, "expires_on": "2026-04-01", "days_left": 30,
    "why": {"zh": "依据规则「治安线索」（第 2 版）", "en": "by the rule “clue” (version 2)"},
    "badge_zh": "七日连巡", "badge_en": "Seven days in a row",
    "title_zh": "集体生日会", "title_en": "Birthday together", "number": 7, "turn": 61, "address": "驿站二楼",
    "starts_at": "2026-03-02T06:00:00+00:00", "draw_at": "2026-03-02T04:00:00+00:00", "why_off": "暴雨预警",
    "title": "周五夜巡",
}  # fmt: skip


def test_each_declared_template_exists_in_each_language_and_nothing_else_does() -> None:
    wanted = {(name, language) for name in (*TEMPLATES, FALLBACK) for language in LANGUAGES}
    assert set(TEXTS.texts) == wanted


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_text_uses_only_what_its_message_carries(name: str, language: str) -> None:
    text = TEXTS.texts[(name, language)]
    assert {*text.title.get_identifiers(), *text.body.get_identifiers()} <= TEMPLATES[name]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_rendered_text_has_no_place_left(name: str, language: str) -> None:
    title, body = TEXTS.render(name, {key: SAMPLE[key] for key in TEMPLATES[name]}, language)
    assert title
    assert "$" not in title + body


def test_every_step_that_notifies_has_a_template_and_every_step_exists() -> None:
    assert {*CASE_STEPS.values(), *MOVEMENTS.values(), *REDEMPTIONS.values()} <= set(TEMPLATES)
    assert set(CASE_STEPS) <= set(get_args(CaseTransition))
    fields = AccountChanged.model_fields
    sources, movements = (get_args(fields[name].annotation) for name in ("source", "movement"))
    assert set(MOVEMENTS) <= {(source, movement) for source in sources for movement in movements}
    assert {movement for _, movement in MOVEMENTS} == set(movements)
    assert set(SIGNUPS.values()) <= set(TEMPLATES)
    assert set(SIGNUPS) | {"cancelled"} == set(get_args(SignupChanged.model_fields["what"].annotation))
    assert set(REDEMPTIONS) <= set(get_args(RedemptionChanged.model_fields["state"].annotation))


def test_words_are_the_same_in_all_languages() -> None:
    assert TEXTS.words["zh"].keys() == TEXTS.words["en"].keys()


def test_codes_are_written_in_the_readers_language_and_times_in_city_time() -> None:
    assert "管理" not in TEXTS.render("case_claimed", SAMPLE, "zh")[1]
    assert "网格员 王芳" in TEXTS.render("case_claimed", SAMPLE, "zh")[1]
    assert "王芳 (grid worker)" in TEXTS.render("case_claimed", SAMPLE, "en")[1]
    assert "2026-03-02 12:00" in TEXTS.render("voucher_issued", SAMPLE, "zh")[1]
    assert "已上报过" in TEXTS.render("report_no_points", SAMPLE, "zh")[1]


def test_the_rule_stands_in_the_readers_language_and_its_absence_is_not_seen() -> None:
    assert TEXTS.render("report_posted", SAMPLE, "zh")[1].endswith("（依据规则「治安线索」（第 2 版））")
    assert TEXTS.render("report_posted", SAMPLE, "en")[1].endswith("to spend. (by the rule “clue” (version 2))")
    before = {name: value for name, value in SAMPLE.items() if name != "why"}
    for params in (before, before | {"why": None}, before | {"why": {"zh": "x"}}):
        assert TEXTS.render("report_posted", params, "en")[1].endswith("points to spend.")
    assert TEXTS.render("points_waiting", SAMPLE, "zh")[1].count("预算") == 1


def test_an_old_message_still_reads() -> None:
    assert TEXTS.render("template_of_last_year", {"x": 1}, "zh")[0] == "通知"
    assert "$grid_code" in TEXTS.render("report_accepted", {"amount": 1, "pending": 2}, "zh")[1]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.zh", "title only"), ("a.fr", "t\n\nb"), ("a.zh", "t\n\n$ 5"), ("words.zh", "role.x"), ("a.zh", "t\nu\n\nb")],
)
def test_a_bad_file_is_refused_at_start(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(TextError):
        Texts(Catalogue.load(), ZoneInfo("Asia/Shanghai"), tmp_path)


def test_no_template_asks_for_an_id() -> None:
    assert not any(IDS & names for names in TEMPLATES.values())


def test_times_are_those_of_the_city() -> None:
    texts = Texts(Catalogue.load(), ZoneInfo("Asia/Urumqi"))
    assert "2026-03-02 10:00" in texts.render("voucher_issued", SAMPLE, "zh")[1]
