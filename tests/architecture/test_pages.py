"""Every list over HTTP is a keyset page: no route answers with all there is, for there is more of it every year."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.devtools.gen.files import ROOT
from tests.support import declared

OPENAPI = ROOT / "docs/openapi"
# Of every service: routes that answer with a list which cannot grow, and what bounds it.
OF_ALL: Mapping[str, str] = {
    "/ops/{service}/keys": "the sealing keys of the settings",
    "/ops/{service}/standing": "the first thousand that stand still now",
    "/ops/{service}/states": "the topics of states that the service itself writes",
    "/ops/{service}/dead-letters/{letter_id}": "one letter or none",
}


def bounded(service: str) -> set[str]:
    """Those that a service has: of its own it says so in tests/services/<name>/excused.py."""
    own: Mapping[str, str] = declared(service, "excused", "BOUNDED") or {}
    return {path.replace("{service}", service) for path in OF_ALL} | set(own)


def documents() -> dict[str, Any]:
    """The OpenAPI documents by service."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(OPENAPI.glob("*.json"))}


def unpaged(document: Mapping[str, Any]) -> Iterator[str]:
    """Paths that answer a GET with a list, or an object with a list in it, and take no limit or no place to go on."""
    for path, methods in document["paths"].items():
        asked = methods.get("get")
        if asked is None or not any(_lists(document, schema) for schema in _answers(asked)):
            continue
        names = {one["name"] for one in asked.get("parameters", ()) if one["in"] == "query"}
        if path.startswith("/ops/"):  # of numbers, for `beegrid`
            paged = "limit" in names and any(name.startswith(("after", "cursor")) for name in names)
        else:
            answers = [_resolved(document, schema).get("properties", {}).keys() for schema in _answers(asked)]
            paged = {"limit", "cursor"} <= names and all({"items", "cursor"} <= one for one in answers)
        if not paged:
            yield path


def _answers(operation: Mapping[str, Any]) -> list[Any]:
    content = operation["responses"].get("200", {}).get("content", {})
    return [one["schema"] for media, one in content.items() if media == "application/json"]


def _lists(document: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    schema = _resolved(document, schema)
    if schema.get("type") == "array":
        return True
    options = [_resolved(document, one) for one in schema.get("properties", {}).values()]
    return any(kind.get("type") == "array" for option in options for kind in (option, *option.get("anyOf", ())))


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


@pytest.mark.parametrize("service", list(documents()))
def test_every_list_is_a_page_or_says_what_bounds_it(service: str) -> None:
    """And nothing is excused that needs no excuse."""
    found = set(unpaged(documents()[service]))
    why = f"no Page[…] of what is Asked, nor a line in tests/services/{service}/excused.py: BOUNDED"
    assert found == bounded(service), why


@pytest.mark.parametrize(("service", "path"), [("riders", "/v1/companies"), ("points", "/v1/points/rules")])
def test_a_list_that_loses_its_pages_is_found(service: str, path: str) -> None:
    spoilt = copy.deepcopy(documents()[service])
    asked = spoilt["paths"][path]["get"]
    asked["parameters"] = [one for one in asked["parameters"] if one["name"] != "limit"]
    assert path in set(unpaged(spoilt))
    named = copy.deepcopy(documents()[service])
    schema = next(_resolved(named, one) for one in _answers(named["paths"][path]["get"]))
    assert isinstance(schema, dict)
    schema["properties"]["next"] = schema["properties"].pop("cursor")
    assert path in set(unpaged(named))
