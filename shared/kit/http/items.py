"""Lists in request bodies of which each item stands for itself: a bad one is answered beside its neighbours' results.

    class ReportsIn(BaseModel):
        reports: list[Annotated[ReportIn, EACH]]        # at run time: ReportIn or Malformed

The OpenAPI document shows the items' own schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from shared.kit.http.events import Stated
from shared.kit.http.problems import validation_refusal
from shared.kit.messaging import json_bounds
from shared.kit.refusals import Fault, Refusal

Item = TypeVar("Item")
NAMED_MAX = 50
"""Errors of one item that are made into Python objects: there may be hundreds of items."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """An item that doesn't have the shape of its model. `external_id` as sent, where it can be read."""

    external_id: str | None
    refusal: Refusal


class ItemProblem(BaseModel):
    """Why one item was refused: as a problem document, without its status."""

    code: str
    title: str
    detail: str
    field: str | None = None
    errors: list[Fault] | None = None
    retry_after_s: int | None = None
    """The same may be taken after so many seconds."""

    @staticmethod
    def of(refusal: Refusal) -> "ItemProblem":
        """The item's problem; `field` is the first one at fault."""
        errors: list[dict[str, str]] | None = refusal.extras.get("errors")
        listed = None if errors is None else [Fault.model_validate(one) for one in errors]
        field = errors[0]["field"] if errors else refusal.field
        after = refusal.headers.get("Retry-After")
        return ItemProblem(
            code=refusal.code, title=refusal.title, detail=refusal.detail, field=field, errors=listed,
            retry_after_s=None if after is None else int(after),
        )  # fmt: skip


def of_event(item: Item | Malformed, event: Stated) -> Item | Malformed:
    """An item of a batch of CloudEvents, or why its event is none."""
    return item if event.refusal is None else Malformed(None, event.refusal)


def _tolerate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError as error:
        given = value.get("external_id") if isinstance(value, Mapping) else None
        readable = given if isinstance(given, str) and len(given) <= 64 and given.isprintable() else None
        return Malformed(readable, _refusal_of(error))


def _refusal_of(error: ValidationError) -> Refusal:
    if (one := json_bounds.too_many(error, NAMED_MAX)) is not None:
        return validation_refusal([{"type": one.type, "loc": (), "msg": one.message(), "ctx": one.context}])
    return validation_refusal([dict(each) for each in error.errors(include_url=False)])


EACH = WrapValidator(_tolerate)
