"""Every phone in many forms is masked; no area's code, day or number of a case is."""

import re
import unicodedata
from datetime import date, timedelta
from itertools import product

import pytest

from shared.kit import clock
from shared.kit.privacy.masking import masked
from shared.synthetic.city import city

PHONES = ["13800138000", "13300000123", "15912345678", "17766554433", "19999999999"]
GAPS = [
    " ", "-", ".", "·", "_", "/", ",", "，", "。", " - ", " / ", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u3000",
    "\u200b", "\u200b-\u200b", "\ufeff ", "\u2060", "－", "—", "•",
]  # fmt: skip
SHAPES = [
    "{0}{1}{2}", "({0}){1}-{2}", "（{0}）{1}{2}", "+86{0}{1}{2}", "+86 {0} {1} {2}", "0086-{0}-{1}-{2}", "86 {0}{1}{2}",
    "(+86) {0}-{1}-{2}", *(f"{{0}}{gap}{{1}}{gap}{{2}}" for gap in GAPS),
]  # fmt: skip
AROUND = [
    "{}", "请拨{}联系我", "电话：{}。", "电话：{}。3号楼", "{}now", "NO{}", "微信号 a{}", "wx{}", "V:{}", "Tel.{}",
    "<{}>", "{}/{}", "{}-{}", "{}、{}", "{} {}", "{},{}", "{}-张", "x{}y", "【{}】",
]  # fmt: skip
OTHERS = [
    "0571-88880000", "（0571）8888 0000", "0571\u00a088880000", "010 62770000 转 123", "+44 20 7946 0958",
    "tel 87654321", "Tel：8765-4321", "固话87654321", "电话 87654321", "110101199003074514", "110101 19900307 4514",
    "6222021234567890128", "6222 0212 3456 7890 128", "4111 1111 1111 1111", "a@b.com", "a＠b.com", "ａ＠ｂ．ｃｏｍ",
]  # fmt: skip
SENTENCES = ["{}", "井盖在网格{}，见案件", "网格{}的井盖坏了", "{} 门口", "编号：{}。", "({})", "{}、330114001"]
DAYS = [date(1990, 1, 1) + timedelta(days=days) for days in range(0, 16_000, 13)]
FORMS = [
    "%Y%m%d", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S", "%Y年%m月%d日", "%m月%d日",
    "%y%m%d",
]  # fmt: skip
REGIONS = ["330106", "330114", "410102", "622201", "510104"]


def _left(text: str) -> list[str]:
    return re.findall(r"\d{3,}", unicodedata.normalize("NFKC", text))


@pytest.mark.parametrize("around", AROUND)
def test_phones_in_many_forms(around: str) -> None:
    for phone, shape in product(PHONES, SHAPES):
        one = shape.format(phone[:3], phone[3:7], phone[7:])
        text = around.replace("{}", one)
        shown = masked(text)
        assert "***" in shown, repr(text)
        assert not _left(shown), repr((text, shown))
        wide = "".join(chr(ord(sign) + 0xFEE0) if sign.isdigit() else sign for sign in text)
        assert not _left(masked(wide)), repr(wide)


@pytest.mark.parametrize("around", ["{}", "处 {}，谢谢", "{}。3号楼", "（{}）"])
@pytest.mark.parametrize("number", OTHERS)
def test_other_numbers_and_addresses(number: str, around: str) -> None:
    shown = masked(around.format(number))
    assert "***" in shown
    assert not _left(shown)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_codes_of_areas_stay(sentence: str) -> None:
    for area in city():
        text = sentence.format(area.code)
        assert masked(text) == text


@pytest.mark.parametrize("form", FORMS)
def test_days_stay(form: str) -> None:
    for day in DAYS:
        for text in (day.strftime(form), f"{day.strftime(form)} 处理", f"于{day.strftime(form)}修好"):
            assert masked(text) == text


@pytest.mark.parametrize("shape", ["{}{:%Y%m%d}{:04d}", "{}-{:%Y%m%d}-{:04d}", "{}{:%y%m%d}{:06d}"])
def test_numbers_of_cases_stay(shape: str) -> None:
    today = clock.now().date()
    for region, back, serial in product(REGIONS, range(0, 4_000, 97), range(1, 60, 3)):
        text = f"见案件{shape.format(region, today - timedelta(days=back), serial)}"
        assert masked(text) == text


def test_a_card_needs_its_check_digit_and_a_birthday() -> None:
    for number in ("110101199003074515", "110101199013074514", "6222021234567890129", "110101 20501307 4514"):
        assert masked(number) == number
