"""Every text and number that a request or a record may have is brought into a form that stores can hold, or refused."""

import inspect
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.modules import service_names
from shared.devtools.gen.openapi import service_of
from shared.events import registry
from shared.events.outside import INT64_MAX
from shared.events.topic import Audience
from shared.kit.auth.policy import PolicyRoute

WORDS = ["\x00", "\ud800", "\udfff", "\u202e", "\x1f"]
NUMBERS = [INT64_MAX + 1, -INT64_MAX - 2, 10**30, "525930234974679138304"]
TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
FLOATS = ["nan", "inf", "-inf"]
Leaf = tuple[str, Any, tuple[Any, ...]]


def leaves(kind: Any, rules: tuple[Any, ...], at: str) -> Iterator[Leaf]:
    """The scalars of a type, each with what is said about it."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        yield from leaves(parts[0], (*parts[1:], *rules), at)
    elif origin in (typing.Union, types.UnionType):
        for part in parts:
            yield from leaves(part, rules, at)
    elif origin in (list, tuple, set, frozenset, dict):
        for part in parts:
            if part is not Ellipsis:
                yield from leaves(part, (), f"{at}[]")
    elif inspect.isclass(kind) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from leaves(field.annotation, tuple(field.metadata), f"{at}.{name}")
    elif kind in (str, int, float, datetime):
        yield at, kind, rules


def accepted(leaf: Leaf, probe: object) -> Iterator[Any]:
    """What the rules make of the probe, alone and inside longer texts."""
    _, kind, rules = leaf
    adapter = TypeAdapter(typing.Annotated[kind, *rules] if rules else kind)
    tries = [probe] if kind is not str else [str(probe), *("a" * n + str(probe) + "b" * n for n in (1, 4, 20))]
    for one in tries:
        try:
            yield adapter.validate_python(one)
        except (ValidationError, ValueError):
            continue


def faults(leaf: Leaf) -> Iterator[str]:
    probes = {str: WORDS, int: NUMBERS, float: FLOATS, datetime: TIMES}[leaf[1]]
    for probe in probes:
        for value in accepted(leaf, probe):
            if isinstance(value, str) and not any(char in value for char in WORDS):
                continue
            if isinstance(value, datetime) and value.tzinfo is UTC:
                continue
            yield f"{leaf[0]} takes {probe!a}"
            break


def parameters(dependant: Dependant) -> Iterator[tuple[str, FieldInfo]]:
    for kind in ("path", "query", "header", "body"):
        for one in getattr(dependant, f"{kind}_params"):
            yield f"{kind} {one.name}", one.field_info
    for inner in dependant.dependencies:
        yield from parameters(inner)


# A header that is compared and never kept; of GeoJSON what is left aside, and coordinates, which are checked as a shape
ELSEWHERE = ("header if_none_match", *(f"body body.features[].{part}" for part in ("id", "bbox", "geometry")))


@pytest.mark.parametrize("service", service_names(ROOT))
def test_no_route_takes_what_no_store_can_hold(service: str) -> None:
    found: set[str] = set()
    asked = 0
    for context in iter_route_contexts(service_of(service).app().routes):
        route = context.original_route
        if not isinstance(route, PolicyRoute):
            continue
        for name, field in parameters(route.dependant):
            for leaf in leaves(field.annotation, tuple(field.metadata), name):
                asked += 1
                if not leaf[0].startswith(ELSEWHERE):
                    found |= {f"{route.path}: {fault}" for fault in faults(leaf)}
    assert asked > 3
    assert sorted(found) == []


@pytest.mark.parametrize(
    "topic", [t for t in registry.topics() if t.audience is Audience.INBOUND], ids=lambda t: t.name
)
def test_no_inbound_record_takes_what_no_store_can_hold(topic: Any) -> None:
    found = [fault for leaf in leaves(topic.model, (), topic.name) for fault in faults(leaf)]
    assert found == []


def test_the_probes_bite() -> None:
    class Careless(BaseModel):
        words: str
        number: int
        at: datetime
        share: float

    told = {fault.split(" ")[0] for leaf in leaves(Careless, (), "body") for fault in faults(leaf)}
    assert told == {"body.words", "body.number", "body.at", "body.share"}
