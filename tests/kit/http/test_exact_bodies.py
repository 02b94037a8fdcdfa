"""Numbers and truth values of bodies are those of JSON, whoever has parsed it, and nothing else becomes stricter."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from shared.events.inbound_riders import RiderSubmission
from shared.events.outside import PLAIN_FORM
from shared.kit.http.models import Body


class Part(Body):
    size: float


class Whole(Body):
    count: Annotated[int, Field(ge=0), PLAIN_FORM] = 0
    most: int | None = None
    share: Annotated[float, Field(gt=0)] = 1.0
    good: bool = False
    parts: tuple[Part, ...] = ()
    at: datetime | None = None
    id: UUID | None = None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", "1"), ("count", True), ("count", 1.5), ("most", "1"), ("share", "0.5"), ("share", True),
        ("good", "true"), ("good", 1), ("good", "no"), ("parts", [{"size": "1"}]),
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Whole.model_validate({name: value})
    with pytest.raises(ValidationError):
        Whole.model_validate_json(json.dumps({name: value}))


@pytest.mark.parametrize(
    "said",
    [
        {"count": 1.0, "most": 3, "share": 1, "good": True},
        {"parts": [{"size": 1}, {"size": 2.5}]},
        {"at": "2026-05-01T12:00:00+08:00", "id": "0199a2c4-01c0-71c0-81c0-5f0c7be101c0"},
    ],
)
def test_what_the_schema_says_is_taken(said: dict[str, Any]) -> None:
    assert Whole.model_validate(said) == Whole.model_validate_json(json.dumps(said))


def test_the_schema_is_as_it_was() -> None:
    shown = Whole.model_json_schema()["properties"]
    assert (shown["count"]["type"], shown["count"]["minimum"], shown["share"]["type"]) == ("integer", 0, "number")


@pytest.mark.parametrize("active", ["true", 1, "yes"])
def test_a_companys_record_is_read_alike(active: object) -> None:
    with pytest.raises(ValidationError, match="active"):
        RiderSubmission.model_validate_json(json.dumps({"external_id": "1", "name": "王", "active": active}))
