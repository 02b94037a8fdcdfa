"""Texts from outside: what nobody sees is neither in words nor in codes."""

import time
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.events.common import AreaCode, CompanyCode, ExternalId
from shared.events.outside import Code, Line, RowId, Words, plain

HIDDEN = ["\u061c", "\u200b", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff"]
CODE, LINE, WORDS = TypeAdapter(Code), TypeAdapter(Line), TypeAdapter(Words)


@pytest.mark.parametrize("one", [*HIDDEN, "\u00ad", "\u200c", "\u200d", "\U000e0041"])
def test_codes_have_nothing_unseen(one: str) -> None:
    for code in (f"c{one}g{one}1", f"{one}cg1", f"cg1{one}", f"城管{one}一"):
        with pytest.raises(ValidationError, match="nobody sees"):
            CODE.validate_python(code)


@pytest.mark.parametrize("one", HIDDEN)
def test_words_and_lines_lose_what_is_unseen(one: str) -> None:
    assert WORDS.validate_python(f"井盖{one}坏了{one}\n3{one}号") == "井盖坏了\n3号"
    assert LINE.validate_python(f"城{one}管{one}") == "城管"
    with pytest.raises(ValidationError, match="blank"):
        LINE.validate_python(f" {one} {one}")


def test_words_keep_what_joins() -> None:
    for words in ("👷\u200d♂️ 来了", "می\u200cخواهم", "🏴\U000e0067\U000e0062\U000e007f"):
        assert WORDS.validate_python(words) == words
        assert LINE.validate_python(words) == words
    for blank in ("\u200d", "\u200c \u00ad"):
        with pytest.raises(ValidationError, match="blank"):
            LINE.validate_python(blank)
    assert CODE.validate_python("ＣＧ１ ") == "CG1"


MARKS = "\u0301" * 15_000 + "\u0316" * 15_000  # in an order that takes the square of their number to put right
GROWS = "ﷺ" * 30_000  # eighteen characters each in the plain form


@pytest.mark.parametrize("text", [MARKS, GROWS, "é" * 401], ids=["marks", "grows", "a little too long"])
@pytest.mark.parametrize(
    "kind", [Code, RowId, AreaCode, CompanyCode, ExternalId], ids=["code", "number", "area", "company", "external_id"]
)
def test_what_is_too_long_for_a_plain_form_is_refused_before_it_is_made(text: str, kind: Any) -> None:
    adapter = TypeAdapter[Any](kind)
    began_s = time.process_time()
    with pytest.raises(ValidationError, match="more than 400 characters"):
        adapter.validate_python(text)
    assert plain(text) == text
    assert time.process_time() - began_s < 0.5  # the marks had taken 1.6 s, twice their number four times as long


def test_what_is_just_short_enough_has_its_plain_form() -> None:
    assert CODE.validate_python("１" * 400) == "1" * 400
    assert CODE.validate_python("a" * 401) == "a" * 401
