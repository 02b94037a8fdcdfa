"""docs/asyncapi.yaml explains every byte on every topic, and is true."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft7Validator

from shared.devtools.gen import asyncapi
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.schemas import stem
from shared.devtools.gen.validate import validate, validate_schemas
from shared.events.deed_done import DEED_DONE
from shared.events.envelope import from_headers, to_headers
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience, Latest
from shared.kit.letters.dead_letters import Burial, bury
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.letters.partner_records import KEY_BYTES_MAX
from shared.kit.messaging.headers import unpack
from shared.kit.messaging.kafka import DLQ_BYTES_MAX
from shared.kit.messaging.work import OutboxRow, Record
from shared.kit.postgres.db import Connection
from shared.provision.topology import acl_specs, system_acl, topic_specs

EVERY_TOPIC = pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it lies in the repository."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / asyncapi.TARGET).read_text(encoding="utf-8"))
    return loaded


def references(node: Any) -> Iterator[str]:
    """Every $ref below a node."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolved(document: dict[str, Any], reference: str) -> Any:
    """What a local $ref points to."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def message(document: dict[str, Any], topic: AnyTopic, suffix: str = "") -> dict[str, Any]:
    """The one message of a topic's channel."""
    channel = document["channels"][stem(topic) + (".dlq" if suffix == "DeadLetter" else "")]
    found: dict[str, Any] = resolved(document, channel["messages"][topic.model.__name__ + suffix]["$ref"])
    return found


def headers_schema(document: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    """The headers that a message gets from its trait."""
    (trait,) = of["traits"]
    schema: dict[str, Any] = resolved(document, trait["$ref"])["headers"]
    return schema


def test_the_document_is_current(document: dict[str, Any]) -> None:
    assert document == yaml.safe_load(asyncapi.generate(ROOT).files[asyncapi.TARGET]), "run `make gen`"


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert len(found) > 100
    for reference in found:
        assert reference.startswith("#/")
        assert resolved(document, reference) is not None


@EVERY_TOPIC
def test_examples_fit_payload_and_headers(document: dict[str, Any], topic: AnyTopic) -> None:
    described = message(document, topic)
    payload = {**described["payload"], "components": document["components"]}
    assert described["examples"]
    for example in described["examples"]:
        Draft7Validator(payload).validate(example["payload"])
        Draft7Validator(headers_schema(document, described)).validate(example["headers"])
        assert example["headers"]["ce_type"] == topic.name


@EVERY_TOPIC
def test_every_header_we_write_is_explained(document: dict[str, Any], topic: AnyTopic) -> None:
    described = message(document, topic)
    envelope = from_headers(described["examples"][0]["headers"])
    written = {name: value.decode() for name, value in to_headers(envelope)}
    if topic.audience is not Audience.INBOUND:
        schema = headers_schema(document, described)
        Draft7Validator({**schema, "additionalProperties": False}).validate(written)
        assert all(schema["properties"][name]["description"] for name in written)


class Inserts:
    """Stands for a connection: every dead letter is new."""

    async def fetch(self, sql: str, *columns: Any) -> list[dict[str, Any]]:
        """The rows as inserted; no rider is erased, nothing was buried before."""
        if "FROM erased_riders" in sql or "FROM counters" in sql:
            return []
        return [
            {"topic": topic, "partition": partition, "record_offset": offset, "record_ms": at_ms}
            for topic, partition, offset, at_ms in zip(*columns[:3], columns[12], strict=True)
        ]

    async def execute(self, _sql: str, *_columns: Any) -> None:
        """Nothing is read back."""


def own_headers(row: OutboxRow) -> dict[str, str]:
    """What a dead letter says of itself."""
    written = {name: value.decode() for name, value in unpack(row.headers or b"") if value is not None}
    return {name: value for name, value in written.items() if name.startswith("dlq-")}


@EVERY_TOPIC
async def test_every_header_of_a_dead_letter_is_explained(document: dict[str, Any], topic: AnyTopic) -> None:
    record = Record(topic.name, 3, 17, b"key", b"{", (("ce_id", b"1"), ("x", None)))
    burial = Burial(record, None, "dead", "malformed_json", "EOF while parsing", 1)
    now = datetime(2026, 5, 19, tzinfo=UTC)
    bounds = Bounds(100, 2)
    (row,) = await bury(cast("Connection", Inserts()), [burial], consumer="cases", now=now, bounds=bounds)
    schema = headers_schema(document, message(document, topic, "DeadLetter"))
    strict = Draft7Validator({**schema, "additionalProperties": False})
    own = own_headers(row)
    strict.validate(own)
    assert set(own) == set(schema["required"])
    assert dict(unpack(row.headers or b""))["ce_id"] == b"1"
    huge = replace(record, key=b"k" * (KEY_BYTES_MAX + 1), value=b"x" * (DLQ_BYTES_MAX + 1))
    large = Burial(huge, None, "dead", "content_too_large", "", 1)
    bounded = topic.audience is Audience.INBOUND
    rest: list[Burial] = [large, large, large] if bounded else [large]
    rows = await bury(cast("Connection", Inserts()), [burial, *rest], consumer="cases", now=now, bounds=bounds)
    rows += await bury(cast("Connection", Inserts()), [large], consumer="cases", now=now, bounds=Bounds(1 << 30, 2))
    seen = [own_headers(one) for one in rows]
    for headers in seen:
        strict.validate(headers)
    if bounded:
        assert {name for headers in seen for name in headers} == set(schema["properties"])
    assert (asyncapi.PREFIX + row.topic) == document["channels"][f"{stem(topic)}.dlq"]["address"]


@EVERY_TOPIC
def test_sizes_are_those_that_the_broker_gets(document: dict[str, Any], topic: AnyTopic) -> None:
    spec = next(spec for spec in topic_specs(("{company}",), ("{service}",)) if spec.name == topic.name)
    partner = spec.partner()
    assert partner is not None and partner.max_message_bytes == DLQ_BYTES_MAX
    for name, made in ((stem(topic), spec), (f"{stem(topic)}.dlq", partner)):
        said = document["channels"][name]["bindings"]["kafka"]["topicConfiguration"]["max.message.bytes"]
        assert said == made.config()["max.message.bytes"]


@EVERY_TOPIC
def test_a_late_reader_learns_what_is_there(document: dict[str, Any], topic: AnyTopic) -> None:
    channel = document["channels"][stem(topic)]
    policy = channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]
    latest = isinstance(topic.kept, Latest)
    assert policy == (["compact"] if latest else ["delete"])
    assert ("sees gaps in `ce_aggregateversion`" in channel["description"]) == latest
    assert (f"{topic.model.__name__}Gone" in channel["messages"]) == (latest and bool(topic.kept.leaves))
    if f"{topic.model.__name__}Gone" in channel["messages"]:
        gone = message(document, topic, "Gone")
        assert gone["payload"] == {"type": "null"}
        reading = document["operations"][f"{topic.consumers[0]}.receive.{stem(topic)}"]
        assert len(reading["messages"]) == 2


