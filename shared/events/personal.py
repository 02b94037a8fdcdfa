"""Which fields of events are about a person: docs/data-map.md, erasure and the check of new fields are made from it.

A text field of an event carries one of these in its annotation: `Annotated[str, Personal(...)]` where it tells of a
person, `Annotated[str, Impersonal()]` where it can't. Numbers, times and ids carry `Personal` where they do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, GetJsonSchemaHandler

Sort = Literal["id", "number", "name", "words", "place", "photo", "address", "time", "device"]
Path: TypeAlias = tuple[str, ...]
COARSE_DECIMALS = 4
"""Of an erased rider's places: about 10 m. The thing in the street is found, nobody's way is."""
ERASED = "erased"
ERASED_WORDS = "（已删除 / erased）"
"""In place of what an erased rider said in a step, so that the step still reads."""
_PREFIX = "erased:"


@dataclass(frozen=True, slots=True)
class Personal:
    """A field about a person. `why`: what it is needed for; `kept`: how long, where not as long as its topic or table.

    `erased` is what stands there once the person is erased; `...`: it stays, since alone it leads to nobody. It goes
    where the event names that person, in a model inside it where that one does; `of`: only where this field does.
    `where`: a field of the same model and the value that it has where an id is a rider's.
    """

    sort: Sort
    why: str
    erased: Any = ...
    kept: str = ""
    of: str = ""
    where: tuple[str, str] | None = None

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Readers in other languages see it, too."""
        return {**handler(schema), "x-personal": self.sort}

    def without(self, value: Any) -> Any:
        """What is left of a value after erasure."""
        if self.erased is ...:
            return value
        if self.erased is coarse:
            # of a record that can't be read anything may stand there, also what has no decimals
            return coarse(value) if isinstance(value, int | float) else None
        return self.erased if value else value


@dataclass(frozen=True, slots=True)
class Impersonal:
    """A text that can't be about a person: a code, a state, a name of a thing."""


def coarse(degrees: float) -> float:
    """A coordinate as it stays after erasure."""
    return round(degrees, COARSE_DECIMALS)


def number_mark(company: str, number: str) -> str:
    """What stands in place of an erased rider's number at a company.

    The number can't be read from it, but a number that comes again is recognised: that rider is not registered again.
    """
    return _PREFIX + blake2b(f"{company}\x1f{number}".encode(), digest_size=20, person=b"beegrid-erased").hexdigest()


def marked_fields(model: type[BaseModel]) -> Iterator[tuple[str, Personal | Impersonal | None]]:
    """Every field of a model with its mark, None where it has none."""
    for name, info in model.model_fields.items():
        yield name, next((one for one in info.metadata if isinstance(one, Personal | Impersonal)), None)


def personal_paths(model: type[BaseModel], at: Path = ()) -> Iterator[tuple[Path, Personal]]:
    """Every personal field of a model, those of models inside it too, with the names of the fields on the way."""
    for name, mark in marked_fields(model):
        if isinstance(mark, Personal):
            yield (*at, name), mark
        for inner in inner_models(model, name):
            yield from personal_paths(inner, (*at, name))


def inner_models(model: type[BaseModel], name: str) -> Iterator[type[BaseModel]]:
    """Models that a field holds, also in tuples and unions."""
    waiting = [model.model_fields[name].annotation]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one
        waiting += getattr(one, "__args__", ())
