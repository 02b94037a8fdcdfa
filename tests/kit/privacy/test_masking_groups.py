"""Phones with any signs between any digits are masked; numbers of things, sums, moments and addresses stay."""

import unicodedata
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.kit.privacy.masking import masked

PHONES = [
    "138:0013:8000", "138、0013、8000", "138(0013)8000", "[138]0013-8000", "138*0013*8000", "138|0013|8000",
    "138~0013~8000", "13 800 138 000", "138 00 13 80 00", "138.00.13.80.00", "138 001 38 000", "138+0013+8000",
    "①③⑧⓪⓪①③⑧⓪⓪⓪", "❶❸❽⓿⓿❶❸❽⓿⓿⓿", "1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", "¹³⁸⁰⁰¹³⁸⁰⁰⁰", "138📞0013📞8000",
    "138；0013；8000", "【138】0013-8000",
    "1.3.8.0.0.1.3.8.0.0.0", "1、3、8、0、0、1、3、8、0、0、0", "138，001，38，000",
]  # fmt: skip
BEFORE = [
    "",
    "请拨",
    "电话号",
    "手机号：",
    "手机号码是 ",
    "号码 ",
    "微信号",
    "打这个号",
    "我的号：",
    "在3号",
    "三号",
    "没信号",
    "5G",
    "在 2-",
    "No",
    "tel:",
]
NO_PHONES = [
    "工单号 15020260501", "杆号15012345678", "150 2000 3000 元", "门牌 1391-2345-678", "编号：13800138000",
    "案件 138 0013 8000", "单号13800138000", "流水号: 13800138000", "工单号码是13800138000", "箱号 138-0013-8000",
    "晚 19:00-21:00 300 人", "1985/3/12 1380", "15.11.2026 123", "19-11-28 13005", "139.196.135.10",
    "131.123456,46.123",
    "13、14、15、16、17、1栋", "13,800,138,000", "1500~2000、300人", "330114 131 001 001 01", "120.13800138000",
    "suda-r-138:0013:8000",
    "13 800 138 000 元", "138 0013 8000万", "13:30、14:00、123 人",
    "井盖尺寸1500×600×1200毫米", "箱体1800*1200*300mm", "箱体1800*1200*300", "1500*1500*600（长宽高）", "150×2000×3000",
    "钢板13000*1500*20", "围挡 1500/1800/200", "管径 1300-1500-200", "管径 1300-1555-200 mm", "150-2000-3000毫米",
    "15幢1801、1902、200", "150、160、170、18路", "138 139 150 15路", "路灯杆 150-160-170-18", "1301/1302/140",
]  # fmt: skip
WHOSE = [
    "联系人", "负责人", "业主", "房东", "师傅", "王师傅", "物业", "报案人", "老板的", "店长", "朋友", "联系", "值班",
    "保安", "客户", "本人", "个人", "联络", "备用", "家属", "通讯", "虚拟", "移动", "私人", "网格员", "主管", "城管",
    "业主代表", "值班室", "加油站", "热线", "部门", "办公楼", "订票", "下单", "收件", "报案", "拖车", "收货", "验证",
]  # fmt: skip
DIALLED = [
    "013800138000", "0138-0013-8000", "0138 0013 8000", "0138:0013:8000", "0 13800138000", "0571/88886666",
    "0571:88886666", "0571----88886666", "0571转88886666", "(0571) / 88886666", "0571，88886666", "86-571-88886666",
    "86-571-8888-6666", "86 571 88886666", "0086 571 8888 6666", "0086(571)88886666", "008657188886666",
    "00852 9123 4567", "00853-2888-1234", "00886912345678",
]  # fmt: skip
UNDIALLED = [
    "编号013800138000", "0197a3c2-1380-7138-8000-013800138000", "120.013800138000", "86 25 300 2000",
    "001-20261128-0012", "0123456789012", "2026-11-28 13:00 2026-11-29", "330102001001001", "0301、2301、3301",
]  # fmt: skip
THINGS = [
    "票", "发票", "箱", "配电箱", "表", "水表", "杆", "灯杆", "车", "车位", "车架", "快递单", "案件", "快件", "柜",
    "井", "流水", "序列", "货", "设备", "合同", "批",
]  # fmt: skip
LABELLED = [
    "case {}", "Case No. {}", "case number: {}", "CASE-ID {}", "ticket #{}", "Ticket {}", "ticket号：{}", "grid {}",
    "in grid {}", "assigned to case {}", "order {}", "your order no. is {}", "work order: {}", "report no. {}",
    "Report #{}", "meter no {}", "house number {}", "工单 No. {}", "工单No.{}", "案件 ID：{}", "网格 number {}",
    "见 case {}", "单据{}", "电表读数 {} 千瓦时", "Ｃａｓｅ　Ｎｏ．{}", "订单 № {}",
]  # fmt: skip
CALLED = [
    "call {}", "tel {}", "tel. no. {}", "phone no. {}", "my no. {}", "No. {}", "no {}", "mobile number {}",
    "contact #{}", "to order {}", "please order: {}", "to report {}", "report {}", "just in case {}",
    "in case number {}", "In this case: {}", "call about case {}", "phone case {}", "phone order no. {}",
    "手机no.{}", "电话 No. {}", "手机case {}", "请联系 order {}", "case worker {}", "grid staff: {}",
    "ticket office, {}", "suitcase {}", "show-case {}", "border {}", "case{}", "工单 tel {}", "网格员 {}",
    "案件 phone no. {}", "WeChat ID {}", "微信号 ID {}", "order hotline {}", "case +86 {}", "Order by calling {}",
]  # fmt: skip
READINGS = [
    "15.2 16.3 17.4 18.5 19.6", "13.5 14.5 15.5 16.5", "13.5, 14.5, 15.5, 16.5", "13.5，14.5，15.5，16.5",
    "130.5 131.2 132.8", "15.2 16.3 17.4 8.5 9.6", "13.5 14.5 15.5 16 mm", "13.5  14.5  15.5  16.5",
    "13.25 14.5 15.5 16.5 17.5", "18.5 18.6 18.4 18.5 18.5 18.6 18.5",
]  # fmt: skip
NO_READINGS = [
    "138.0013.8000", "13.8 00.1 38.0 00", "13.9 12.3 45.6 78", "139.1 234.5 678", "139 1.2 345.6 78",
    "13.91 23.45 67.8",
]  # fmt: skip
SIGNS = [" ", "-", "_", "、", "*", "|", "~", "+", "#", " - ", "\u3000", "；", "…", "\u200b ", "🙂", "＊", "!"]
digits = st.text("0123456789", min_size=9, max_size=9)
phones = st.builds(lambda second, rest: f"1{second}{rest}", st.sampled_from("3456789"), digits)


