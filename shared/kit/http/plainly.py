"""A document in the words that every generator of clients makes something of that compiles.

- A tuple (`prefixItems`) is said as a list. It then says less than is checked: what is refused stays so.
- An integer says its width: without one Go takes 32 bits, and a bound beyond them compiles no more. Of a list with a
  default they are 32 all the same: Java writes the default's numbers so, and a list of wider ones doesn't take them.
- A body that may be missing isn't said to be null as well: `required` says it.
- An operation has one tag: of two, generators make it twice, under one name.
"""

from collections.abc import Mapping
from typing import Any

_NULL = {"type": "null"}


def plainly(document: dict[str, Any]) -> dict[str, Any]:
    """The same document in those words."""
    schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    tuples = {f"#/components/schemas/{name}": _list(one) for name, one in schemas.items() if "prefixItems" in one}
    changed: dict[str, Any] = _walk(document, tuples)
    for methods in changed["paths"].values():
        for operation in methods.values():
            if len(tags := operation.get("tags", [])) > 1:
                operation["tags"] = tags[-1:]  # its own, behind those of its router
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = _present(content["schema"])
    return changed


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """A body's schema where there is a body."""
    others = [one for one in schema.get("anyOf", ()) if one != _NULL]
    return others[0] if len(others) == 1 else schema


def _walk(part: Any, tuples: Mapping[str, dict[str, Any]]) -> Any:
    if isinstance(part, list):
        return [_walk(one, tuples) for one in part]
    if not isinstance(part, dict):
        return part
    if "prefixItems" in part:
        part = _list(part)
    if "anyOf" in part and (one := _one_list(part["anyOf"], tuples)) is not None:
        part = {**{name: said for name, said in part.items() if name != "anyOf"}, **one}
    if part.get("type") == "array" and part.get("default") and part.get("items", {}).get("type") == "integer":
        part = {**part, "items": {"type": "integer", "format": "int32", **part["items"]}}
    if part.get("type") == "integer" and "format" not in part:
        part = {"type": "integer", "format": "int64", **part}
    return {name: _walk(said, tuples) for name, said in part.items()}


def _list(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds: list[Any] = []
    for one in schema["prefixItems"]:
        bare = {name: said for name, said in one.items() if name not in ("title", "description")}
        kinds += [kind for kind in bare.get("anyOf", [bare]) if kind not in kinds]
    return {
        **{name: said for name, said in schema.items() if name != "prefixItems"},
        "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds},
    }


def _one_list(choices: list[Any], tuples: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What several tuples of one kind of item are together; None where they aren't that."""
    found = [tuples.get(one.get("$ref", ""), one) for one in choices if one != _NULL]
    found = [_list(one) if "prefixItems" in one else one for one in found]
    if len(found) < 2 or any(one.get("type") != "array" or one.get("items") != found[0]["items"] for one in found):
        return None
    joined = {
        "type": "array", "items": found[0]["items"], "minItems": min(one.get("minItems", 0) for one in found),
        "maxItems": max(one["maxItems"] for one in found) if all("maxItems" in one for one in found) else None,
    }  # fmt: skip
    joined = {name: said for name, said in joined.items() if said is not None}
    return {"anyOf": [joined, _NULL]} if _NULL in choices else joined
