"""What provisioning and migrations decide before they speak to a server."""

from pathlib import Path

import pytest

from shared.provision import kafka as topics
from shared.provision import migrate
from shared.provision import postgres as database
from shared.provision.kafka import Compaction, KafkaAdmin, TopicSpec, delete_topics
from shared.provision.kafka_rights import AclSpec, bindings
from shared.provision.postgres import database_url


def test_each_topic_has_its_dead_letter_partner() -> None:
    specs = [TopicSpec("a.v1", 6, 1000, 5000), TopicSpec("b.v1", 2, -1, compaction=Compaction(1, 2, 3), dlq=False)]
    made = {topic.topic: (topic.num_partitions, topic.config or {}) for topic in topics._wanted_topics("x.", specs)}
    assert set(made) == {"x.a.v1", "x.a.v1.dlq", "x.b.v1"}
    assert made["x.a.v1"][1] == {
        "retention.ms": "1000",
        "max.message.bytes": "5000",
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "segment.ms": "86400000",
    }
    assert made["x.a.v1.dlq"][0] == 1
    assert int(made["x.a.v1.dlq"][1]["max.message.bytes"]) > 5_000, "a dead letter holds more than its record"
    compacted = {"min.compaction.lag.ms": "1", "max.compaction.lag.ms": "2", "delete.retention.ms": "3"}
    assert made["x.b.v1"][1].items() >= {"cleanup.policy": "compact", "retention.ms": "-1", **compacted}.items()


def test_rights_are_exactly_those_of_the_spec() -> None:
    spec = AclSpec("riders", write=["a"], read=["b"], group_prefixes=["riders."])
    found = {
        (acl.restype.name, acl.name, acl.resource_pattern_type.name, acl.operation.name, acl.principal)
        for acl in bindings(spec, "x.", "t1-")
    }
    me = "User:t1-riders"
    assert found == {
        ("TOPIC", "x.a", "LITERAL", "WRITE", me),
        ("TOPIC", "x.a", "LITERAL", "DESCRIBE", me),
        ("TOPIC", "x.b", "LITERAL", "READ", me),
        ("TOPIC", "x.b", "LITERAL", "DESCRIBE", me),
        ("GROUP", "x.riders.", "PREFIXED", "READ", me),
    }


def test_an_empty_prefix_never_removes_everything() -> None:
    with pytest.raises(ValueError, match="everything"):
        delete_topics("127.0.0.1:1", KafkaAdmin("a", "b"), "")


def test_passwords_are_sent_as_verifiers_only() -> None:
    first, second = database._verifier("pw"), database._verifier("pw")
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert "pw" not in first.removeprefix("SCRAM-SHA-256$4096:").split(":")
    assert first != second


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b"])
def test_names_that_postgres_would_change_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="usable"):
        database._name(name)


def test_urls_survive_any_password() -> None:
    url = database_url("postgresql://postgres:x@127.0.0.1:5432/postgres?sslmode=disable", "beegrid", "a_app", "p@ss/%:")
    assert url == "postgresql://a_app:p%40ss%2F%25%3A@127.0.0.1:5432/beegrid?sslmode=disable"
    assert migrate._dbmate_url("postgresql://a:b@h/d") == "postgres://a:b@h/d?sslmode=disable"


def test_two_migrations_of_one_number_are_refused(tmp_path: Path) -> None:
    for folder, name in (("kit", "0001_a.sql"), ("own", "0001_b.sql")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    with pytest.raises(migrate.MigrationError, match="same number"):
        migrate._check([tmp_path / "kit", tmp_path / "own"])
    with pytest.raises(migrate.MigrationError, match="isn't a folder"):
        migrate._check([tmp_path / "missing"])
