"""Schemas and descriptions as HTML, for the pages of docs_pages.py: plain markup, no script, everything escaped."""

import json
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")
_BOUNDS = {
    "minLength": "at least {} characters", "maxLength": "at most {} characters", "minimum": "from {}",
    "maximum": "up to {}", "exclusiveMinimum": "more than {}", "exclusiveMaximum": "less than {}",
    "minItems": "at least {}", "maxItems": "at most {}", "pattern": "pattern {}", "default": "default {}",
}  # fmt: skip


def words(text: str) -> Markup:
    """Text in the little Markdown that our descriptions have: paragraphs, `code`, **bold**, indented code."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if all(line.startswith("    ") for line in block.splitlines()):
            code = "\n".join(line[4:] for line in block.splitlines())
            parts.append(Markup("<pre>{}</pre>").format(code))
        else:
            parts.append(Markup("<p>{}</p>").format(inline(" ".join(block.split()))))
    return Markup("\n").join(parts)


def inline(text: str) -> Markup:
    """The same within a line."""
    safe = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(_BOLD.sub(r"<b>\1</b>", safe))  # noqa: S704  escaped above; what is added are our own tags


def kind(schema: Mapping[str, Any]) -> Markup:
    """What a value is: its type with its bounds; schemas with a name are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{}">{}</a>').format(name, name)
    for several, between in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if several in schema:
            return Markup("{}").format(between).join(kind(one) for one in schema[several])
    if "const" in schema:
        return Markup("<code>{}</code>").format(json.dumps(schema["const"], ensure_ascii=False))
    if "enum" in schema:
        return Markup(" | ").join(Markup("<code>{}</code>").format(one) for one in schema["enum"])
    return _plain(schema)


def _plain(schema: Mapping[str, Any]) -> Markup:
    sort = schema.get("type", "anything")
    if sort == "array":
        inner = kind(schema["items"]) if schema.get("items") else Markup("anything")
        shown = Markup("list of {}").format(inner)
    elif sort == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        shown = Markup("map to {}").format(kind(schema["additionalProperties"]))
    else:
        shown = Markup("{}").format(" | ".join(sort) if isinstance(sort, list) else sort)
    if "format" in schema:
        shown += Markup(" ({})").format(schema["format"])
    bounds = ", ".join(
        text.format(schema[name]) for name, text in _BOUNDS.items() if schema.get(name) not in (None, "")
    )
    return shown + Markup(' <span class="soft">{}</span>').format(bounds) if bounds else shown


def fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each property."""
    required = set(schema.get("required", ()))
    return [
        {"name": name, "kind": kind(one), "required": name in required, "words": inline(one.get("description", ""))}
        for name, one in schema.get("properties", {}).items()
    ]


def example(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)
