"""Texts and numbers as they come from outside: brought into one form, or refused where they are read.

Postgres holds no null character, JSON no lone surrogate, and a column no more than its 64 bits. Who reads a note must
not see other words than were written: characters that turn the direction of what follows, or have no width, are left
out. Codes and numbers come from keyboards that write `１２３` for `123`: they are brought into the plain form, words
never are; two codes that look the same are the same, so nothing unseen may be in one.
"""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
PLAIN_LENGTH_MAX = 400
"""Characters of a text that is brought into the plain form. Marks in the wrong order take the square of their number
to put right, within one call; and one character may become eighteen."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNSEEN = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
# Of what nobody sees, words may need only the joiners U+200C and U+200D: in emoji and in scripts that join letters.
_HIDDEN = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def storable(text: str) -> str:
    """Raises ValueError for a text that no store can hold."""
    if _UNSTORABLE.search(text):
        raise ValueError("has a null character or half of a surrogate pair")
    return text


def legible(text: str) -> str:
    """Words as they may be shown: controls are spaces; what turns the direction or has no width is left out."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub("", _UNSEEN.sub(" ", storable(text)))


def one_line(text: str) -> str:
    """As `legible`, of a name or title. Raises ValueError for a blank one, for line breaks and other controls."""
    if _CONTROL.search(text):
        raise ValueError("has a line break or another control character")
    shown = legible(text)
    if all(one.isspace() or _unseen(one) for one in shown):
        raise ValueError("is blank")
    return shown


def naming(text: str) -> str:
    """Raises ValueError for what has no place in a name for machines: controls, and what nobody sees."""
    if not text.isascii() and any(_unseen(one) for one in storable(text)):
        raise ValueError("has a character that nobody sees")
    if _CONTROL.search(storable(text)):
        raise ValueError("has a control character")
    return text


def _unseen(one: str) -> bool:
    return unicodedata.category(one) == "Cf"


def plain(value: Any) -> Any:
    """A code or number in its plain form (NFKC), without spaces around it; what is no text is left as it is.

    So is what has other characters than ASCII and more than PLAIN_LENGTH_MAX of them: it is no code.
    """
    if not isinstance(value, str):
        return value
    if value.isascii():
        return value.strip(" ")
    return value if len(value) > PLAIN_LENGTH_MAX else unicodedata.normalize("NFKC", value).strip(" ")


def _plain_field(value: Any) -> Any:
    """As `plain`. Raises ValueError for a text that is too long for it: no field takes what has no plain form."""
    if isinstance(value, str) and len(value) > PLAIN_LENGTH_MAX and not value.isascii():
        raise ValueError(f"has more than {PLAIN_LENGTH_MAX} characters")
    return plain(value)


def cleaned(text: str) -> str:
    """Any text, storable: for reasons and details that nobody should lose because of a character."""
    return _UNSTORABLE.sub("\ufffd", text)


PLAIN_FORM, LEGIBLE, ONE_LINE = BeforeValidator(_plain_field), AfterValidator(legible), AfterValidator(one_line)
"""For types with a pattern, behind the Field that has it: in front of it they would hide it from the JSON schema."""
Code = Annotated[str, PLAIN_FORM, AfterValidator(naming)]
"""What names something, without a pattern."""
Words = Annotated[str, LEGIBLE]
"""What somebody says, with line breaks."""
Line = Annotated[str, ONE_LINE]
"""A name or title."""
RowId = Annotated[int, Field(ge=0, le=INT64_MAX), PLAIN_FORM]
"""A number that a table counted out, or a count that is kept in its widest column."""


def exact(schema: Any) -> Any:
    """The core schema of a body whose numbers and truth values are those of JSON: no text is taken for one, nor true
    for 1.

    Pydantic's strict mode of whole models asks for more: where a framework has parsed the JSON, lists would have to be
    tuples, and times no texts.
    """
    _make_exact(schema)
    return schema


def _make_exact(node: Any) -> None:
    if isinstance(node, list | tuple):
        for one in node:
            _make_exact(one)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind == "function-before" and node["function"].get("function") is _number:
        return  # of a model within this one, which has been here
    if kind in ("float", "bool"):
        node["strict"] = True
    elif kind == "int":
        # JSON Schema's integers may be written 1.0, which strict ones of pydantic may not
        whole = dict(node)
        node.clear()
        node.update(type="function-before", function={"type": "no-info", "function": _number}, schema=whole)
        return
    for name, one in node.items():
        if name not in ("metadata", "serialization"):
            _make_exact(one)


def _number(value: Any) -> Any:
    if isinstance(value, str | bytes | bool):
        raise ValueError("must be a number")
    return value
