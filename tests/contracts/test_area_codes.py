"""One grammar for area codes in every contract: what one service takes for a code, no other refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from shared.devtools.gen.examples import examples_of
from shared.events.common import AREA_CODE
from shared.events.registry import AnyTopic, topics

CODES = {"area_code", "grid_code", "alternatives", "area_path", "path", "successors"}
"""Fields of events that hold codes of areas, one or several."""
EVERY_TOPIC = pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)


def texts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a field's schema says of its texts, one or each of several."""
    if schema.get("type") == "string":
        yield schema
    for part in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        yield from texts(part)


def fields(topic: AnyTopic) -> dict[str, dict[str, Any]]:
    """The model's own fields, those that it inherits included."""
    found: dict[str, dict[str, Any]] = topic.model.model_json_schema()["properties"]
    return found


@EVERY_TOPIC
def test_every_code_of_an_area_has_the_one_grammar(topic: AnyTopic) -> None:
    for name, schema in fields(topic).items():
        found = {one.get("pattern") for one in texts(schema)}
        if name in CODES:
            assert found == {AREA_CODE}, name
        else:
            assert AREA_CODE not in found, f"{name} holds area codes: name it in CODES"


@EVERY_TOPIC
def test_what_looks_like_codes_of_areas_is_known_as_such(topic: AnyTopic) -> None:
    words = ("area", "grid", "district")
    named = {name for name in fields(topic) if any(word in name.split("_") for word in words)}
    assert {name for name in named if not name.endswith(("_name", "_zh", "_en"))} <= CODES


@EVERY_TOPIC
@pytest.mark.parametrize("odd", ["", "330114 001", "G1\x00", "网格", "-G1", "x" * 33, "G1,G2"])
def test_another_grammar_is_refused(topic: AnyTopic, odd: str) -> None:
    payload = examples_of(topic)[0].payload
    for name in CODES & fields(topic).keys():
        several = fields(topic)[name].get("type") == "array"
        with pytest.raises(ValidationError, match=name):
            topic.model.model_validate_json(json.dumps({**payload, name: [odd] if several else odd}))
