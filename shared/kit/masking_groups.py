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
_THINGS = "工单|订单|案件|编号|单号|单据|杆号|门牌|网格|读数"
_LABELS = re.compile(
    rf"(?:(?:{_THINGS})号?码?(?:[ ]*{_NUMBER})?|(?P<what>[\u4e00-\u9fff])号码?){_LABEL_END}", re.IGNORECASE
)
# 手机号, 微信号, 我的号, 换个号; 三号 and 信号 label nothing
_WHOSE = frozenset("话机系信的个我你他她它这那该此本打拨账帐加换一二三四五六七八九十百零〇几")
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
_DECIMAL = re.compile(r"[0-9]\.$")
_MONTHS, _DAYS = 12, 31
_LIST_ITEMS_MIN = 5
_USUAL = ([3, 4, 4], [1] * 11, [3, 8], [7, 4], [4, 4, 3], [4, 3, 4], [3, 3, 5], [5, 6])


def phones_however_grouped(plain: str) -> list[tuple[int, int]]:
    """Where eleven digits from 13 to 19 stand, with at most three signs or spaces between two of them.

    Args:
        plain: the text in ASCII digits and signs.
    """
    found = [match.span(1) for match in _ELEVEN.finditer(plain)]
    return [(start, end) for start, end in found if _begins(plain, start) and not _is_other(plain, start, end)]


def is_labelled_or_sum(plain: str, start: int, end: int) -> bool:
    """Whether the digits there are the number of a thing, or in groups before a currency; then they are no phone."""
    if _is_labelled(plain[max(0, start - _WINDOW) : start]):
        return True
    if _is_labelled_in_english(plain[max(0, start - _ENGLISH_WINDOW) : start]):
        return True
    return not plain[start:end].isdigit() and _SUM.match(plain, end) is not None


def _is_other(plain: str, start: int, end: int) -> bool:
    """Also whether they are a moment, an address, a list, or parts of several things."""
    if is_labelled_or_sum(plain, start, end):
        return True
    text = plain[start:end]
    groups = re.findall(r"\d+", text)
    if len(groups) == 1:
        return False
    if _is_reading(plain, start, end):
        return True
    signs = [one.replace(" ", "") for one in re.findall(r"\D+", text)]
    return _is_moment(groups, signs) or _is_counted(groups, signs) or _is_mixed(plain, start, end, signs)


def _begins(plain: str, start: int) -> bool:
    before = plain[max(0, start - _WINDOW) : start]
    word = _WORD_BEFORE.search(before)
    return not _DECIMAL.search(before) and word is not None and _NO_ID.fullmatch(word.group()) is not None


def _is_labelled(before: str) -> bool:
    """Whether the words before say whose number it is, and it is nobody's phone."""
    found = _LABELS.search(before)
    return found is not None and (found["what"] is None or found["what"] not in _WHOSE)


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
    alike = len(set(lengths[:-1])) == 1 and lengths[0] > 1
    return alike and len(groups) >= _LIST_ITEMS_MIN and all(one < other for one, other in pairwise(numbers[:-1]))


def _is_mixed(plain: str, start: int, end: int, signs: list[str]) -> bool:
    """Whether the signs are those of several things: 131.123456,46.123, or a part of a longer row of numbers."""
    apart = {one.strip("()[]{}<>【】") for one in signs} - {""}
    if len(apart) > 1 and not apart <= {"-", ".", "·", "_"}:
        return True
    first = re.search(r"[0-9]([\W_]{1,3})$", plain[max(0, start - 4) : start])
    usual = re.sub(r"\D+", " ", plain[start:end]).split()
    return first is not None and [len(one) for one in usual] not in _USUAL and first[1].replace(" ", "") == signs[0]
