"""What the clients of a test have been answered: the only thing that a promise may be held against."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    """How an operation ended for its client."""

    OK = "ok"
    FAIL = "fail"
    """It has surely not happened."""
    UNKNOWN = "unknown"
    """No answer, or one that leaves both possible."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one aggregate. `key` and `version` as the service answered; only where it is ok."""

    result: Result
    key: str = ""
    version: int = 0
    detail: str = ""


@dataclass
class Journal:
    """Written by many threads: `list.append` needs no lock."""

    operations: list[Operation] = field(default_factory=list)

    def note(self, operation: Operation) -> None:
        """Remember one operation."""
        self.operations.append(operation)

    def accepted(self) -> set[tuple[str, int]]:
        """(key, version) of every change that was acknowledged to a client."""
        return {(one.key, one.version) for one in self.operations if one.result is Result.OK}

    def count(self, result: Result) -> int:
        """How many operations ended so."""
        return sum(one.result is result for one in self.operations)

    def summary(self) -> str:
        """Counts by result and detail."""
        return str(Counter(f"{one.result} {one.detail}".strip() for one in self.operations).most_common(12))
