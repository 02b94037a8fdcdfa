"""docs/asyncapi.yaml: one AsyncAPI 3 document for the suite, from the registry alone.

FastStream can generate one, but knows neither headers nor CloudEvents, and documents of several services collide.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.devtools.gen import labels
from shared.devtools.gen.asyncapi_headers import (
    CLOUD_EVENT_HEADERS,
    DEAD_LETTER_HEADERS,
    DEAD_LETTER_KEY,
    DEAD_LETTER_WORDS,
    SUBMISSION_HEADERS,
    SUBMISSION_WORDS,
    header_example,
)
from shared.devtools.gen.asyncapi_words import INTRODUCTION
from shared.devtools.gen.examples import examples_of
from shared.devtools.gen.files import Generated
from shared.devtools.gen.problems_doc import Lettered, lettered
from shared.devtools.gen.schemas import stem
from shared.devtools.gen.yaml_files import as_yaml
from shared.events.common import CompanyCode
from shared.events.registry import AnyTopic, topics
from shared.events.topic import PLACES, Audience, EventModel, Facts, Latest
from shared.provision.topology import DAY_MS, TOMBSTONES_MS, topic_specs

TARGET = "docs/asyncapi.yaml"
PREFIX = "beegrid."
KAFKA_BINDING = "0.5.0"
OUTSIDE = {"company": "company-<code>", "city-system": "system-<code>"}


def _message_name(topic: AnyTopic, end: str = "") -> str:
    return topic.model.__name__ + end


def _of(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _kafka(**binding: object) -> dict[str, Any]:
    return {"kafka": {**binding, "bindingVersion": KAFKA_BINDING}}


def _schemas() -> tuple[dict[type[EventModel], str], dict[str, Any]]:
    """References of all bodies, and the schemas that they need, each once."""
    models: dict[type[BaseModel], Literal["validation", "serialization"]] = {
        topic.model: ("validation" if topic.audience is Audience.INBOUND else "serialization") for topic in topics()
    }
    references, shared = models_json_schema(list(models.items()), ref_template="#/components/schemas/{model}")
    return {topic.model: references[(topic.model, models[topic.model])]["$ref"] for topic in topics()}, shared["$defs"]


def _key_schema(topic: AnyTopic) -> dict[str, Any]:
    field = topic.model.model_json_schema()["properties"][topic.key]
    return {
        "type": "string",
        **{word: field[word] for word in ("format", "pattern") if word in field},
        "description": f"UTF-8 text of the body's `{topic.key}`: all records of one {topic.key} are in one partition",
    }


def _topic_binding(topic: AnyTopic, address: str, *, dead: bool) -> dict[str, Any]:
    # what provisioning creates, so that this document can't promise anything else
    spec = next(spec for spec in topic_specs(("{company}",), ("{service}",)) if spec.name == topic.name)
    if dead:
        partner = spec.partner()
        assert partner is not None, f"{topic.name} has no dead-letter partner"
        spec = partner
    config: dict[str, Any] = {
        "cleanup.policy": [spec.cleanup_policy],
        "retention.ms": spec.retention_ms,
        "max.message.bytes": spec.max_message_bytes,
    }
    if spec.compaction is not None:
        config["delete.retention.ms"] = spec.compaction.tombstones_ms
    return _kafka(topic=address, partitions=spec.partitions, topicConfiguration=config)


def _kept(topic: AnyTopic) -> str:
    """What a reader who comes late can count on."""
    kept = topic.kept
    if isinstance(kept, Facts):
        return f"Facts, kept for {kept.words}."
    days = TOMBSTONES_MS // DAY_MS
    leaving = (
        f" When {kept.leaves}, the key leaves by a record without a value, which itself goes {days} days later. It has "
        "the `ce_aggregateversion` of the state that leaves; a key that comes back goes on from there."
    )
    return (
        "The latest state of each key is kept: read from its beginning, the topic is the producer's whole state. Every "
        f"record is there for {kept.steps_hours // 24} d, superseded ones go after that: a late reader sees gaps in "
        "`ce_aggregateversion`." + (leaving if kept.leaves else "")
    )


def _channel(topic: AnyTopic, *, dead: bool) -> dict[str, Any]:
    name = _message_name(topic, "DeadLetter" if dead else "")
    address = PREFIX + topic.name + (".dlq" if dead else "")
    chinese, english = labels.journey(topic.journey)
    channel: dict[str, Any] = {
        "address": address,
        "title": f"{topic.name}.dlq" if dead else topic.name,
        "summary": f"Records of {topic.name} that a service could not use." if dead else topic.summary,
        "messages": {name: _of("messages", name)},
        "tags": [
            {"name": str(topic.audience)},
            {"name": f"journey:{topic.journey}", "description": f"{chinese} / {english}"},
        ],
        "bindings": _topic_binding(topic, address, dead=dead),
    }
    if not dead and _leaves(topic):
        channel["messages"][f"{name}Gone"] = _of("messages", f"{name}Gone")
    if dead:
        channel["tags"] = [{"name": "dead-letter"}, *channel["tags"][1:]]
    else:
        channel["description"] = (
            f"{_kept(topic)} Partition key `{topic.key}`. A body over {topic.record_bytes_max:,} bytes becomes a dead "
            "letter. "
            + (
                "After a dead letter, later records of the same key wait (parked) until it is replayed."
                if topic.ordered
                else "Records are independent: a dead letter holds up no other record."
            )
        )
        if topic.audience is Audience.OUTBOUND:
            channel["description"] += (
                " Each record is all that is known of its report: of one key the highest `ce_aggregateversion` holds. "
                "Numbers may be left out, and one may come twice. It is 0 where the record is of no report. A company "
                "that has no such topic misses what was said meanwhile."
            )
    if topic.is_family:
        channel["parameters"] = {str(topic.place): _of("parameters", str(topic.place))}
    return channel


def _message(topic: AnyTopic, reference: str) -> dict[str, Any]:
    inbound = topic.audience is Audience.INBOUND
    source = "/feima-express/dispatch" if inbound else f"/beegrid/{topic.producer}"
    trait = "submission" if inbound else "cloudEvent"
    examples = []
    for number, example in enumerate(examples_of(topic), start=1):
        time = next(
            (example.payload[name] for name in ("changed_at", "received_at", "occurred_at") if name in example.payload),
            "2026-05-19T10:05:33.184027Z",
        )
        version = 0 if inbound else number
        examples.append(
            {
                "name": example.name,
                "summary": example.summary,
                "headers": header_example(source, topic.name, str(example.payload[topic.key]), time, version),
                "payload": example.payload,
            }
        )
    return {
        "name": _message_name(topic),
        "title": topic.name,
        "summary": topic.summary,
        "description": topic.model.__doc__ or topic.summary,
        "contentType": "application/json",
        "payload": {"$ref": reference},
        "traits": [_of("messageTraits", trait)],
        "bindings": _kafka(key=_key_schema(topic)),
        "tags": [{"name": str(topic.audience)}],
        "examples": examples,
    }


def _leaves(topic: AnyTopic) -> str:
    """When a key leaves the topic, if ever."""
    return topic.kept.leaves if isinstance(topic.kept, Latest) else ""


def _gone(topic: AnyTopic) -> dict[str, Any]:
    return {
        "name": _message_name(topic, "Gone"),
        "title": f"{topic.name}: a key leaves",
        "summary": f"A record without a value: {_leaves(topic)}.",
        "payload": {"type": "null"},
        "traits": [_of("messageTraits", "cloudEvent")],
        "bindings": _kafka(key=_key_schema(topic)),
        "tags": [{"name": str(topic.audience)}],
    }


def _codes(topic: AnyTopic, letters: Mapping[str, Lettered]) -> str:
    """The reasons that a topic's dead letters may have, and what may come again."""
    of_topic = sorted(code for code, of in letters.items() if topic.name in (of.topics or (topic.name,)))
    again = [code for code in of_topic if letters[code].same_id]
    number = [code for code in of_topic if letters[code].same_number and not letters[code].same_id]
    never = [code for code in of_topic if not letters[code].same_number]
    parts = (
        ("Put right, it may come again under the same number and `ce_id`", again),
        ("Put right, it may come again under the same number with a new `ce_id`", number),
        ("It is not to come again under its number", never),
    )
    return ". ".join(f"{words}: {', '.join(f'`{code}`' for code in codes)}" for words, codes in parts if codes) + "."


