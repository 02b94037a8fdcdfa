"""The document in words that generators of clients compile."""

from typing import Any

import pytest

from shared.kit.http.plainly import plainly

INTEGER = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "width"),
    [
        (INTEGER, "int64"),
        ({"type": "array", "items": INTEGER}, "int64"),
        ({"type": "array", "items": INTEGER, "default": []}, "int64"),
        ({"type": "array", "items": INTEGER, "default": [1, 2]}, "int32"),
        ({"type": "array", "items": {**INTEGER, "format": "int16"}, "default": [1]}, "int16"),
    ],
)
def test_an_integer_says_its_width(schema: dict[str, Any], width: str) -> None:
    """Java writes a default's numbers as 32 bits, and takes them into no list of wider ones."""
    document = {"paths": {}, "components": {"schemas": {"A": {"properties": {"a": schema}}}}}
    found = plainly(document)["components"]["schemas"]["A"]["properties"]["a"]
    assert found.get("items", found)["format"] == width
