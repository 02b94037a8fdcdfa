"""A problem is data; a refusal is a problem met once: raised or returned, answered over HTTP or as a dead letter.

Each service declares what it refuses with in its problems.py, the kit in shared/kit/problems.py:

    SOLD_OUT = Problem(
        "sold_out", 409, zh="已兑完", en="Sold out",
        next_zh="换一种礼品，或等待补货。", next_en="Choose another offer, or wait for new stock.",
    )
    raise problems.SOLD_OUT("no piece is free", free=0)
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field

RESERVED = frozenset({"type", "title", "status", "detail", "code"})
"""Members that every problem document has."""
FIELD = "field"
"""A member that any problem document may have: the field at fault."""
_MARK = "__beegrid_refuses__"
_CODE = re.compile(r"[a-z][a-z0-9_]*")
F = TypeVar("F", bound=Callable[..., Any])


def _is_empty(value: object) -> bool:
    return not value


@dataclass(frozen=True, slots=True)
class Member:
    """A member that documents of some problems have beside those of every problem: clients find it in the schema.

    `kind`: its type, as pydantic reads one, or the name of an answer's model of the same service; `words`: what it
    says. One name has one type in the whole suite.
    """

    name: str
    kind: Any
    words: str


class Fault(BaseModel):
    """One of the things that are at fault: always `problem`, and where it is, as far as there is something to name."""

    problem: str = Field(description="why, for people; quotes nothing that was sent")
    field: str = Field("", description="the field, e.g. `body.items.3.kind`", exclude_if=_is_empty)
    kind: str = Field("", description="why, for programs", exclude_if=_is_empty)
    line: int = Field(0, description="the line of a table, from 1", exclude_if=_is_empty)
    code: str = Field("", description="the code of an area", exclude_if=_is_empty)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse. Called with what is particular to a case, it makes the refusal.

    Raises:
        ValueError: the code isn't snake_case, the status no error's, a text is missing in a language, or a member is
            one that every document has.
    """

    code: str
    """For programs: stable, snake_case. Dead letters and metrics have it too."""
    status: int
    """Of a whole request over HTTP; one item of a list and a record from Kafka are refused without any."""
    zh: str
    en: str
    """What it is, in a few words: the title."""
    next_zh: str
    next_en: str
    """What whoever is refused can do now: one sentence."""
    members: tuple[Member, ...] = ()
    """What documents of this problem may say beside."""
    same_number: bool = True
    """Whether what was refused can be sent once more, put right, under the number that it had. False: the number is
    spent, or was given away."""

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code) or not 400 <= self.status <= 599:
            raise ValueError(f"no problem: {self.code!r} with status {self.status}")
        if not all((self.zh, self.en, self.next_zh, self.next_en)) or " / " in self.zh + self.en:
            raise ValueError(f"{self.code}: say what it is and what to do next, in both languages")
        if clash := (RESERVED | {FIELD}) & {member.name for member in self.members}:
            raise ValueError(f"{self.code}: every document may have {sorted(clash)}")

    @property
    def title(self) -> str:
        """Chinese / English."""
        return f"{self.zh} / {self.en}"

    def __call__(self, detail: str = "", **extras: object) -> "Refusal":
        """The refusal; `extras` are further members of its document: `field`, the field at fault, and its `members`.

        Raises ValueError for another one: no client would know of it.
        """
        return Refusal(self, detail, extras)


class Refusal(Exception):
    """Why something was not done. `detail`, in English, quotes nothing that was sent; without it the title stands.

    `headers`: of its answer over HTTP, such as Retry-After in seconds; nobody else looks at them.

    Raises:
        ValueError: `extras` have a member that the problem doesn't declare.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        extras: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.problem = problem
        self.detail = detail or problem.title
        self.extras = dict(extras or {})
        self.headers = dict(headers or {})
        if unknown := self.extras.keys() - {FIELD} - {member.name for member in problem.members}:
            raise ValueError(f"{problem.code} declares no member {sorted(unknown)}")
        super().__init__(f"{problem.title}: {detail}" if detail else problem.title)

    @property
    def code(self) -> str:
        """The problem's code."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The problem's status over HTTP."""
        return self.problem.status

    @property
    def title(self) -> str:
        """The problem's title."""
        return self.problem.title

    @property
    def field(self) -> str | None:
        """The field at fault, where there is one."""
        return self.extras.get("field")


def may_refuse(*problems: Problem) -> Callable[[F], F]:
    """Declares what a dependency of routes refuses with: every route that has it says so in its document."""

    def mark(function: F) -> F:
        setattr(function, _MARK, problems)
        return function

    return mark


def refused_by(function: object) -> Iterable[Problem]:
    """What a dependency declares that it refuses with."""
    declared: tuple[Problem, ...] = getattr(function, _MARK, ())
    return declared
