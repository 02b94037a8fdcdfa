"""docs/openapi/<service>.json: what each service answers over HTTP, from its own routes; docs/openapi.json: all of it.

The suite's document is what the front door answers: the addresses of all services without those that each has for its
own process, such as probes.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from shared.devtools.gen.files import Generated, as_json
from shared.devtools.gen.modules import service_module
from shared.devtools.gen.settings_doc import settings_class
from shared.kit.http.problem_schema import merged
from shared.provision.services import service_names

FOLDER = "docs/openapi"
SUITE = "docs/openapi.json"
_REFERENCE = re.compile(r'"#/components/schemas/(\w+)"')

# Nothing is connected to while a document is made; the values only have to be well-formed.
HARMLESS: dict[str, Any] = {
    "postgres_dsn": "postgresql://nobody@127.0.0.1:1/none",
    "kafka_bootstrap": "127.0.0.1:1",
    "kafka_username": "nobody",
    "kafka_password": "none",
    "redis_url": "redis://127.0.0.1:1/0",
    "jwks_url": "file:///nonexistent",
    "sealing_key": base64.b64encode(bytes(32)).decode(),
}


def harmless_settings(owner: type[BaseSettings]) -> BaseSettings:
    """Settings that reach nothing. A required field that isn't known above gets a word."""
    values = {}
    for name, field in owner.model_fields.items():
        if name in HARMLESS:
            values[name] = HARMLESS[name]
        elif field.is_required():
            values[name] = SecretStr("none") if field.annotation is SecretStr else "none"
    return owner(**values)


def service_of(name: str) -> Any:
    """The built service of that name, not started; None where it has no app.py."""
    module = service_module(name, "app")
    return None if module is None else module.build(harmless_settings(settings_class(name)))


def document(name: str) -> dict[str, Any] | None:
    """The OpenAPI document of one service; None where it has no app.py."""
    service = service_of(name)
    if service is None:
        return None
    described: dict[str, Any] = service.app().openapi()
    return described


def references(part: Any) -> set[str]:
    """Names of the schemas that a part of a document refers to."""
    return set(_REFERENCE.findall(json.dumps(part)))


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """The same with other names of schemas."""

    def rename(found: re.Match[str]) -> str:
        return f'"#/components/schemas/{names.get(found[1], found[1])}"'

    return json.loads(_REFERENCE.sub(rename, json.dumps(part)))


def _different(schemas: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Names under which services understand different things, by themselves or by what they refer to."""
    kinds: dict[str, list[Any]] = {}
    for of_service in schemas.values():
        for name, schema in of_service.items():
            kinds.setdefault(name, []).append(schema)
    found = {name for name, all_ in kinds.items() if any(one != all_[0] for one in all_)}
    shared = {name for name, all_ in kinds.items() if len(all_) > 1}
    while more := {name for name in shared - found if found & references(kinds[name])}:
        found |= more
    return found


def _called(operation: dict[str, Any], calls: Mapping[str, int]) -> dict[str, Any]:
    """The operation under a name that no other one has."""
    name, service = operation["operationId"], operation["x-service"]
    return {**operation, "operationId": name if calls[name] == 1 else f"{service}_{name}"}


def suite(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """One document of all services; what has one name and two meanings gets the service's name before its own."""
    schemas = {name: one["components"]["schemas"] for name, one in documents.items()}
    different = _different(schemas) - {"Problem"}
    times = Counter(path for one in documents.values() for path in one["paths"])
    calls = Counter(
        said["operationId"] for one in documents.values() for of in one["paths"].values() for said in of.values()
    )
    paths: dict[str, Any] = {}
    all_schemas: dict[str, Any] = {}
    webhooks: dict[str, Any] = {}
    problems: list[dict[str, Any]] = []
    for service, one in documents.items():
        names = {name: f"{service.title()}{name}" for name in different & schemas[service].keys()}
        for path, methods in one["paths"].items():
            if times[path] == 1:
                paths[path] = {
                    method: _called({**_renamed(said, names), "x-service": service}, calls)
                    for method, said in methods.items()
                }
        for event, methods in one.get("webhooks", {}).items():
            webhooks[event] = {
                method: {**_renamed(said, names), "x-service": service} for method, said in methods.items()
            }
        all_schemas |= {names.get(name, name): _renamed(schema, names) for name, schema in schemas[service].items()}
        problems.append(_renamed(schemas[service]["Problem"], names))
    all_schemas["Problem"] = merged(problems)
    first = next(iter(documents.values()))
    return {
        "openapi": first["openapi"],
        "info": {**first["info"], "title": "BeeGrid", "version": "1"},
        "servers": first["servers"],
        "paths": dict(sorted(paths.items())),
        "webhooks": dict(sorted(webhooks.items())),
        "components": {
            "schemas": dict(sorted(all_schemas.items())),
            "securitySchemes": first["components"]["securitySchemes"],
        },
    }


def generate(root: Path) -> Generated:
    """A document a service, and the suite's. Where one can't be built, its file and the suite's stay as they are."""
    files: dict[str, str] = {}
    skipped: list[str] = []
    kept: set[str] = set()
    documents: dict[str, dict[str, Any]] = {}
    for name in service_names(root):
        target = f"{FOLDER}/{name}.json"
        try:
            described = document(name)
        except Exception as error:  # noqa: BLE001  one service that can't be built must not hide the other documents
            skipped.append(f"{target}: {type(error).__name__}: {error}")
            kept.add(target)
            continue
        if described is None:
            skipped.append(f"{target}: services/{name}/app.py is not there")
        else:
            documents[name] = described
            files[target] = as_json(described)
    if not skipped:
        files[SUITE] = as_json(suite(documents))
    return Generated(files=files, owned=(f"{FOLDER}/*.json",), kept=frozenset(kept), skipped=tuple(skipped))
