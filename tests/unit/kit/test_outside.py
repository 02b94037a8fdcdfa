"""Texts from outside: what nobody sees is neither in words nor in codes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.events.outside import Code, Line, Words

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
