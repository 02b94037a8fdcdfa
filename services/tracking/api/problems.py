"""Every problem code of the suite with its words, for the page behind a problem's `type`.

The data is generated (`make gen`) from the problems.py of all services and of the kit.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

DATA = Path(__file__).parents[1] / "data/problems.json"


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


class ProblemWords(_Read):
    """One code. `services`: empty for every service."""

    code: str
    status: int
    title: Words
    services: tuple[Answering, ...]
    meaning: Words
    next: Words


@cache
def problem_words() -> Mapping[str, ProblemWords]:
    """All of them by their code."""
    return {one.code: one for one in TypeAdapter(list[ProblemWords]).validate_json(DATA.read_bytes())}
