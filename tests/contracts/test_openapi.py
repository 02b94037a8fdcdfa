"""docs/openapi.json as generators and validators of others read it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import SUITE
from shared.devtools.gen.schemas import VOCABULARY
from shared.kit.problems import BUSY, INTERNAL_ERROR


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / SUITE).read_text("utf-8"))
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_route_says_that_it_may_break_and_may_be_busy(document: dict[str, Any]) -> None:
    seen = 0
    for name, operation in operations(document):
        for status, problem in (("500", INTERNAL_ERROR), ("503", BUSY)):
            answer = operation["responses"].get(status)
            assert answer is not None, f"{name} doesn't say {status}"
            assert f"`{problem.code}`" in answer["description"], name
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, name
        seen += 1
    assert seen > 100


def test_all_words_of_our_own_are_declared(document: dict[str, Any]) -> None:
    declared = set(json.loads((ROOT / VOCABULARY).read_text("utf-8"))["properties"])
    used: set[str] = set()
    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            used |= {name for name in node if name.startswith("x-")}
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    assert used and used <= declared, used - declared
