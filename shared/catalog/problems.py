"""Every code of refusals with its words: the page behind a problem's `type` shows it, and the catalogue says it.

The data is generated (`make gen`) from the problems.py of all services and of the kit, and the kit's codes of letters.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

DATA = Path(__file__).with_suffix(".json")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(_Read):
    """The same in both languages."""

    zh: str
    en: str


class Answering(_Read):
    """A service that can answer with the code, and its Chinese name."""

    name: str
    zh: str


class Letters(_Read):
    """Of a code that may be the reason of a dead letter: on which topics (none: all), and what may come again."""

    topics: tuple[str, ...]
    same_number: bool
    same_id: bool


class ProblemWords(_Read):
    """One code. `services`: empty for every service. Without `status` only dead letters have it."""

    code: str
    status: int | None
    title: Words
    services: tuple[Answering, ...]
    meaning: Words
    next: Words
    letters: Letters | None


@cache
def problem_words() -> Mapping[str, ProblemWords]:
    """All of them by their code."""
    return {one.code: one for one in TypeAdapter(list[ProblemWords]).validate_json(DATA.read_bytes())}
