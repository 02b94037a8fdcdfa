"""The schema of problems in the OpenAPI document: what every one has, and what particular ones say beside.

One schema for all of them, since a generated client reads an answer before it knows the code. Members are optional and
named with the codes that have them; a code that a client doesn't know is one that was added.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from shared.kit.refusals import FIELD, Member, Problem

REFERENCE = "#/components/schemas/{model}"
SAID_BY = "x-said-by"
"""Of a member in the schema: what it says, with the codes of the problems that say it."""
CODES = "x-extensible-enum"
"""Of `code`: those there are. Not `enum`: more may come, which no client should refuse."""


def problem_schemas(found: Iterable[Problem]) -> dict[str, Any]:
    """The schema `Problem` with the members of these problems, and the schemas that it needs, by name.

    Raises:
        ValueError: a member has two types.
    """
    problems = sorted(set(found), key=lambda one: one.code)
    members: dict[str, dict[str, Any]] = {}
    needed: dict[str, Any] = {}
    for problem in problems:
        for member in problem.members:
            schema = _of(member, needed)
            shown = {**schema, SAID_BY: {member.words: [problem.code]}}
            members[member.name] = _both(member.name, members[member.name], shown) if member.name in members else shown
    return {**needed, "Problem": _problem([one.code for one in problems], members)}


def merged(schemas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One schema `Problem` of those of several services. Raises ValueError where a member has two types."""
    members: dict[str, dict[str, Any]] = {}
    codes: set[str] = set()
    for schema in schemas:
        codes.update(schema["properties"]["code"][CODES])
        for name, shown in schema["properties"].items():
            if SAID_BY in shown:
                members[name] = _both(name, members[name], shown) if name in members else shown
    return _problem(sorted(codes), members)


def _of(member: Member, needed: dict[str, Any]) -> dict[str, Any]:
    if isinstance(member.kind, str):
        return {"$ref": REFERENCE.format(model=member.kind)}
    schema = TypeAdapter(member.kind).json_schema(ref_template=REFERENCE, mode="serialization")
    needed.update(schema.pop("$defs", {}))
    return schema


def _both(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [{key: one[key] for key in one if key not in ("description", SAID_BY)} for one in (first, second)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"problems' member {name} has two types: {kinds}")
    said = {words: list(codes) for words, codes in first[SAID_BY].items()}
    for words, codes in second[SAID_BY].items():
        said[words] = sorted({*said.get(words, ()), *codes})
    return {**kinds[0], SAID_BY: said}


def _words(said: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{words} (with {', '.join(f'`{one}`' for one in codes)})" for words, codes in said.items())


def _problem(codes: list[str], members: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    shown = {}
    for name, schema in sorted(members.items()):
        said = dict(sorted(schema[SAID_BY].items()))
        shown[name] = {**schema, "description": _words(said), SAID_BY: said}
    return {
        "title": "Problem",
        "description": "RFC 9457. `code` says which problem it is; members that not every problem has are named with "
        "the codes that have them. Codes and members may be added: read those that you know.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "description": "/problems/<code>, a page about it at the front door"},
            "title": {"type": "string", "description": "for people: Chinese / English"},
            "status": {"type": "integer", "description": "the answer's status"},
            "detail": {"type": "string", "description": "for people, in English; quotes nothing that was sent"},
            "code": {"type": "string", "description": "for programs: stable", CODES: codes},
            FIELD: {"type": "string", "description": "the field at fault, where it is one"},
            **shown,
        },
    }
