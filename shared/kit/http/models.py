"""What bodies have in common: every model of a request derives from Body, every model of an answer from Answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

from shared.events.outside import exact


class Body(BaseModel):
    """A request's body: a field that isn't known is refused, so that a typing error can't go unseen, and so is a text
    where a number is wanted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Numbers are numbers, no texts: what the JSON schema says."""
        return exact(handler(source))


class Answer(BaseModel):
    """An answer's body; `model_validate` takes it from an object with fields of the same names."""

    model_config = ConfigDict(from_attributes=True)
