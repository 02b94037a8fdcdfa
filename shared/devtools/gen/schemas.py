"""JSON Schemas of all event bodies, for readers in other languages and for the gate against breaking changes."""

from pathlib import Path
from typing import Any

from shared.devtools.gen.files import Generated, as_json
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience

FOLDER = "shared/events/schemas"
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


def generate(_root: Path) -> Generated:
    """One schema a topic."""
    return Generated(
        files={f"{FOLDER}/{stem(topic)}.json": as_json(schema_of(topic)) for topic in topics()},
        owned=(f"{FOLDER}/*.json",),
    )
