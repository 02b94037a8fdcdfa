"""Every text and number that a request or a record may have is brought into a form that stores can hold, or refused."""

import inspect
import math
import re
import time
import types
import typing
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import service_of
from shared.events import outside, registry
from shared.events.outside import INT64_MAX
from shared.events.topic import Audience
from shared.kit.auth.policy import PolicyRoute
from shared.kit.privacy.masking import masked
from shared.provision.services import service_names
from tests.full import FULL

TRIED = settings(
    max_examples=3_000 if FULL else 100,
    deadline=None,
    derandomize=not FULL,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Leaf = tuple[str, Any, tuple[Any, ...]]

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UNSEEN = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
MEGABYTE = 1 << 20
HUGE = [one * MEGABYTE for one in ("a", "字", "𠮷", "１", "\x00")]
HUGE_NUMBERS = ["1" * MEGABYTE, "0." + "1" * MEGABYTE, 10**5_000]
UNBOUNDED = "has no bound"
"""Of a path's part the head of a request has one: 64 KiB."""
ODD = (
    "\x00\x01\x1f\x7f\x85\ud800\udfff\u200b\u200f\u202e\u2066\u2028\ufeff１２ａＺ－：＋　٣१③²Ⅷﬁµ字𠮷👷🏽é\u0301-+:./TZ"
)
WORDS = st.text(st.one_of(st.sampled_from(ODD), st.sampled_from("aZ09-_.:"), st.characters()), max_size=40)
TEXTS = st.one_of(
    WORDS,
    st.builds(
        "{}{}{}".format, st.sampled_from(["", "a", "ab12", "a" * 20]), WORDS, st.sampled_from(["", "b", "b" * 20])
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30]),
    st.floats(),
    st.integers(-(2**66), 2**66).map(str),
    st.sampled_from(["525930234974679138304", "１２３", "٣", "1e400", "-1e400", "NaN", "inf", "-Infinity", "9" * 30]),
    st.sampled_from(["1_000", " 7 ", "0x10", "+5", "1\x00", "\ud800"]),
    st.booleans(),
    TEXTS,
)
TIMES = st.one_of(
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())).map(datetime.isoformat),
    st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "２０２６-01-01T00:00:00Z", "2026-02-30T0"]
    ),
    NUMBERS,
)
ASKED: dict[Any, st.SearchStrategy[Any]] = {str: TEXTS, int: NUMBERS, float: NUMBERS, datetime: TIMES}


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
    elif kind in ASKED:
        yield at, kind, rules


def fault(value: Any, given: Any, rules: tuple[Any, ...]) -> str | None:
    """Why this may not be what the rules made of what was given."""
    if value is None:
        return None  # an unknown accuracy
    if isinstance(value, datetime):
        return None if value.tzinfo is UTC else "is not brought to UTC"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is no number"
    if isinstance(value, int):
        return None if -INT64_MAX - 1 <= value <= INT64_MAX else "is beyond 64 bits"
    if UNSTORABLE.search(value):
        return "no store can hold"
    if UNSEEN.search(value):
        return "has what nobody sees"
    if len(value) >= MEGABYTE:
        return UNBOUNDED
    if outside.PLAIN_FORM in rules:
        return None if value == unicodedata.normalize("NFKC", value).strip(" ") else "is not in the plain form"
    return None if not isinstance(given, str) or value in ("", given) or is_rest_of(value, given) else "is another word"


def is_rest_of(value: str, given: str) -> bool:
    """Whether words were at most left out, or became spaces, and none was changed."""
    left = iter(given)
    return all(any(one == other or one == " " for other in left) for one in value)


def shortly(one: Any) -> str:
    return "a number of thousands of digits" if isinstance(one, int) and abs(one) > 10**100 else f"{one!a:.60}"


def adapter_of(kind: Any, rules: tuple[Any, ...]) -> TypeAdapter[Any]:
    whole: Any = typing.Annotated[kind, *rules] if rules else kind
    return TypeAdapter(whole)


def faults(asked: Sequence[Leaf], ours: bool = False) -> list[str]:
    """What is wrong with each leaf, with one example; of what is `ours` only that it raises."""
    found: dict[str, str] = {}
    adapters = [(leaf, adapter_of(*leaf[1:])) for leaf in asked]

    def ask(leaf: Leaf, adapter: TypeAdapter[Any], one: Any) -> None:
        at, _, rules = leaf
        try:
            value = adapter.validate_python(one)
        except ValidationError:
            return
        except Exception as error:  # noqa: BLE001 whatever else it raises is an answer 500
            found.setdefault(f"{at} raises {type(error).__name__}", shortly(one))
            return
        if not ours and (why := fault(value, one, rules)) and not (why == UNBOUNDED and ": path " in at):
            found.setdefault(f"{at} takes what {why}", shortly(one))

    @TRIED
    @given(st.fixed_dictionaries(ASKED))
    def ask_all(probes: dict[Any, Any]) -> None:
        for leaf, adapter in adapters:
            ask(leaf, adapter, probes[leaf[1]])

    ask_all()
    for leaf, adapter in adapters:
        for one in HUGE if leaf[1] is str else (*HUGE, *HUGE_NUMBERS):
            ask(leaf, adapter, one)
    return sorted(f"{what}: {given}" for what, given in found.items())


