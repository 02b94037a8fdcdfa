"""What a route's models say of its body, read from the function that handles it."""

from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel

from shared.kit.messaging import json_bounds

ITEMS = "items"
"""The list of every batch, in requests and in answers."""


def bound_errors(endpoint: Callable[..., Any]) -> None:
    """Let the models of a body name no more errors than are worth it: FastAPI makes an object of each."""
    for name, kind in endpoint.__annotations__.items():
        if name != "return" and isinstance(kind, type) and issubclass(kind, BaseModel):
            endpoint.__annotations__[name] = Annotated[kind, json_bounds.FEW_ERRORS]


def items_max(endpoint: Callable[..., Any], events: str | None) -> int:
    """How many items a batch may have, by the list of the body's model: `events`, that which CloudEvents become, or
    ITEMS. 0 for a route that takes no batch.

    Raises TypeError where the model of a batch of events doesn't say.
    """
    for kind in get_type_hints(endpoint).values():
        listed = getattr(kind, "model_fields", {}).get(events or ITEMS)
        for bound in listed.metadata if listed is not None else ():
            if isinstance(most := getattr(bound, "max_length", None), int):
                return most
    if events is None:
        return 0
    raise TypeError(f"{endpoint.__qualname__}: its body has no list {events} with a max_length")
