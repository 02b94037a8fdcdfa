"""The declarations of topics are complete, and the code subscribes to exactly what is declared."""

import importlib.util
import re
from dataclasses import replace

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import service_of
from shared.events import registry
from shared.events.registry import AnyTopic, topics
from shared.events.topic import ANY_SERVICE, Audience, Facts, Latest
from shared.provision import services
from shared.provision.services import doers, service_names
from shared.provision.topology import acl_specs, topic_specs

NAME = re.compile(r"^(?:[a-z]+|\{service\}|(?:in|out)bound\.\{company\})\.[a-z-]+\.v[1-9][0-9]*$")
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
    if (topic.audience is Audience.PUBLIC) != ("city-system" in topic.consumers):
        found.append("city systems read public topics, and only these")
    if topic.audience is Audience.PUBLIC and (
        not topic.name.startswith("public.") or any("rider" in field for field in topic.model.model_fields)
    ):
        found.append("a public topic is named so and holds no rider")
    owner = "{service}" if topic.producer == ANY_SERVICE else topic.producer
    if topic.audience is Audience.INTERNAL and not topic.name.startswith(f"{owner}."):
        found.append("the name doesn't begin with its producer")
    if topic.dlq != f"{topic.name}.dlq":
        found.append("the dead-letter partner has another name")
    if not (1 <= topic.partitions <= 64 and topic.kept.whole_hours >= 24 and topic.step >= 1 and topic.summary):
        found.append("partitions, retention, step or summary make no sense")
    return found + faults_of_family(topic)


def faults_of_family(topic: AnyTopic) -> list[str]:
    """What is wrong with the place in its name."""
    found = []
    if (topic.audience in (Audience.INBOUND, Audience.OUTBOUND)) != (topic.place == "company"):
        found.append("companies' topics are families, and only they")
    if (topic.producer == ANY_SERVICE) != (topic.place == "service"):
        found.append("what any service may write is a family of services, and only that")
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
    for name in {topic.producer, *topic.consumers} - {"company", "city-system", ANY_SERVICE}:
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
    assert owners == (set(doers()) if topic.producer == ANY_SERVICE else {topic.producer})


def test_a_topic_of_each_service_that_says_so() -> None:
    """Its topic with a dead-letter partner, its own right to write, its readers' to read: without a line elsewhere."""
    [family] = registry.service_families()
    own = family.member("errands")
    assert own == "errands.deed-done.v1"
    specs = [spec for spec in topic_specs((), ("errands",)) if spec.name == own]
    assert len(specs) == 1
    assert specs[0].partner() is not None
    acls = {acl.user: acl for acl in acl_specs((), ("errands",))}
    assert own in acls["points"].read and f"{own}.dlq" in acls["points"].write
    assert all(own not in acl.read for user, acl in acls.items() if user != "points")
    assert not [spec for spec in topic_specs((), ()) if "{" in spec.name]
    with pytest.raises(ValueError, match="may stand in braces"):
        replace(family, name="{office}.deed-done.v1")


def test_a_service_that_says_that_it_reports_deeds_may_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    about = services.about
    monkeypatch.setattr(services, "about", lambda name: replace(about(name), deeds=("call",) * (name == "tracking")))
    assert services.doers() == ["tracking"]
    acls = {acl.user: acl for acl in acl_specs()}
    assert "tracking.deed-done.v1" in acls["tracking"].write
    assert "tracking.deed-done.v1" in acls["points"].read
    assert all("tracking.deed-done.v1" not in acl.write for user, acl in acls.items() if user != "tracking")
    assert "tracking.deed-done.v1" in {spec.name for spec in topic_specs()}
