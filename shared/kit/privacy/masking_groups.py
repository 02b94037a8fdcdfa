"""Mobile phones with any signs between any of their digits, and what has as many digits and is none."""

import re
from itertools import pairwise

_GAP = r"[\W_]{0,3}"
# looked for ahead, so that what isn't one hides no phone that begins inside it
_ELEVEN = re.compile(rf"(?=(1{_GAP}[3-9](?:{_GAP}\d){{9}})(?![0-9])(?![A-Za-z]+[0-9]))")
_WINDOW = 24
_WORD_BEFORE = re.compile(r"[0-9A-Za-z_-]*$")
# nothing, letters alone, 5G, the number of a house or floor; suda-r- and 0197a3c2- begin ids
_NO_ID = re.compile(r"[_-]*|[0-9]?[A-Za-z]{1,12}|[0-9]{1,2}-")
_LABEL_END = r"[ ]*(?:[:#]|是|为)?[ ]*$"
_NUMBER = r"(?:no|nr|num|number|id|№)\.?"
_THINGS = "工单|订单|案件|编号|单据|门牌|网格|读数"
# What has a number of its own, 票号 or 箱号码. 号码 behind anything else is somebody's phone, whoever they are; so it
# is behind those who act for others (代表) and what people do (订票, 下单, 收件, 报案, 拖车).
_NUMBERED = (
    "(?<![订购抢买退])票|(?<![下接点抢买])单|(?<![收寄取派送])件|(?<!报)案|(?<![邮信])箱|(?<!代)表|(?<!专)柜"
    "|(?<![叫打租拖吊救派约用停])车|(?<![收送提取发])货|[车泊]位|[车路站铭]牌|车架|发动机|流水|[编序批型列]"
    "|[杆桩井盖灯柱塔闸阀泵桥罐]|管道|水管|气管|合同|凭证|回执|任务|设备|资产"
)
_LABELS = re.compile(rf"(?:(?:{_THINGS})号?码?|(?:{_NUMBERED})号码?)(?:[ ]*{_NUMBER})?{_LABEL_END}", re.IGNORECASE)
# "report 138…" may ask for a call: such words need a "no." or "#" behind them, and "no." alone names a phone as well
_ENGLISH = re.compile(
    r"(?P<lead>(?:[A-Za-z']+[ ,:.-]+){0,3})(?<![0-9A-Za-z_-])"
    r"(?:(?P<thing>case|ticket|grid|order|incident|invoice|waybill|serial|meter|pole|parcel)"
    r"|report|house|building|lamp|door|room|job|task|asset|contract|receipt|document)"
    rf"(?P<number>[ -]{{0,3}}{_NUMBER}(?:[ ]{{1,3}}is)?|号|[ ]{{0,3}}\#)?[ ]{{0,3}}(?:[:#=]|是|为)?[ ]{{0,3}}$",
    re.IGNORECASE,
)
_ENGLISH_WINDOW = 64
# in case of, to order at: a phone follows. And whoever is called has a phone, whatever else is said of it
_VERB_BEFORE = {"case": r"\b(?:in|just)\b", "order": r"\b(?:in|to|please|pls|you|can|must|we|i|and|or)\b"}
_CALL = re.compile(
    r"(?<![a-z])(?:phone|tel|call|mob|cell|dial|ring|text|sms|whatsapp|wechat|weixin|wx|contact|reach|hotline)"
    r"|[话机拨打找系信]",
    re.IGNORECASE,
)
# of three numbers and more, so that no decimal point in a phone makes one of it; no more than are longer than a phone
_READINGS = re.compile(r"[1-9]\d{1,2}\.\d{1,2}(?:[ ,]{1,3}[1-9]\d{0,2}\.\d{1,2}){2,16}(?![0-9])")
_UNIT = re.compile(r"[ ]*(?:[米度升吨℃°%]|[厘毫]米|千[瓦帕克]|(?:mm|cm|m|kg|kPa|kWh|V|A)(?![A-Za-z]))")
_SUM = re.compile(r"[ ]*(?:元|块|万|亿)")
# no 米线店 and no 8000 m: a letter may stand for a door
_LENGTH = re.compile(r"[ ]*(?:毫米|厘米|公分|公里|米(?![线粉饭酒面糕店])|(?:mm|cm|km)(?![A-Za-z0-9]))")
_TIMES = frozenset("×✕✖╳⨯∗*")
_LIST_SIGNS = frozenset("、,/;")
_DECIMAL = re.compile(r"[0-9]\.$")
_MONTHS, _DAYS = 12, 31
_LIST_ITEMS_MIN = 5
_LONG_LIST_ITEMS_MIN = 3
_SIZES_MAX, _SIZE_DIGITS_MAX = 4, 5
_MOST_USUAL = [3, 4, 4]
_USUAL = ([3, 4, 4], [1] * 11, [3, 8], [7, 4], [4, 4, 3], [4, 3, 4], [3, 3, 5], [5, 6])


