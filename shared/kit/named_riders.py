"""Whom a company's record or request names, in whatever form it was sent: what erasure looks for.

What the suite refuses is read here all the same, so nothing is asked of its form: CloudEvents around the body, any of
JSON's encodings, numbers in full width, records that were cut. One name too many costs nothing, one too few leaves
somebody's words behind.
"""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from shared.events.outside import plain
from shared.events.personal import number_mark

MARKS_MAX = 1_000
"""Of one record. One that names more counts as one that can't be read."""
NUMBER_LENGTH_MAX = 400
"""Of what may be a number in some form: what is longer is none."""
_WRAPPED: Final = "data_base64"
_WRAPPINGS_MAX = 3
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs"})
_MEMBER = re.compile(r'"((?:[^"\\]|\\.){1,80})"\s*:\s*(?:"((?:[^"\\]|\\.)*)|(-?\d+))', re.DOTALL)


def marks_named(company: str, body: bytes, fields: Iterable[str]) -> list[str]:
    """Marks of the company's numbers that stand under these fields, at any depth; [] where there is none."""
    named = {form for number in _numbers(body, frozenset(fields)) for form in _forms(number)}
    return sorted({number_mark(company, number) for number in named})


def marks_of(company: str, number: str) -> list[str]:
    """Marks of a number in the forms under which the suite may know it."""
    return sorted({number_mark(company, form) for form in _forms(number)})


def _forms(number: str) -> set[str]:
    """As `outside.plain` brings it in, and without what nobody sees."""
    if number.isascii() and number.isprintable():
        return {number, number.strip()}
    normal = unicodedata.normalize("NFKC", number)
    seen = "".join(c for c in normal if unicodedata.category(c) not in _UNSEEN).strip()
    return {form for one in (plain(number), seen) if (form := one.encode(errors="ignore").decode())}


def _numbers(body: bytes, fields: frozenset[str]) -> Iterator[str]:
    bodies: list[str | bytes] = [body]
    for _ in range(_WRAPPINGS_MAX):
        seen: set[int] = set()
        members = [member for one in bodies for member in _members(one)]
        yield from (
            text
            for name, value in members
            if _name(name) in fields
            for text in _texts(value, seen)
            if len(text) <= NUMBER_LENGTH_MAX
        )
        seen = set()
        bodies = [inner for name, value in members if _name(name) == _WRAPPED for inner in _unwrapped(value, seen)]


def _name(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _members(body: str | bytes) -> Sequence[tuple[str, Any]]:
    """Every member of every object in a body, also those that stand twice; of what is no JSON as many as are seen."""
    found: list[tuple[str, Any]] = []

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(members)
        return dict(members)

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "replace")
        found = [(_unescaped(one[1]), _unescaped(one[2] or one[3] or "")) for one in _MEMBER.finditer(text)]
    return found


def _unescaped(text: str) -> str:
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