def parameters(dependant: Dependant) -> Iterator[tuple[str, FieldInfo]]:
    for kind in ("path", "query", "header", "body"):
        for one in getattr(dependant, f"{kind}_params"):
            yield f"{kind} {one.name}", one.field_info
    for inner in dependant.dependencies:
        yield from parameters(inner)


# What is compared and never kept; of GeoJSON what is left aside, and coordinates, which are checked as a shape
ELSEWHERE = (
    "header if_none_match",
    "path token",
    *(f"body body.features[].{part}" for part in ("id", "bbox", "geometry")),
)


@pytest.mark.timeout(1_800 if FULL else 120)
@pytest.mark.parametrize("service", service_names(ROOT))
def test_no_route_takes_what_no_store_can_hold(service: str) -> None:
    asked = leaves_of(service)
    assert len(asked) > 3
    assert faults(asked) == []


def leaves_of(service: str, elsewhere: tuple[str, ...] = ELSEWHERE) -> list[Leaf]:
    """One of each kind that a service's routes take."""
    kinds: dict[str, Leaf] = {}
    for context in iter_route_contexts(service_of(service).app().routes):
        route = context.original_route
        if not isinstance(route, PolicyRoute):
            continue
        for name, field in parameters(route.dependant):
            for at, kind, rules in leaves(field.annotation, tuple(field.metadata), name):
                if not at.startswith(elsewhere):
                    kinds.setdefault(f"{kind} {rules}", (f"{route.path}: {at}", kind, rules))
    return list(kinds.values())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("topic", registry.topics(), ids=lambda t: t.name)
def test_no_record_takes_what_no_store_can_hold(topic: Any) -> None:
    """What the suite itself writes came through its doors and out of its tables: of that no reader may raise."""
    ours = topic.audience is not Audience.INBOUND
    asked = list(leaves(topic.model, (), topic.name))
    assert asked
    assert faults(asked, ours) == []


# Each within 60 kB: marks in an order that has to be put right, characters that become eighteen, and what may be an
# address to its end.
COSTLY = {
    "marks": lambda n: "\u0301" * (n // 2) + "\u0316" * (n // 2),
    "growing": lambda n: "ﷺ" * n,
    "an address": lambda n: "@" + "_" * (n - 1),
    "an address in words": lambda n: "@" + "好" * (n - 1),
}
COSTLY_BYTES = 60_000


def bound_of(rules: Iterable[Any]) -> int | None:
    """The most characters that a text may have."""
    flat = [part for rule in rules for part in (rule.metadata if isinstance(rule, FieldInfo) else [rule])]
    found = [most for part in flat if (most := getattr(part, "max_length", None)) is not None]
    return min(found, default=None)


def cpu_s(adapter: TypeAdapter[Any], text: str) -> float:
    """To read a text, and to blot out of it what is taken: the least of three."""
    spent = []
    for _ in range(3):
        began_s = time.process_time()
        try:
            value = adapter.validate_python(text)
        except ValidationError:
            value = None
        if isinstance(value, str):
            masked(value)
        spent.append(time.process_time() - began_s)
        if spent[-1] > 0.5:
            break  # no other time could make that little
    return min(spent)


def costly(asked: Sequence[Leaf], longest_bytes: int = COSTLY_BYTES) -> list[str]:
    """Leaves at which four times the text is more than four times the work, with some room; a square is sixteen."""
    found = []
    for at, kind, rules in asked:
        adapter, most = adapter_of(kind, rules), bound_of(rules)
        for name, text in COSTLY.items():
            long = longest_bytes // len(text(4)[-1].encode())
            for length in (long, *([most] if most else [])):
                room_s = 0.1 if length == long else 0.003
                if cpu_s(adapter, text(length)) > 8 * cpu_s(adapter, text(length // 4)) + room_s:
                    found.append(f"{at}: {name}, {length} characters")
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("service", service_names(ROOT))
def test_a_routes_texts_cost_what_they_are_long(service: str) -> None:
    assert costly(leaves_of(service, ())) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("topic", registry.topics(), ids=lambda t: t.name)
def test_a_records_texts_cost_what_they_are_long(topic: Any) -> None:
    assert costly(list(leaves(topic.model, (), topic.name))) == []


def test_what_is_costly_is_noticed() -> None:
    def normal(text: Any) -> Any:
        return unicodedata.normalize("NFKC", text) if isinstance(text, str) else text

    class Careless(BaseModel):
        code: typing.Annotated[str, BeforeValidator(normal), Field(max_length=40)]
        words: typing.Annotated[str, Field(max_length=2_000)]

    assert [one.split(",")[0] for one in costly(list(leaves(Careless, (), "body")), 40_000)] == ["body.code: marks"]


def test_the_probes_bite() -> None:
    class Careless(BaseModel):
        words: str
        number: int
        at: datetime
        share: float

    found = {fault.split(" ")[0] for fault in faults(list(leaves(Careless, (), "body")))}
    assert found == {"body.words", "body.number", "body.at", "body.share"}