def phones_however_grouped(plain: str) -> list[tuple[int, int]]:
    """Where eleven digits from 13 to 19 stand, with at most three signs or spaces between two of them.

    Args:
        plain: the text in ASCII digits and signs.
    """
    found = [(_dialled_from(plain, match.start(1)), *match.span(1)) for match in _ELEVEN.finditer(plain)]
    return [
        (first, end)
        for first, start, end in found
        if _begins(plain, first) and not _is_labelled_thing(plain, first) and not _is_other(plain, start, end)
    ]


def is_labelled_or_size(plain: str, start: int, end: int) -> bool:
    """Whether the digits there are the number of a thing, or in groups an amount or sizes; then they are no phone."""
    if _is_labelled_thing(plain, start):
        return True
    text = plain[start:end]
    return not text.isdigit() and (_SUM.match(plain, end) is not None or _is_size(text, plain, end))


def _is_other(plain: str, start: int, end: int) -> bool:
    """Also whether they are a moment, an address, a list, or parts of several things."""
    if is_labelled_or_size(plain, start, end):
        return True
    text = plain[start:end]
    groups = re.findall(r"\d+", text)
    if len(groups) == 1:
        return False
    if _is_reading(plain, start, end):
        return True
    signs = [one.replace(" ", "") for one in re.findall(r"\D+", text)]
    return _is_moment(groups, signs) or _is_counted(groups, signs) or _is_mixed(plain, start, end, signs)


def _dialled_from(plain: str, start: int) -> int:
    """Where the number begins: at a 0 right before it, as it was dialled from other cities."""
    return (
        start - 1 if plain[start - 1 : start] == "0" and not plain[max(0, start - 2) : start - 1].isdigit() else start
    )


def _begins(plain: str, start: int) -> bool:
    before = plain[max(0, start - _WINDOW) : start]
    word = _WORD_BEFORE.search(before)
    return not _DECIMAL.search(before) and word is not None and _NO_ID.fullmatch(word.group()) is not None


def _is_labelled_thing(plain: str, start: int) -> bool:
    if _is_labelled(plain[max(0, start - _WINDOW) : start]):
        return True
    return _is_labelled_in_english(plain[max(0, start - _ENGLISH_WINDOW) : start])


def _is_labelled(before: str) -> bool:
    """Whether the words before say whose number it is, and it is nobody's phone."""
    return _LABELS.search(before) is not None


def _is_labelled_in_english(before: str) -> bool:
    """The same of case, ticket no., grid and the like. Letters that touch the digits label nothing."""
    if before[-1:].isascii() and before[-1:].isalpha():
        return False
    found = _ENGLISH.search(before)
    if found is None or not (found["thing"] or found["number"]):
        return False
    verb = _VERB_BEFORE.get((found["thing"] or "").lower())
    if verb is not None and re.search(verb, found["lead"], re.IGNORECASE):
        return False
    said = before[max(0, found.start() - 4) : found.start()] + found["lead"]
    return _CALL.search(said) is None