def _dead_letter(topic: AnyTopic, letters: Mapping[str, Lettered]) -> dict[str, Any]:
    return {
        "name": _message_name(topic, "DeadLetter"),
        "title": f"{topic.name}.dlq",
        "summary": f"A record of {topic.name} that could not be used, with the reason.",
        "description": f"Reasons (`dlq-code`). {_codes(topic, letters)}",
        "payload": {"description": f"the original value, byte for byte (empty where there was none), of {topic.name}"},
        "traits": [_of("messageTraits", "deadLetter")],
        "bindings": _kafka(key={"type": "string", "description": DEAD_LETTER_KEY}),
        "tags": [{"name": "dead-letter"}],
    }


def _operation(topic: AnyTopic, party: str, action: str, *, dead: bool = False) -> dict[str, Any]:
    channel = stem(topic) + (".dlq" if dead else "")
    name = _message_name(topic, "DeadLetter" if dead else "")
    names = [name, f"{name}Gone"] if _leaves(topic) and not dead else [name]
    chinese, english = labels.party(party)
    words = {"send": "writes", "receive": "reads"}[action]
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": f"{party} {words} {channel}",
        "summary": DEAD_LETTER_SUMMARY[action].format(party=party, topic=topic.name) if dead else topic.summary,
        "tags": [{"name": party, "description": f"{chinese} / {english}"}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{one}"} for one in names],
    }
    if action == "receive":
        if party in OUTSIDE:
            group = {"description": f"any group whose name begins with {PREFIX}{OUTSIDE[party]}."}
        else:
            group = {"const": f"{PREFIX}{party}.{topic.member('all')}"}
        operation["bindings"] = _kafka(groupId={"type": "string", **group})
    return operation


