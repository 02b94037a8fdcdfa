"""What bodies have in common: every model of a request derives from Body, every model of an answer from Answer."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request's body: a field that isn't known is refused, so that a typing error can't go unseen."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """An answer's body; `model_validate` takes it from an object with fields of the same names."""

    model_config = ConfigDict(from_attributes=True)
