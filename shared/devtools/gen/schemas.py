"""JSON Schemas of all event bodies, for readers in other languages and for the gate against breaking changes."""

from pathlib import Path
from typing import Any, get_args

from shared.devtools.gen.files import Generated, as_json
from shared.events.personal import Sort
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience
from shared.kit.http.problem_schema import CODES, SAID_BY

FOLDER = "shared/events/schemas"
VOCABULARY = "shared/events/vocabulary.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def stem(topic: AnyTopic) -> str:
    """File name of a topic's schema and examples, without suffix; a family has the word `company` in its place."""
    return topic.name.replace("{company}", "company")


def schema_of(topic: AnyTopic) -> dict[str, Any]:
    """The body's schema. What companies send is described as we read it, everything else as we write it."""
    mode = "validation" if topic.audience is Audience.INBOUND else "serialization"
    return {
        "$schema": DIALECT,
        "$id": f"urn:beegrid:{stem(topic)}",
        "x-topic": topic.name,
        "x-partition-key": topic.key,
        "x-audience": str(topic.audience),
        **topic.model.model_json_schema(mode=mode),
    }


def vocabulary() -> dict[str, Any]:
    """The suite's own keywords, as a vocabulary: what each means, and that no validator has to follow it."""
    return {
        "$schema": DIALECT,
        "$id": "urn:beegrid:vocabulary",
        "title": "BeeGrid's keywords",
        "description": "Words that begin with x- in shared/events/schemas, docs/asyncapi.yaml and docs/openapi.json. "
        "They say something of a schema or a route and change nothing of what it takes. Validators that refuse unknown "
        "words, such as ajv in its strict mode, are given the names below `properties`.",
        "type": "object",
        "properties": {
            "x-topic": {"type": "string", "description": "the topic, without the installation's prefix"},
            "x-partition-key": {"type": "string", "description": "the field that is the record's key"},
            "x-audience": {
                "enum": [str(one) for one in Audience],
                "description": "who may write or read it: the suite alone, city systems, or one company each",
            },
            "x-personal": {
                "enum": list(get_args(Sort)),
                "description": "what of a person the field says; erasing them empties or coarsens it",
            },
            SAID_BY: {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "description": "of a member of problem documents: what it says, with the codes that have it so",
            },
            CODES: {
                "type": "array",
                "items": {"type": "string"},
                "description": "values that there are; more may come, which no reader should refuse",
            },
            "x-policy": {"type": "string", "description": "of a route: who may call it"},
            "x-service": {"type": "string", "description": "of a route: the service that answers it"},
        },
    }


def generate(_root: Path) -> Generated:
    """One schema a topic, and the vocabulary."""
    return Generated(
        files={
            VOCABULARY: as_json(vocabulary()),
            **{f"{FOLDER}/{stem(topic)}.json": as_json(schema_of(topic)) for topic in topics()},
        },
        owned=(f"{FOLDER}/*.json",),
    )
