"""What companies are given in Kubernetes, what pods do without, what pruning takes: every rule holds and bites."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import handed_out, pruned
from shared.devtools.kube_check.render import Yaml
from tests.architecture.support.objects import container, one, pod

Harm = Callable[[list[Yaml]], None]


def test_every_overlay_keeps_every_rule(rendered: dict[str, list[Yaml]]) -> None:
    for objects in rendered.values():
        assert handed_out.check(objects) == []
    assert pruned.check(rendered["production"], ROOT) == []


def another_name(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][-1]["port"] = 9095


def ours_beside_strimzi_s(o: list[Yaml]) -> None:
    del one(o, "ConfigMap", "toolbox")["data"]["BEEGRID_KAFKA_USERS_BY"]


def no_pod_without_keys(o: list[Yaml]) -> None:
    volumes = pod(o, "cases")["volumes"]
    del next(one for one in volumes if one["name"] == "identity")["configMap"]["optional"]


IN_PRODUCTION: list[tuple[Harm, str]] = [
    (another_name, "BEEGRID_KAFKA_PUBLIC is kafka.example.org:9094, and Kafka is outside kafka.example.org:9095"),
    (ours_beside_strimzi_s, "BEEGRID_KAFKA_USERS_BY is None, and Kafka's users are made by strimzi here"),
    (no_pod_without_keys, "StatefulSet/cases: without the ConfigMap beegrid-identity no pod starts"),
]


@pytest.mark.parametrize(("harm", "said"), IN_PRODUCTION, ids=[harm.__name__ for harm, _ in IN_PRODUCTION])
def test_what_companies_could_not_use_is_found(toolbox: list[Yaml], harm: Harm, said: str) -> None:
    harm(toolbox)
    assert any(said in sentence for sentence in handed_out.check(toolbox)), handed_out.check(toolbox)


def inner_address(o: list[Yaml]) -> None:
    found = container(o, "toolbox")["env"]
    found.remove(next(entry for entry in found if entry["name"] == "BEEGRID_KAFKA_PUBLIC"))
    one(o, "ConfigMap", "toolbox")["data"]["BEEGRID_KAFKA_PUBLIC"] = "beegrid-kafka-bootstrap:9093"


def strimzi_s_where_it_is_not(o: list[Yaml]) -> None:
    one(o, "ConfigMap", "toolbox")["data"]["BEEGRID_KAFKA_USERS_BY"] = "strimzi"


ON_ONE_NODE: list[tuple[Harm, str]] = [
    (
        inner_address,
        "BEEGRID_KAFKA_PUBLIC is beegrid-kafka-bootstrap:9093, and Kafka is outside kafka.example.org:9094",
    ),
    (strimzi_s_where_it_is_not, "BEEGRID_KAFKA_USERS_BY is strimzi, and Kafka's users are made by beegrid here"),
]


@pytest.mark.parametrize(("harm", "said"), ON_ONE_NODE, ids=[harm.__name__ for harm, _ in ON_ONE_NODE])
def test_what_companies_could_not_use_on_one_node_is_found(one_node_s: list[Yaml], harm: Harm, said: str) -> None:
    harm(one_node_s)
    assert any(said in sentence for sentence in handed_out.check(one_node_s)), handed_out.check(one_node_s)


def test_kinds_that_stay_for_ever_or_must_not_go_are_found(production: list[Yaml], tmp_path: Path) -> None:
    kinds = (ROOT / pruned.FILE).read_text(encoding="utf-8").split()
    kinds[kinds.index("kafka.strimzi.io/v1/KafkaUser")] = "batch/v1/Job"
    (tmp_path / "k8s").mkdir()
    (tmp_path / pruned.FILE).write_text("\n".join([*kinds, "batch/v1/CronJob"]), encoding="utf-8")
    assert pruned.check(production, tmp_path) == [
        f"{pruned.FILE}: kafka.strimzi.io/v1/KafkaUser isn't named: what leaves the manifests would stay for ever",
        f"{pruned.FILE}: batch/v1/Job must not be named: the former release's set-up would run again on a way back",
        f"{pruned.FILE}: batch/v1/CronJob is named, and nothing is of it: a server without it refuses the whole apply",
    ]


def test_the_first_backup_after_a_recovery_goes_the_way_of_the_nightly_one(production: list[Yaml]) -> None:
    nightly = one(production, "ScheduledBackup", "beegrid-postgres")["spec"]
    first = yaml.safe_load((ROOT / "k8s/components/postgres-recovery/first-backup.yaml").read_text(encoding="utf-8"))
    assert first["apiVersion"] == one(production, "ScheduledBackup", "beegrid-postgres")["apiVersion"]
    assert first["metadata"]["namespace"] == one(production, "Cluster", "beegrid-postgres")["metadata"]["namespace"]
    assert first["spec"] == {key: nightly[key] for key in ("method", "pluginConfiguration", "target", "cluster")}
