"""Every problem code of the suite with its words, for the page behind a problem's `type`.

The data is generated (`make gen`) from the calls that make problems, in all services.
"""

from collections.abc import Mapping
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
    """One code. `item`: it can also refuse one item of a list. `services`: empty for every service."""

    code: str
    statuses: tuple[int, ...]
    item: bool
    titles: tuple[Words, ...]
    services: tuple[Answering, ...]
    meanings: tuple[Words, ...]
    next: tuple[Words, ...]


PROBLEMS: Mapping[str, ProblemWords] = {
    one.code: one for one in TypeAdapter(list[ProblemWords]).validate_json(DATA.read_bytes())
}
