"""How JSON from outside may be shaped, whatever its model: counted before a model sees it.

A model that forbids what it doesn't know says so of every member by itself, and a path is as long as a value is deep:
the work on a body must never be its size times anything that its sender chooses.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

MEMBERS_MAX = 300
"""Of one object. A map's file has the most: 255, of a table in dBase."""
DEPTH_MAX = 32
TOO_MANY = "too_many_errors"
"""Kind of the one error that stands for all, where they are too many to be named."""
NAMED_MAX = 1_000
"""Errors of a whole body that are made into Python objects, which costs a hundred times what finding them does."""


class Shapeless(ValueError):
    """JSON of a shape that no model has; the text quotes nothing of it."""


def check(found: Any) -> None:
    """Raises Shapeless for values nested too deeply, and for an object of too many members."""
    level: list[Any] = [found]
    for _ in range(DEPTH_MAX + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if len(one) > MEMBERS_MAX:
                    raise Shapeless(f"an object has more than {MEMBERS_MAX} members")
                inner += _containers(one.values())
            elif isinstance(one, list):
                inner += _containers(one)
        if not inner:
            return
        level = inner
    raise Shapeless(f"nested more than {DEPTH_MAX} deep")


def needs_check(raw: bytes) -> bool:
    """Whether JSON could be of a shape that is refused. Of what is as small as most bodies it can't."""
    return raw.count(b":") > MEMBERS_MAX or raw.count(b"[") + raw.count(b"{") > DEPTH_MAX


def read(raw: bytes) -> Any:
    """A body as JSON, checked. Raises Shapeless; ValueError and RecursionError for what is no JSON, as `json.loads`."""
    found = json.loads(raw)
    check(found)
    return found


def too_many(error: ValidationError, named_max: int) -> PydanticCustomError | None:
    """The one error that stands for more than `named_max`; None where each of them may be named."""
    if (count := error.error_count()) <= named_max:
        return None
    return PydanticCustomError(TOO_MANY, "{count} fields are not acceptable, too many to name them", {"count": count})


def count_of(errors: Iterable[Mapping[str, Any]]) -> int:
    """How many fields pydantic's error dicts name."""
    return sum(int(one["ctx"]["count"]) if one["type"] == TOO_MANY else 1 for one in errors)


def said(error: Mapping[str, Any]) -> str:
    """What pydantic says of one of its errors. Of a text whose length is bounded behind its form it counts "items"."""
    message = str(error["msg"])
    if error["type"] in ("too_long", "too_short") and message.startswith("Value "):
        return re.sub(r"\bitems?\b", "characters", message)
    return message


def _containers(values: Iterable[Any]) -> list[Any]:
    return [one for one in values if isinstance(one, dict | list)]


def _few(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError as error:
        if (one := too_many(error, NAMED_MAX)) is not None:
            raise one from None
        raise


FEW_ERRORS = WrapValidator(_few)
"""Behind a body's model: not more errors come out of it than can be named."""
