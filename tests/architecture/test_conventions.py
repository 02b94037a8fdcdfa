"""HTTP is spoken in one way by all services: bodies, writing routes, and what a route may be refused with."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import service_of
from shared.events.registry import produced_by
from shared.kit.auth.policy import PolicyRoute
from shared.kit.http.models import Answer, Body
from shared.provision.services import service_names
from tests.support import declared


def routes(service: str) -> Iterator[PolicyRoute]:
    """The service's own routes: not what the kit has for operators."""
    for context in iter_route_contexts(service_of(service).app().routes):
        route = context.original_route
        if isinstance(route, PolicyRoute) and route.path.startswith("/v1/"):
            yield route


def changing(service: str) -> Iterator[PolicyRoute]:
    return (route for route in routes(service) if not (route.methods or set()) <= {"GET", "HEAD"})


@pytest.mark.parametrize("service", service_names(ROOT))
def test_a_route_that_publishes_is_refused_when_overloaded(service: str) -> None:
    if not produced_by(service):
        assert not any(route.rule.writes for route in changing(service)), "it publishes nothing"
        return
    excused = declared(service, "excused", "QUIET") or {}
    found = {route.name for route in changing(service) if not route.rule.writes}
    assert found == set(excused), f"allow(…, writes=True), or say why not in tests/services/{service}/excused.py: QUIET"


@pytest.mark.parametrize("service", service_names(ROOT))
def test_every_body_is_of_the_one_base(service: str) -> None:
    for route in routes(service):
        for model in (one.field_info.annotation for one in route.dependant.body_params):
            assert issubclass(_model(model), Body), f"{route.name}: {model} derives from no Body"


@pytest.mark.parametrize("service", service_names(ROOT))
def test_every_answer_is_of_the_one_base(service: str) -> None:
    for route in routes(service):
        model = route.response_model
        if isinstance(model, type) and issubclass(model, BaseModel):
            assert issubclass(model, Answer), f"{route.name}: {model} derives from no Answer"


def _model(annotation: Any) -> type[BaseModel]:
    """The model of a body, also of one that may be left out."""
    options = [one for one in getattr(annotation, "__args__", (annotation,)) if one is not type(None)]
    found: type[BaseModel] = options[0]
    return found


def test_the_document_of_the_suite_has_all_of_each_service() -> None:
    suite = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))
    for name in service_names(ROOT):
        one = json.loads((ROOT / f"docs/openapi/{name}.json").read_text("utf-8"))
        for path, methods in one["paths"].items():
            if path.startswith(("/v1/", "/ops/")):
                assert suite["paths"][path].keys() == methods.keys()
    assert "$ref" in json.dumps(suite)
    missing = {ref for ref in _references(suite) if ref.rsplit("/", 1)[1] not in suite["components"]["schemas"]}
    assert missing == set()


def _references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(ref := document.get("$ref"), str):
            yield ref
        for one in document.values():
            yield from _references(one)
    elif isinstance(document, list):
        for one in document:
            yield from _references(one)