@EVERY_TOPIC
def test_the_key_is_described(document: dict[str, Any], topic: AnyTopic) -> None:
    key = message(document, topic)["bindings"]["kafka"]["key"]
    assert topic.key in key["description"]
    for example in message(document, topic)["examples"]:
        Draft7Validator(key).validate(str(example["payload"][topic.key]))


@EVERY_TOPIC
def test_operations_are_those_of_the_registry(document: dict[str, Any], topic: AnyTopic) -> None:
    channel = f"#/channels/{stem(topic)}"
    found = {
        (name.split(".")[0], operation["action"])
        for name, operation in document["operations"].items()
        if operation["channel"]["$ref"] == channel
    }
    assert found == {(topic.producer, "send"), *((name, "receive") for name in topic.consumers)}
    dead = {
        (name.split(".")[0], operation["action"])
        for name, operation in document["operations"].items()
        if operation["channel"]["$ref"] == f"{channel}.dlq"
    }
    readers = {("company", "receive")} if topic.audience is Audience.INBOUND else set()
    assert dead == {(name, "send") for name in topic.consumers if name not in asyncapi.OUTSIDE} | readers


def test_operations_are_what_the_broker_allows(document: dict[str, Any]) -> None:
    """The rights that provisioning gives are exactly the operations that the document lists."""
    listed: dict[str, set[tuple[str, str]]] = {}
    for name, operation in document["operations"].items():
        channel = resolved(document, operation["channel"]["$ref"])
        listed.setdefault(name.split(".")[0], set()).add((operation["action"], channel["title"]))
    for acl in [*acl_specs(("{company}",), ("{service}",)), system_acl("x")]:
        party = {"company-{company}": "company", "system-x": "city-system"}.get(acl.user, acl.user)
        own_deeds = DEED_DONE.member(acl.user)  # in the document as the family's, which any service may have
        allowed = {("send", name) for name in acl.write if name != own_deeds} | {("receive", name) for name in acl.read}
        assert allowed == listed.get(party, set()), acl.user


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here")
def test_the_specifications_own_parser_refuses_a_broken_document(document: dict[str, Any], tmp_path: Path) -> None:
    """The whole document is given to it by `make check`; here it must refuse a broken one."""
    folder = ROOT / "build" / "asyncapi_check"
    broken = tmp_path / "asyncapi.yaml"
    del document["channels"][stem(topics()[0])]
    broken.write_text(yaml.safe_dump(document))
    done = validate(broken, folder)
    assert done.returncode == 1, done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here")
def test_a_strict_validator_refuses_words_that_nobody_declares(tmp_path: Path) -> None:
    """All schemas are given to it by `make check`; here it must refuse one with another word."""
    for folder in ("schemas", "examples"):
        (tmp_path / folder).mkdir()
        name = f"{folder}/{stem(topics()[0])}.json"
        shutil.copy(ROOT / "shared/events" / name, tmp_path / name)
    shutil.copy(ROOT / "shared/events/vocabulary.json", tmp_path)
    build = ROOT / "build/asyncapi_check"
    assert validate_schemas(tmp_path, build).returncode == 0
    schema = tmp_path / "schemas" / f"{stem(topics()[0])}.json"
    schema.write_text(json.dumps({**json.loads(schema.read_text("utf-8")), "x-odd": 1}), "utf-8")
    done = validate_schemas(tmp_path, build)
    assert done.returncode == 1 and "x-odd" in done.stderr
