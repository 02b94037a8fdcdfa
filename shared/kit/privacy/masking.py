"""Numbers by which a person can be called, and the like, taken out of words that others read.

One function for reports' words, notes of steps, messages, pages and logs. It must find phones however they are written
and leave alone what looks like them: dates, amounts, areas' codes, numbers of cases and reports, ids.
"""

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date

from shared.kit import clock
from shared.kit.privacy.masking_groups import is_labelled_or_size, phones_however_grouped

MASK = "***"
_CHARACTERS_AT_ONCE = 4_000
WORKING_AGE_YEARS = 16
"""Eighteen digits with a younger date are the number of a case or report: a region, a day, a serial number."""
# of all digits that Unicode has: in circles, brackets, raised or lowered too
_ANY_DIGIT = (
    r"[\d²³¹\u2070-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff"
    r"\u2776-\u277e\u2780-\u2788\u278a-\u2792\U0001f100-\U0001f10a]"
)
_ENOUGH_DIGITS = re.compile(f"{_ANY_DIGIT}(?:{_ANY_DIGIT.replace('[', '[^', 1)}*{_ANY_DIGIT}){{6}}")
_GAP = r"[ .·_-]"
# Of 138 0013 8000 alone: two groups, or others than these, with a comma between are amounts and places.
_WIDER_GAP = r"[ .·_,/-]"
# no part of a longer number or of an id: letters, or a letter or digit and a sign
_BEFORE = r"(?<![0-9A-Za-z])(?<![0-9A-Za-z][_-])(?<![0-9]\.)"
_BEHIND = r"(?![0-9A-Za-z])(?![_-][0-9A-Za-z])"
# behind a phone stand words, the next phone, a floor: all but what makes a longer number or an id of it
_BEHIND_PHONE = r"(?![0-9])(?![A-Za-z]+[0-9])"
_PREFIX = r"(?:(?:\+|00)?\(?86\)?" + _GAP + r"{0,2})?"
# a13800138000 and NO13800138000 are phones, suda-r-13800138000 is an id
_WORD = r"(?<![0-9A-Za-z_-])[A-Za-z]{1,12}"
_CONTACT = (
    r"(?:(?<![0-9A-Za-z])(?:wx|vx|v|weixin|wechat|tel|mob|mobile|phone)[ .:_-]{0,2}|" + _WORD + "|" + _BEFORE + ")"
)
# Of 138 0013 8000, 138.0013.8000 and the like the first group has at least three digits, so that no date is one.
_SHAPES = ((3, 3, 5), (4, 4, 3), (4, 3, 4), (3, 8), (7, 4), (5, 6), (11,))


def _grouped(first: int, *others: int, gap: str = _GAP) -> str:
    rest = "".join(f"{gap}{{1,3}}\\d{{{more}}}" for more in others)
    return f"1[3-9]\\d{{{first - 2}}}{rest}"