def _is_size(text: str, plain: str, end: int) -> bool:
    """1500×600×1200, or sizes in millimetres however they are parted: round ones, or with a unit behind.

    A group that begins with 0 is no size. 138*0013*8000 and 130 1230 4560 are phones in their most usual groups.
    """
    groups, signs = re.findall(r"\d+", text), set(re.sub(r"[\d ]", "", text))
    if any(one.startswith("0") for one in groups):
        return False
    if _LENGTH.match(plain, end):
        return True
    lengths = [len(one) for one in groups]
    if not signs <= _TIMES or not signs or len(groups) > _SIZES_MAX or max(lengths) > _SIZE_DIGITS_MAX:
        return lengths != _MOST_USUAL and min(lengths) >= 3 and all(one.endswith("0") for one in groups)
    return lengths != _MOST_USUAL or "*" not in signs


def _is_reading(plain: str, start: int, end: int) -> bool:
    """Whether a row of decimal numbers goes on behind the eleven digits, or they end with a unit."""
    row = _READINGS.match(plain, start)
    return row is not None and (row.end() > end or _UNIT.match(plain, end) is not None)


def _is_moment(groups: list[str], signs: list[str]) -> bool:
    """13:05 with what follows, 19-11-28, 15.11.2026, 1985/3/12."""
    numbers = [int(one) for one in groups]
    if len(groups[0]) == 2 and signs[0] == ":" and len(groups[1]) == 2 and numbers[1] < 60:
        return True
    if len(groups) < 3 or signs[0] != signs[1] or signs[0] not in {"-", "/", "."}:
        return False
    if max(map(len, groups[1:2])) > 2 or not 1 <= numbers[1] <= _MONTHS:
        return False
    of_year = len(groups[0]) in {2, 4} and len(groups[2]) <= 2 and 1 <= numbers[2] <= _DAYS
    of_day = len(groups[0]) == 2 and numbers[0] <= _DAYS and len(groups[2]) == 4 and 1900 <= numbers[2] < 2100
    return of_year or of_day


def _is_counted(groups: list[str], signs: list[str]) -> bool:
    """Thousands with commas, the address of a computer, or the numbers of houses one after the other."""
    lengths = [len(one) for one in groups]
    numbers = [int(one) for one in groups]
    if set(signs) == {","} and lengths[0] <= 3 and set(lengths[1:]) == {3}:
        return True
    if signs == ["."] * 3 and all(
        str(number) == one and number < 256 for number, one in zip(numbers, groups, strict=True)
    ):
        return True
    if len(set(lengths[:-1])) > 1 or any(one >= other for one, other in pairwise(numbers[:-1])):
        return False
    if lengths[0] > 1 and len(groups) >= _LIST_ITEMS_MIN:
        return True
    if lengths[0] < 3 or lengths[-1] > lengths[0] or len(groups) < _LONG_LIST_ITEMS_MIN:
        return False
    # 150-160-170-18: with signs as in a phone only what lies close together
    near = lengths not in _USUAL and numbers[-2] - numbers[0] <= 10 ** (lengths[0] - 1)
    return near or set(signs) <= _LIST_SIGNS


def _is_mixed(plain: str, start: int, end: int, signs: list[str]) -> bool:
    """Whether the signs are those of several things: 131.123456,46.123, or a part of a longer row of numbers."""
    apart = {one.strip("()[]{}<>【】") for one in signs} - {""}
    if len(apart) > 1 and not apart <= {"-", ".", "·", "_"}:
        return True
    first = re.search(r"[0-9]([\W_]{1,3})$", plain[max(0, start - 4) : start])
    usual = re.sub(r"\D+", " ", plain[start:end]).split()
    return first is not None and [len(one) for one in usual] not in _USUAL and first[1].replace(" ", "") == signs[0]
