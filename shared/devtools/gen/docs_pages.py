"""The pages under /docs: OpenAPI and AsyncAPI as HTML that asks nobody for anything, and the documents themselves.

They are parts of tracking's pages (`services/tracking/templates/docs.html`), rendered here so that no process has to.
The documents are read as they were written before: this generator comes after theirs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.devtools.gen import asyncapi, docs_markup, openapi
from shared.devtools.gen.files import Generated

FOLDER = "services/tracking/data/docs"
METHODS = ("get", "put", "post", "delete", "patch")
OURS = "/ops/"
"""Addresses of operators, which the pages leave out; docs/openapi.json has them."""


def of_clients(document: Mapping[str, Any]) -> dict[str, Any]:
    """The suite's document without the operators' addresses, and without what only those need."""
    paths = {path: methods for path, methods in document["paths"].items() if not path.startswith(OURS)}
    schemas = document["components"]["schemas"]
    needed: set[str] = set()
    found = openapi.references([paths, document.get("webhooks")]) | {"Problem"}
    while found:
        needed |= found
        found = openapi.references([schemas[name] for name in found]) - needed
    kept = {name: schema for name, schema in schemas.items() if name in needed}
    return {**document, "paths": paths, "components": {**document["components"], "schemas": kept}}


def operations(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every operation, under its tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in (name for name in METHODS if name in methods):
            one = methods[method]
            found.setdefault(one.get("tags", ["other"])[0], []).append({**one, "path": path, "method": method.upper()})
    return dict(sorted(found.items()))


def webhooks(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every event that the suite sends to an address of a company's, with its payload and the answers it takes."""
    return [
        {**methods[method], "event": event, "method": method.upper()}
        for event, methods in document.get("webhooks", {}).items()
        for method in METHODS
        if method in methods
    ]


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        words=docs_markup.words, inline=docs_markup.inline, kind=docs_markup.kind, fields=docs_markup.fields,
        example=docs_markup.example,
    )  # fmt: skip
    return made


def _resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Any:
    node: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        node = node[name.replace("~1", "/")]
    return node


def channels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every channel with its messages, each with the headers that its traits give it."""
    found = []
    for name, channel in document["channels"].items():
        messages = []
        for reference in channel["messages"].values():
            message = _resolved(document, reference)
            traits = [_resolved(document, trait) for trait in message.get("traits", ())]
            headers: Mapping[str, Any] = next((trait["headers"] for trait in traits if "headers" in trait), {})
            said = next((trait["description"] for trait in traits if "description" in trait), "")
            messages.append({**message, "headers": headers, "said": said})
        parties = sorted(
            f"{key.partition('.')[0]} {'writes' if one['action'] == 'send' else 'reads'}"
            for key, one in document["operations"].items()
            if one["channel"]["$ref"] == f"#/channels/{name}"
        )
        found.append({**channel, "id": name, "messages": messages, "parties": parties})
    return found


def generate(root: Path) -> Generated:
    """Two pages' contents and two documents."""
    http = of_clients(json.loads((root / openapi.SUITE).read_text(encoding="utf-8")))
    written = (root / asyncapi.TARGET).read_text(encoding="utf-8")
    events = yaml.safe_load(written)
    made = _environment()
    return Generated(
        files={
            f"{FOLDER}/openapi.html": made.get_template("openapi.html").render(
                d=http, tags=operations(http), webhooks=webhooks(http)
            ),
            f"{FOLDER}/asyncapi.html": made.get_template("asyncapi.html").render(d=events, channels=channels(events)),
            f"{FOLDER}/openapi.json": json.dumps(http, ensure_ascii=False, separators=(",", ":")) + "\n",
            f"{FOLDER}/asyncapi.yaml": written,
        },
        owned=(f"{FOLDER}/*",),
    )
