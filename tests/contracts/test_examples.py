"""The examples beside the contracts are true, and the schemas are those of the models."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.devtools.gen.examples import FOLDER as EXAMPLES
from shared.devtools.gen.examples import examples_of
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.schemas import FOLDER, schema_of, stem
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience

EVERY_TOPIC = pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)


def stored_schema(topic: AnyTopic) -> dict[str, Any]:
    """The generated schema as readers of the repository get it."""
    found: dict[str, Any] = json.loads((ROOT / FOLDER / f"{stem(topic)}.json").read_text(encoding="utf-8"))
    return found


@EVERY_TOPIC
def test_the_schema_is_current(topic: AnyTopic) -> None:
    assert stored_schema(topic) == schema_of(topic), "run `make gen`"


@EVERY_TOPIC
def test_examples_are_valid(topic: AnyTopic) -> None:
    examples = examples_of(topic)
    assert examples
    assert len({example.name for example in examples}) == len(examples)
    schema = stored_schema(topic)
    Draft202012Validator.check_schema(schema)
    for example in examples:
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example.payload)
        body = topic.model.model_validate_json(json.dumps(example.payload))
        assert topic.key_of(body)


@EVERY_TOPIC
def test_examples_are_written_as_the_suite_writes(topic: AnyTopic) -> None:
    """Of our own topics an example is byte for byte what a service sends; a company's body only has to be readable."""
    for example in examples_of(topic):
        body = topic.model.model_validate(example.payload)
        written = json.loads(body.model_dump_json())
        if topic.audience is Audience.INBOUND:
            assert topic.model.model_validate(written) == body
        else:
            assert written == example.payload


@EVERY_TOPIC
def test_examples_have_no_unknown_field(topic: AnyTopic) -> None:
    for example in examples_of(topic):
        assert set(example.payload) <= set(topic.model.model_fields)


def test_no_example_without_topic() -> None:
    names = {path.stem for path in (ROOT / EXAMPLES).glob("*.json")}
    assert names == {stem(topic) for topic in topics()}


def test_a_wrong_example_would_be_found() -> None:
    topic = next(topic for topic in topics() if topic.name == "cases.case-changed.v1")
    wrong = {**examples_of(topic)[0].payload, "state": "lost"}
    assert not Draft202012Validator(stored_schema(topic)).is_valid(wrong)
    wrong = {**examples_of(topic)[0].payload, "case_id": "7"}
    checker = Draft202012Validator.FORMAT_CHECKER
    assert not Draft202012Validator(stored_schema(topic), format_checker=checker).is_valid(wrong)


def test_a_topic_without_examples_says_what_to_write(tmp_path: Path) -> None:
    topic = next(topic for topic in topics() if topic.name == "cases.case-changed.v1")
    with pytest.raises(FileNotFoundError, match=r"examples/cases\.case-changed\.v1\.json: write examples of cases\."):
        examples_of(topic, tmp_path)
