"""Whom a company's record or request names, in whatever form it was sent: what erasure looks for.

What the suite refuses is read here all the same, so nothing is asked of its form: CloudEvents around the body, any of
JSON's encodings, numbers in full width, records that were cut. One name too many costs nothing, one too few leaves
somebody's words behind.

Whoever sends it has chosen it, so the work on a body is bounded by its size alone, in time and in memory: torn text is
read by its colons, and whoever counts numbers stops at the first too many. Its size is bounded by who calls.
"""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shared.events.outside import plain
from shared.events.personal import number_mark

MARKS_MAX = 1_000
"""Of one record. One that names more counts as one that can't be read."""
WRAPPED_MAX = 1_000
"""Bodies that one has inside, in Base64: as many as the largest batch has events."""
NUMBER_LENGTH_MAX = 400
"""Of what may be a number in some form: what is longer is none."""
_ESCAPED_MAX: Final = 6
"""Characters that one may take: \\u0031."""
_NAME_LENGTH_MAX: Final = 80
_WRAPPED: Final = "data_base64"
_WRAPPINGS_MAX = 3
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs"})
# What stands behind a member's name. Without ways back: a repeated group that has some keeps 170 bytes a character.
_VALUE = re.compile(rf'"\s*+:\s*+(?:(")|(-?\d{{1,{NUMBER_LENGTH_MAX + 1}}}))')
_TEXT = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class TooMany(Exception):
    """A body names more riders, or has more bodies inside, than are looked at."""


def marks_named(company: str, body: bytes, fields: Iterable[str], numbers_max: int, *, torn: bool) -> list[str]:
    """Marks of the company's numbers that stand under these fields, at any depth; [] where there is none.

    Args:
        company: whose numbers they are.
        body: JSON, or what was to be some.
        fields: names of members.
        numbers_max: as many different ones are looked for.
        torn: whether what is no JSON is searched too.

    Raises:
        TooMany: there are more.
    """
    found: set[str] = set()
    for number in _numbers(body, frozenset(fields), torn=torn):
        found.add(number)
        if len(found) > numbers_max:
            raise TooMany
    return sorted({number_mark(company, form) for number in found for form in _forms(number)})


def marks_of(company: str, number: str) -> list[str]:
    """Marks of a number in the forms under which the suite may know it."""
    return sorted({number_mark(company, form) for form in _forms(number)})


def _forms(number: str) -> set[str]:
    """As `outside.plain` brings it in, and without what nobody sees."""
    if number.isascii() and number.isprintable():
        return {number, number.strip()}
    if len(number) > NUMBER_LENGTH_MAX:
        return set()
    normal = unicodedata.normalize("NFKC", number)
    if len(normal) > NUMBER_LENGTH_MAX:  # one character may become eighteen
        return set()
    seen = "".join(c for c in normal if unicodedata.category(c) not in _UNSEEN).strip()
    return {form for one in (plain(number), seen) if (form := one.encode(errors="ignore").decode())}


def _numbers(body: bytes, fields: frozenset[str], *, torn: bool = True) -> Iterator[str]:
    bodies = [body]
    for _ in range(_WRAPPINGS_MAX):
        seen: set[int] = set()
        members = [member for one in bodies for member in _members(one, fields | {_WRAPPED}, torn=torn)]
        yield from (
            text
            for name, value in members
            if name in fields
            for text in _texts(value, seen)
            if len(text) <= NUMBER_LENGTH_MAX
        )
        seen = set()
        wrapped = (inner for name, value in members if name == _WRAPPED for inner in _unwrapped(value, seen))
        bodies = list(islice(wrapped, WRAPPED_MAX + 1))
        if len(bodies) > WRAPPED_MAX:
            raise TooMany


def _name(text: str) -> str:
    """As fields are called, whatever width and case it has; "" for what is too long for any of them."""
    text = text.strip()
    if len(text) > _NAME_LENGTH_MAX:  # bringing it into one form may take the square of its length
        return ""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _members(body: bytes, wanted: frozenset[str], *, torn: bool = True) -> list[tuple[str, Any]]:
    """Members of these names of every object in a body, also those that stand twice; of what is no JSON, where `torn`
    is read, as many as are seen."""
    found: list[tuple[str, Any]] = []

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend((name, value) for one, value in members if (name := _name(one)) in wanted)
        return dict(members)

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        found = list(_members_seen(body.decode(json.detect_encoding(body), "replace"), wanted)) if torn else []
    return found


def _members_seen(text: str, wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Members with a text or a whole number in what is no JSON: each colon is looked at, and what stands around it."""
    at = 0
    while (match := _VALUE.search(text, at)) is not None:
        at = end = match.end()
        if match[1] and (value := _TEXT.match(text, end)) is not None:
            end = value.end()
        begins = text.rfind('"', max(0, match.start() - _NAME_LENGTH_MAX * _ESCAPED_MAX), match.start()) + 1
        # a wanted name is longer than nothing: of nothing a record may be full
        name = _name(_unescaped(text[begins : match.start()])) if 0 < begins < match.start() else ""
        if name in wanted and (name == _WRAPPED or end - at <= NUMBER_LENGTH_MAX * _ESCAPED_MAX):
            yield name, _unescaped(text[at:end]) if match[1] else match[2]
        at = end


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """Texts and whole numbers of a value: a number may stand in a list, or in an object of its own.

    `seen`: lists and objects that gave theirs already, by identity. A field may stand inside itself a thousand times.
    """
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list | dict):
            if id(one) in seen:
                continue
            seen.add(id(one))
        if isinstance(one, str | int) and not isinstance(one, bool):
            yield str(one)
        elif isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, dict):
            pending.extend(one.values())


def _unwrapped(value: Any, seen: set[int]) -> Iterator[bytes]:
    for text in _texts(value, seen):
        try:
            yield base64.b64decode(text.encode(errors="ignore") + b"==")
        except (binascii.Error, ValueError):
            continue