DEAD_LETTER_SUMMARY = {
    "send": "{party} publishes the records of {topic} that it could not use.",
    "receive": "{party} learns which of its records of {topic} could not be used, and why.",
}


def _operations() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in labels.all_topics():
        found[f"{topic.producer}.send.{stem(topic)}"] = _operation(topic, topic.producer, "send")
        for consumer in topic.consumers:
            found[f"{consumer}.receive.{stem(topic)}"] = _operation(topic, consumer, "receive")
        for consumer in (name for name in topic.consumers if name not in OUTSIDE):
            found[f"{consumer}.send.{stem(topic)}.dlq"] = _operation(topic, consumer, "send", dead=True)
        if topic.audience is Audience.INBOUND:
            # a company reads why its records were refused
            found[f"{topic.producer}.receive.{stem(topic)}.dlq"] = _operation(
                topic, topic.producer, "receive", dead=True
            )
    return found


def _servers() -> dict[str, Any]:
    scram = [_of("securitySchemes", "scram")]
    return {
        "production": {
            "host": "kafka.example.org:9094",
            "protocol": "kafka-secure",
            "title": "SASL_SSL",
            "description": "An installation's brokers, over TLS (`security.protocol=SASL_SSL`).",
            "security": scram,
        },
        "local": {
            "host": "127.0.0.1:{port}",
            "protocol": "kafka",
            "title": "SASL_PLAINTEXT",
            "description": "The broker on a developer's machine, without TLS (`security.protocol=SASL_PLAINTEXT`).",
            "variables": {"port": {"default": "9092", "description": "the port that `make demo` names"}},
            "security": scram,
        },
    }


def document(root: Path) -> dict[str, Any]:
    """The whole document as plain data."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    references, schemas = _schemas()
    letters = lettered(root)
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in labels.all_topics():
        channels[stem(topic)] = _channel(topic, dead=False)
        channels[f"{stem(topic)}.dlq"] = _channel(topic, dead=True)
        messages[_message_name(topic)] = _message(topic, references[topic.model])
        if _leaves(topic):
            messages[_message_name(topic, "Gone")] = _gone(topic)
        messages[_message_name(topic, "DeadLetter")] = _dead_letter(topic, letters)
    return {
        "asyncapi": "3.1.0",
        "id": "urn:beegrid:events",
        "info": {
            "title": "BeeGrid events",
            "version": version,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [
                {
                    "name": "public",
                    "description": "城市系统可读，部分企业也可读 / city systems may read it, companies some",
                },
                {"name": "inbound", "description": "平台企业写入 / written by one company each"},
                {"name": "outbound", "description": "平台企业读取 / read by one company each"},
                {"name": "internal", "description": "仅内部服务 / services of the suite only"},
                {"name": "dead-letter", "description": "死信 / records that a service could not use"},
            ],
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": channels,
        "operations": _operations(),
        "components": {
            "securitySchemes": {
                "scram": {
                    "type": "scramSha512",
                    "description": (
                        "SASL SCRAM-SHA-512. A service's user has the service's name, a company's is `company-<code>`, "
                        "a city system's `system-<code>`; the groups of the two begin with their user's name and a "
                        "dot. ACLs follow this document: who sends may write, who receives may read, nothing else."
                    ),
                }
            },
            "parameters": _parameters(),
            "messageTraits": {
                "cloudEvent": {
                    "headers": CLOUD_EVENT_HEADERS,
                    "correlationId": {
                        "location": "$message.header#/traceparent",
                        "description": "one trace across all hops",
                    },
                },
                "submission": {"headers": SUBMISSION_HEADERS, "description": SUBMISSION_WORDS},
                "deadLetter": {"headers": DEAD_LETTER_HEADERS, "description": DEAD_LETTER_WORDS},
            },
            "messages": messages,
            "schemas": schemas,
        },
    }


def _parameters() -> dict[str, Any]:
    return {
        "company": {
            "description": f"company code ({_pattern()}); only the user `company-<code>` may "
            "write its inbound topics and read its outbound ones",
            "examples": ["feima-express"],
        },
        "service": {
            "description": f"name of a service of the suite ({PLACES['service']}) whose about.py says that it "
            "writes such a topic; only its own user may",
            "examples": ["stations"],
        },
    }


def _pattern() -> str:
    field = CompanyCode.__metadata__[0]  # type: ignore[attr-defined]  # Annotated keeps it there
    return str(next(item.pattern for item in field.metadata if getattr(item, "pattern", None)))


def generate(root: Path) -> Generated:
    """The document as YAML."""
    head = "GENERATED by `make gen` from shared/events; change it there"
    return Generated(files={TARGET: as_yaml(head, document(root), width=118)})