@pytest.mark.parametrize("before", BEFORE)
def test_every_grouping_is_masked(before: str) -> None:
    for phone in [*PHONES, "13800138000", "138 0013 8000"]:
        shown = masked(f"{before}{phone}。")
        assert shown.startswith(before) and shown.endswith("***。"), (before, phone, shown)
        assert not [one for one in shown[len(before) :] if unicodedata.digit(one, None) is not None], (phone, shown)
        assert masked(shown) == shown


@pytest.mark.parametrize("text", NO_PHONES)
def test_what_has_as_many_digits_and_is_no_phone_stays(text: str) -> None:
    assert masked(text) == text
    assert masked(f"井盖坏了，{text}，请处理") == f"井盖坏了，{text}，请处理"


@pytest.mark.parametrize("whose", ["", *WHOSE])
def test_the_number_of_somebody_is_masked(whose: str) -> None:
    for phone in ("13800138000", "138-0013-8000", "138:0013:8000"):
        for label in (f"{whose}号码", f"{whose}号码：", f"{whose}号码是 "):
            assert masked(f"{label}{phone}") == f"{label}***"


@pytest.mark.parametrize("thing", THINGS)
def test_the_number_of_what_is_no_person_stays(thing: str) -> None:
    for text in (f"{thing}号 13800138000", f"{thing}号码：13800138000", f"{thing}号是138-0013-8000"):
        assert masked(text) == text


@pytest.mark.parametrize("phone", DIALLED)
def test_phones_as_they_are_dialled_from_elsewhere(phone: str) -> None:
    for around in ("{}", "请拨{}联系", "电话：{}。3号楼", "({})"):
        assert masked(around.format(phone)) == around.format("***")


@pytest.mark.parametrize("text", UNDIALLED)
def test_what_begins_like_them_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "phone", ["138*0013*8000", "138、0013、8000", "130 1230 4560", "1381-2345-678", "138 0013 8000 mm"]
)
def test_phones_like_sizes_and_lists_are_masked(phone: str) -> None:
    assert masked(f"请拨{phone}").startswith("请拨***")