_MOBILE = "|".join(
    [
        *(_grouped(*shape) for shape in _SHAPES),
        _grouped(3, 4, 4, gap=_WIDER_GAP),
        rf"\(1[3-9]\d\){_GAP}{{0,2}}\d{{4}}{_GAP}{{0,3}}\d{{4}}",
        f"1{_GAP}[3-9](?:{_GAP}\\d){{9}}",
    ]
)
# as it was dialled from other cities
_ZERO = f"(?:0{_GAP}{{0,2}})?"
_AREA = r"(?:10|2\d|[3-9]\d{2})"
_EXTENSION = r"(?:[ -]{0,2}(?:转|ext\.?|-) ?\d{1,6})?"
_LOCAL = rf"[2-9]\d{{2,3}}{_GAP}{{0,3}}\d{{4}}"
# 0571/88886666 and 0571:88886666: behind the area's code any signs
_LANDLINE = rf"(?:\(0{_AREA}\)|0{_AREA})(?:[\W_]{{0,4}}|转){_LOCAL}{_EXTENSION}"
# 0086 571 8888 6666: no 0 before the area's code. Without 00 the signs must be a phone's: 86 25 300 2000 is a row
_LANDLINE_FROM_ABROAD = (
    rf"0086{_GAP}{{0,2}}\(?{_AREA}\)?{_GAP}{{0,3}}{_LOCAL}{_EXTENSION}"
    rf"|86(?:{_GAP}{{1,2}}{_AREA}{_GAP}{{1,3}}[2-9]\d{{6,7}}|-{_AREA}-[2-9]\d{{2,3}}-\d{{4}}){_EXTENSION}"
)
_ABROAD = r"\+[1-9]\d{0,2}(?:[ .()-]{0,2}\d){7,12}"
_NEAR_ABROAD = r"00(?:85[23](?:[ .()-]{0,2}\d){8}|886(?:[ .()-]{0,2}\d){8,9})"
# 13800138000-13900139000: the sign between makes no id of two phones
_FURTHER = rf"(?:[._-](?:{_PREFIX}(?:{_MOBILE}|{_LANDLINE})))*"
_NAMED = r"(?:电话|手机|致电|拨打|座机|固话|联系方式|(?<![A-Za-z])(?:tel|phone|call))"
_PHONES = re.compile(f"(?:{_CONTACT})({_PREFIX}({_ZERO}(?:{_MOBILE})){_FURTHER}){_BEHIND_PHONE}", re.IGNORECASE)
_NUMBERS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        f"{_BEFORE}({_PREFIX}{_LANDLINE}{_FURTHER}){_BEHIND_PHONE}",
        f"{_BEFORE}({_LANDLINE_FROM_ABROAD}|{_NEAR_ABROAD}){_BEHIND_PHONE}",
        f"(?<![0-9A-Za-z+])({_ABROAD}){_BEHIND}",
        rf"{_NAMED}[^0-9A-Za-z]{{0,4}}([2-9]\d{{2,3}}[ -]?\d{{4}}){_BEHIND}",
    )
]
_IDENTITY = re.compile(rf"{_BEFORE}[1-9]\d{{5}}[ -]?((?:19|20)\d{{6}})[ -]?\d{{3}}[0-9X]{_BEHIND}", re.IGNORECASE)
# the first digits as banks in China give them out; 41 to 65 are also provinces, see `_is_card`
_CARD = re.compile(
    rf"{_BEFORE}(?:4\d{{3}}|5[1-5]\d{{2}}|35[2-8]\d|6[02-9]\d{{2}}|9558)"
    rf"(?:[ -]{{0,2}}\d{{4}}){{3}}(?:[ -]{{0,2}}\d{{1,3}})?{_BEHIND}"
)
_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DATED = re.compile(rf"\d{{6}}(?:19|20)\d{{2}}{_DAY}")
_DATED_SHORT = re.compile(rf"\d{{6}}[0-4]\d{_DAY}")
# Only from where a word begins, and never back: the work grows with the length. Addresses that touch are one find.
_MAIL = re.compile(r"(?<![\w.+-])(?:[\w.+-]++@[\w-]++(?:\.[\w-]++)++)++")
# A full stop between groups is a gap, but no decimal point: a house's number may follow it.
_SIGNS = {"。": ",", "・": "·", "•": "·"}
_LIKE = str.maketrans(_SIGNS | dict.fromkeys("－–—‐‑‒−﹣ー", "-") | dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " "))
_IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def masked(text: str, mask: str = MASK) -> str:
    """The text with phones (mobile and landline), identity and bank cards' numbers and mail addresses blotted out.

    Digits, signs and spaces of any script and width are read as what they mean, and nothing hides between them that
    nobody sees; the rest of the text stays as it is. Hotlines (110, 12345, 400-…) are nobody's own and stay.
    """
    digits, mail = _ENOUGH_DIGITS.search(text), "@" in text or "＠" in text or "﹫" in text
    if not (digits or mail):
        return text
    plain, places = _plain(text)
    spans = [found.span() for found in _MAIL.finditer(plain)] if mail else []
    if digits:
        spans += [found.span(1) for found in _PHONES.finditer(plain) if not is_labelled_or_size(plain, *found.span(2))]
        spans += [found.span(1) for pattern in _NUMBERS for found in pattern.finditer(plain)]
        spans += phones_however_grouped(plain)
        spans += [found.span() for found in _IDENTITY.finditer(plain) if _is_identity(found.group(), found[1])]
        spans += [found.span() for found in _CARD.finditer(plain) if _is_card(found.group())]
    parts, at = [], 0
    for start, end in sorted(spans):
        if places[start] >= at:
            parts += [text[at : places[start]], mask]
        at = max(at, places[end - 1] + 1)
        while at < len(text) and unicodedata.category(text[at]) in {"Mn", "Me"}:
            at += 1  # what encloses the last digit goes with it
    return "".join([*parts, text[at:]])


async def masked_each(texts: Iterable[str]) -> list[str]:
    """Each of the texts masked; others go on between: a turn's longest texts together are work for a second."""
    shown, characters = [], 0
    for text in texts:
        shown.append(masked(text))
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE:
            characters = 0
            await asyncio.sleep(0)
    return shown


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """The same text in ASCII digits, signs and spaces, without characters of no width; each one's place in `text`."""
    if text.isascii():
        return text.translate(_LIKE), range(len(text))
    kept = [(place, one) for place, one in enumerate(text.translate(_LIKE)) if one.isascii() or not _unseen(one)]
    return "".join(one if one.isascii() else _like(one) for _, one in kept), [place for place, _ in kept]


def _unseen(one: str) -> bool:
    # marks that enclose make keys of digits: 1️⃣
    return unicodedata.category(one) in {"Cf", "Mn", "Me"}


def _like(one: str) -> str:
    if (digit := unicodedata.digit(one, None)) is not None:
        return str(digit)
    meant = unicodedata.normalize("NFKC", one)
    return meant if len(meant) == 1 else one


def _is_identity(number: str, born: str) -> bool:
    """Whether the last sign is the check of an identity card (ISO 7064) and somebody born that day may work by now."""
    signs = [one for one in number.upper() if one.isalnum()]
    left = sum(weight * int(sign) for weight, sign in zip(_IDENTITY_WEIGHTS, signs, strict=False)) % 11
    if "10X98765432"[left] != signs[-1]:
        return False
    try:
        day = date(int(born[:4]), int(born[4:6]), int(born[6:]))
    except ValueError:
        return False
    today = clock.now().date()  # process clock: of years
    return (today - day).days >= WORKING_AGE_YEARS * 365


def _is_card(number: str) -> bool:
    """Whether the last digit is that of a bank card (Luhn), and the number is none of a region and a day."""
    signs = "".join(one for one in number if one.isdigit())
    if _DATED.match(signs) or (len(signs) not in {16, 19} and (signs[0] != "6" or _DATED_SHORT.match(signs))):
        return False
    digits = [int(one) for one in reversed(signs)]
    return (sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0
