"""The declarations of topics are complete, and the code subscribes to exactly what is declared."""

import importlib.util
import re
from dataclasses import replace

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import service_of
from shared.events import registry
from shared.events.registry import AnyTopic, topics
from shared.events.topic import Audience, Facts, Latest
from shared.provision.services import service_names

NAME = re.compile(r"^(?:[a-z]+|(?:in|out)bound\.\{company\})\.[a-z-]+\.v[1-9][0-9]*$")
SERVICES = service_names(ROOT)
EVERY_TOPIC = pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)


def faults_of(topic: AnyTopic) -> list[str]:
    """What is wrong with one declaration."""
    found = []
    if not NAME.match(topic.name):
        found.append("the name is not <owner>.<what>.v<n>")
    if topic.key not in topic.model.model_fields or not topic.model.model_fields[topic.key].is_required():
        found.append("the key is no required field")
    if not topic.consumers or len(set(topic.consumers)) != len(topic.consumers):
        found.append("consumers are missing or named twice")
    inbound, outbound = topic.audience is Audience.INBOUND, topic.audience is Audience.OUTBOUND
    if inbound != topic.name.startswith("inbound.") or inbound != (topic.producer == "company"):
        found.append("inbound topics are written by companies, and only they")
    if outbound != topic.name.startswith("outbound.") or outbound != (topic.consumers == ("company",)):
        found.append("outbound topics are read by companies alone, and only they")
    if (inbound or outbound) != topic.is_family:
        found.append("companies' topics are families, and only they")
    if (topic.audience is Audience.PUBLIC) != ("city-system" in topic.consumers):
        found.append("city systems read public topics, and only these")
    if topic.audience is Audience.PUBLIC and (
        not topic.name.startswith("public.") or any("rider" in field for field in topic.model.model_fields)
    ):
        found.append("a public topic is named so and holds no rider")
    if topic.audience is Audience.INTERNAL and not topic.name.startswith(f"{topic.producer}."):
        found.append("the name doesn't begin with its producer")
    if topic.dlq != f"{topic.name}.dlq":
        found.append("the dead-letter partner has another name")
    if not (1 <= topic.partitions <= 64 and topic.kept.whole_hours >= 24 and topic.step >= 1 and topic.summary):
        found.append("partitions, retention, step or summary make no sense")
    return found


@EVERY_TOPIC
def test_a_declaration_is_complete(topic: AnyTopic) -> None:
    assert faults_of(topic) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "cases.changed"},
        {"key": "note"},
        {"key": "nothing"},
        {"consumers": ("points", "points")},
        {"producer": "company"},
        {"producer": "points"},
        {"audience": Audience.PUBLIC},
        {"audience": Audience.INBOUND},
        {"audience": Audience.OUTBOUND},
        {"consumers": ("company",)},
        {"consumers": ("city-system",)},
        {"kept": Facts(hours=1)},
        {"kept": Latest(steps_hours=1)},
        {"summary": ""},
    ],
)
def test_a_wrong_declaration_is_found(wrong: dict[str, object]) -> None:
    topic = next(topic for topic in topics() if topic.name == "cases.case-changed.v1")
    assert faults_of(topic) == []
    assert faults_of(replace(topic, **wrong)) != []  # type: ignore[arg-type]  # wrong on purpose


def test_a_topic_that_nobody_reads_says_what_to_do() -> None:
    topic = next(topic for topic in topics() if topic.name == "cases.case-changed.v1")
    with pytest.raises(ValueError, match="name who reads it; where nobody of the suite does"):
        replace(topic, consumers=())


@EVERY_TOPIC
def test_producer_and_consumers_exist(topic: AnyTopic) -> None:
    for name in {topic.producer, *topic.consumers} - {"company", "city-system"}:
        assert (ROOT / "services" / name / "app.py").exists(), f"{topic.name} names services/{name}"


def test_every_service_that_a_topic_names_declares_itself() -> None:
    assert set(registry.services()) <= set(service_names(ROOT))


@pytest.mark.parametrize("name", SERVICES)
def test_declared_consumers_are_the_subscribers_in_code(name: str) -> None:
    assert importlib.util.find_spec(f"services.{name}.app") is not None
    subscribed = sorted(topic.name for topic in service_of(name).subscriptions)
    assert subscribed == sorted(topic.name for topic in registry.consumed_by(name))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_forgets_a_topic_does_not_start(name: str) -> None:
    service = service_of(name)
    if not service.consumers:
        pytest.skip("consumes nothing")
    service.consumers.popitem()
    with pytest.raises(ValueError, match="declared to consume"):
        service.app()


@EVERY_TOPIC
def test_the_producer_publishes_it(topic: AnyTopic) -> None:
    """Somewhere in the producer's code the topic's constant is named; nobody else's code that publishes names it."""
    if topic.producer == "company":
        return
    module = importlib.import_module(topic.model.__module__)
    constant = next(name for name, value in vars(module).items() if value is topic)
    publishing = re.compile(rf"publish\(\s*(?:\w+\.)?{constant}\b")
    owners = {
        path.relative_to(ROOT / "services").parts[0]
        for path in (ROOT / "services").rglob("*.py")
        if publishing.search(path.read_text(encoding="utf-8"))
    }
    assert owners == {topic.producer}