@example("13110000000", [2, 3, 4], " - ", False)
@given(phones, st.lists(st.integers(1, 10), max_size=10, unique=True), st.sampled_from(SIGNS), st.booleans())
def test_a_phone_is_masked_wherever_the_signs_stand(phone: str, cuts: list[int], sign: str, wide: bool) -> None:
    places = [0, *sorted(cuts), 11]
    groups = [phone[start:end] for start, end in pairwise(places)]
    numbers = [int(one) for one in groups[:-1]]
    if len(groups) >= 5 and len({len(one) for one in groups[:-1]}) == 1 and numbers == sorted(set(numbers)):
        return  # houses one after the other
    if len(groups) >= 3 and len(groups[0]) >= 3 and len({len(one) for one in groups[:-1]}) == 1:
        return  # sizes, or a list of three and more
    if all(one.endswith("0") and not one.startswith("0") for one in groups):
        return  # round sizes
    if sign in "*＊" and len(groups) in {3, 4} and max(len(one) for one in groups) <= 5:
        return  # sizes
    if sign.strip() == "-" and len(groups) >= 3 and len(groups[0]) in {2, 4} and len(groups[1]) <= 2:
        return  # a day
    text = sign.join(groups)
    if wide:
        text = "".join(chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in text)
    assert masked(f"请拨{text}联系") == "请拨***联系"


@given(
    st.sampled_from(["工单", "工单号", "编号", "单号：", "杆号", "案件 ", "灯杆号", "门牌 ", "箱号是"]),
    phones,
    st.sampled_from(["{}{}{}", "{} {} {}", "{}-{}-{}", "{}:{}:{}", "{}、{}、{}"]),
)
def test_the_number_of_a_thing_stays(label: str, number: str, shape: str) -> None:
    text = f"{label}{shape.format(number[:3], number[3:7], number[7:])}坏了"
    assert masked(text) == text


@pytest.mark.parametrize("label", LABELLED)
def test_english_labels_name_things_too(label: str) -> None:
    for number in ("13800138000", "159-1234-5678"):
        text = label.format(number)
        assert masked(text) == text
        assert masked(f"灯坏了，{text} again") == f"灯坏了，{text} again"


@pytest.mark.parametrize("label", CALLED)
def test_english_words_that_name_nothing_hide_no_phone(label: str) -> None:
    for phone in ("13800138000", "138.0013.8000", "138 0013 8000"):
        for before in ("", "灯坏了，", "the lamp is broken "):
            shown = masked(before + label.format(phone))
            assert shown.endswith("***") and "8000" not in shown, (label, shown)


@pytest.mark.parametrize("text", READINGS)
def test_readings_stay(text: str) -> None:
    for around in ("{}", "水位 {}", "水位 {} 米", "levels: {}."):
        assert masked(around.format(text)) == around.format(text)


@pytest.mark.parametrize("text", NO_READINGS)
def test_a_phone_like_readings_is_masked(text: str) -> None:
    assert masked(f"请拨 {text}。") == "请拨 ***。"


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # given a zone there
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # and there
    st.integers(1, 999),
    st.sampled_from([
        "{0:%Y-%m-%d} {2}", "{0:%Y-%m-%d %H:%M:%S}", "{0:%Y/%m/%d}、{1:%Y/%m/%d}", "{0:%H:%M}-{1:%H:%M} {2} 人",
        "{0:%d.%m.%Y} {2}", "{0:%y-%m-%d} {1:%H:%M} {2}", "{0:%Y-%m-%dT%H:%M:%S}Z", "{0:%H:%M}、{1:%H:%M}、{2}",
        "{0:%Y.%m.%d}-{1:%Y.%m.%d}", "{0:%m-%d %H:%M}",
    ]),
)  # fmt: skip
def test_moments_stay(one: datetime, other: datetime, count: int, shape: str) -> None:
    text = shape.format(one, other, count)
    assert masked(text) == text


@given(st.integers(10, 99_999_999_999), st.sampled_from([" ", ",", "，"]), st.sampled_from(["元", " 元", "万元", "块"]))
def test_sums_stay(amount: int, sign: str, currency: str) -> None:
    text = f"{amount:,}".replace(",", sign) + currency
    if sign in text:
        assert masked(f"花了{text}") == f"花了{text}"


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_addresses_of_computers_stay(parts: tuple[int, ...]) -> None:
    text = ".".join(map(str, parts))
    assert masked(text) == text
