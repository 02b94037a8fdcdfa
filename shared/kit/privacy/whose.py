"""Whose an event of the suite's own is, and what of it goes when they are erased: as the marks of its fields say.

Bodies come as they were sent, so that also what is no event can be read: anything may stand anywhere in it. Events of a
model may come as that model.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from shared.events.personal import Path, Personal, personal_paths
from shared.events.registry import topics

Model: TypeAlias = type[BaseModel]
_LISTS = (list, tuple)
_NO_MODELS = (str, int, float, *_LISTS)


@dataclass(frozen=True, slots=True)
class Naming:
    """A field that holds a rider's id. `where`: what stands beside it where it is a rider's."""

    path: Path
    where: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Going:
    """A field that goes with those whom `namings` find: in the model that holds the field, or in the whole event."""

    path: Path
    mark: Personal
    namings: tuple[Naming, ...]
    in_holder: bool


def namings(model: Model) -> tuple[Naming, ...]:
    """Where events of a model name riders, whatever they are for there."""
    return _namings(model)


@cache
def _namings(model: Model) -> tuple[Naming, ...]:
    return tuple(Naming(path, mark.where) for path, mark in personal_paths(model) if mark.sort == "id")


@cache
def anywhere() -> tuple[Naming, ...]:
    """Where any event of the suite names riders."""
    return tuple({naming: None for topic in topics() for naming in namings(topic.model)})


def goings(model: Model) -> tuple[Going, ...]:
    """What goes of events of a model with the riders whom they name."""
    return _goings(model)


@cache
def _goings(model: Model) -> tuple[Going, ...]:
    return tuple(_going(model, path, mark) for path, mark in personal_paths(model) if mark.erased is not ...)


def _going(model: Model, path: Path, mark: Personal) -> Going:
    holder = path[:-1]
    inside = [
        Naming(naming.path[len(holder) :], naming.where)
        for naming in namings(model)
        if naming.path[: len(holder)] == holder
    ]
    if mark.of:
        inside = [naming for naming in inside if naming.path[0] == mark.of]
    if mark.of or (holder and inside):
        return Going(path, mark, tuple(inside), in_holder=True)
    return Going(path, mark, namings(model), in_holder=False)


def riders_named(body: Any, where: Sequence[Naming]) -> set[str]:
    """Ids, in the one form in which they are looked for, of the riders whom a body names."""
    found = set()
    for naming in where:
        for holder in _reached(body, naming.path[:-1]):
            if _is_model(holder) and (naming.where is None or _value(holder, naming.where[0]) == naming.where[1]):
                found.add(id_of(_value(holder, naming.path[-1])))
    return {one for one in found if one is not None}


def is_about_nobody_known(body: Any, model: Model) -> bool:
    """Whether a body stands for a rider, and nobody can say for whom: where an id belongs is none."""
    for naming in namings(model):
        for holder in _reached(body, naming.path[:-1]):
            if not _is_model(holder):
                return True
            role = None if naming.where is None else _value(holder, naming.where[0])
            may_be = naming.where is None or role == naming.where[1] or not isinstance(role, str)
            if may_be and id_of(_value(holder, naming.path[-1])) is None:
                return True
    return False


def redact(body: dict[str, Any], model: Model, erased: Collection[str]) -> None:
    """Take out of a body what goes with the riders (ids as text)."""
    for going in goings(model):
        *way, name = going.path
        for holder in _reached(body, tuple(way)):
            if isinstance(holder, dict) and holder.get(name) is not None:
                named = riders_named(holder if going.in_holder else body, going.namings)
                if not named.isdisjoint(erased):
                    holder[name] = going.mark.without(holder[name])


def id_of(value: Any) -> str | None:
    """An id in the one form in which it is looked for; None: it is none."""
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _reached(value: Any, path: Path) -> list[Any]:
    """What stands at the end of a path, each of a list; what stands in the way instead of a model, too."""
    if isinstance(value, _LISTS):
        return [found for one in value if not isinstance(one, _LISTS) for found in _reached(one, path)] + [
            one for one in value if isinstance(one, _LISTS)
        ]
    if path and _is_model(value):
        return _reached(_value(value, path[0]), path[1:])
    return [] if value is None else [value]


def _is_model(value: Any) -> bool:
    # of what JSON and events hold: asking for BaseModel itself costs ten times as much, and each event is asked
    return value is not None and not isinstance(value, _NO_MODELS)


def _value(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
