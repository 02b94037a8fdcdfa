"""docs/openapi/<service>.json: what each service answers over HTTP, from its own routes."""

import base64
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from shared.cli.services import service_names
from shared.devtools.gen.files import Generated, as_json
from shared.devtools.gen.modules import service_module
from shared.devtools.gen.settings_doc import settings_class

FOLDER = "docs/openapi"

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


def generate(root: Path) -> Generated:
    """A document a service. A service that can't be built is told, and its file is left as it is."""
    files: dict[str, str] = {}
    skipped: list[str] = []
    kept: set[str] = set()
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
            files[target] = as_json(described)
    return Generated(files=files, owned=(f"{FOLDER}/*.json",), kept=frozenset(kept), skipped=tuple(skipped))
