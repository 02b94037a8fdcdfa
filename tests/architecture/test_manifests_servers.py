"""Kafka, Postgres, operators in manifests: measured, ranked, on named disks, by exact images. Each rule bites."""

import copy
from collections.abc import Callable

import pytest
import yaml

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import house, production, watched
from shared.devtools.kube_check.render import Yaml, of_kind
from tests.architecture.support.objects import container, one, pod

PRODUCTION = "k8s/overlays/production"


def kafka(o: list[Yaml]) -> Yaml:
    spec: Yaml = one(o, "Kafka", "beegrid")["spec"]
    return spec


def monitor(o: list[Yaml], name: str) -> Yaml:
    spec: Yaml = one(o, "PodMonitor", name)["spec"]
    return spec


def postgres(o: list[Yaml]) -> Yaml:
    spec: Yaml = one(o, "Cluster", "beegrid-postgres")["spec"]
    return spec


def test_every_overlay_keeps_them(rendered: dict[str, list[Yaml]]) -> None:
    for name, objects in rendered.items():
        assert watched.check(objects) == [], name
        assert list(house.ranked(objects)) == [], name
        assert not name.startswith("production") or production.check(objects) == []


def unmeasured(o: list[Yaml]) -> None:
    del kafka(o)["kafka"]["metricsConfig"]


def rules_elsewhere(o: list[Yaml]) -> None:
    kafka(o)["kafka"]["metricsConfig"]["valueFrom"]["configMapKeyRef"]["key"] = "jmx.yml"


def another_port(o: list[Yaml]) -> None:
    monitor(o, "beegrid-kafka")["podMetricsEndpoints"][0]["port"] = "metrics"


def another_job(o: list[Yaml]) -> None:
    del monitor(o, "beegrid-cnpg")["podMetricsEndpoints"][0]["relabelings"]


def its_own_namespace(o: list[Yaml]) -> None:
    del monitor(o, "beegrid-keda")["podMetricsEndpoints"][0]["honorLabels"]


def nobody_asks(o: list[Yaml]) -> None:
    o.remove(one(o, "PodMonitor", "beegrid-strimzi"))


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (unmeasured, "metricsConfig names no rules"),
        (rules_elsewhere, "metricsConfig names no rules"),
        (another_port, "beegrid-kafka: must ask on tcp-prometheus"),
        (another_job, "beegrid-cnpg: must give the job cnpg"),
        (its_own_namespace, "beegrid-keda: honorLabels"),
        (nobody_asks, "strimzi-operator: no PodMonitor asks it"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_servers_that_nobody_measures_are_found(
    kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in watched.check(kind)), watched.check(kind)


def last_of_all(o: list[Yaml]) -> None:
    del pod(o, "routing")["priorityClassName"]


def data_like_services(o: list[Yaml]) -> None:
    pool = one(o, "KafkaNodePool", "nodes")["spec"]["template"]["pod"]
    pool["priorityClassName"] = "beegrid-services"


def postgres_last(o: list[Yaml]) -> None:
    del postgres(o)["priorityClassName"]


def photos_last(o: list[Yaml]) -> None:
    pod(o, "object-store")["priorityClassName"] = "beegrid-services"


def upside_down(o: list[Yaml]) -> None:
    one(o, "PriorityClass", "beegrid-data")["value"] = 10


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (last_of_all, "routing: priorityClassName must be beegrid-services, not None"),
        (data_like_services, "nodes: priorityClassName must be beegrid-data"),
        (postgres_last, "beegrid-postgres: priorityClassName must be beegrid-data"),
        (photos_last, "object-store: priorityClassName must be beegrid-data"),
        (upside_down, "must be above beegrid-services"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_wrong_rank_is_found(kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in house.check(kind)), house.check(kind)


def by_tag_alone(o: list[Yaml]) -> None:
    container(o, "points")["image"] = "registry.example.org/city/beegrid:0.1.0"


def by_digest_alone(o: list[Yaml]) -> None:
    of_it = container(o, "beegrid-valkey")
    of_it["image"] = f"valkey/valkey@{of_it['image'].partition('@')[2]}"


def a_port_is_no_tag(o: list[Yaml]) -> None:
    of_it = container(o, "points")
    of_it["image"] = f"registry.example.org:5000/beegrid@{of_it['image'].partition('@')[2]}"


def postgres_by_tag(o: list[Yaml]) -> None:
    postgres(o)["imageName"] = postgres(o)["imageName"].partition("@")[0]


def wal_anywhere(o: list[Yaml]) -> None:
    del postgres(o)["walStorage"]["storageClass"]


def kafka_anywhere(o: list[Yaml]) -> None:
    del one(o, "KafkaNodePool", "nodes")["spec"]["storage"]["volumes"][0]["class"]


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (by_tag_alone, "beegrid:0.1.0 needs its digest beside its tag"),
        (by_digest_alone, "needs its digest beside its tag"),
        (a_port_is_no_tag, "needs its digest beside its tag"),
        (postgres_by_tag, "Cluster/beegrid-postgres: the image"),
        (wal_anywhere, "walStorage names no class of storage"),
        (kafka_anywhere, "storage.volumes[0] names no class of storage"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_a_citys_overlay_leaves_open_is_found(
    production_objects: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(production_objects)
    assert any(finding in sentence for sentence in production.check(production_objects))


@pytest.fixture
def production_objects(production: list[Yaml]) -> list[Yaml]:
    """Under a name of its own: the module is called like the fixture."""
    return production


def test_a_trial_may_leave_them_open(kind: list[Yaml]) -> None:
    """The rules above are about something that is there: a trial's images have no digest, its disks no class."""
    assert production.check(kind)


def test_disks_are_the_overlays_own_values() -> None:
    """All of them in one file, which no `make gen` and no release of the base changes."""
    component = yaml.safe_load((ROOT / PRODUCTION / "storage/kustomization.yaml").read_text(encoding="utf-8"))
    said = "".join(patch["patch"] for patch in component["patches"])
    assert said.count("size") == said.count("lass,") == 3
    assert of_kind([component], "Component")


def test_a_recovery_says_from_where_and_writes_elsewhere(rendered: dict[str, list[Yaml]]) -> None:
    spec = postgres(rendered["production recovered"])
    assert "initdb" not in spec["bootstrap"]
    assert spec["bootstrap"]["recovery"]["secret"] == postgres(rendered["production"])["bootstrap"]["initdb"]["secret"]


def over_its_source(o: list[Yaml]) -> None:
    del postgres(o)["plugins"][0]["parameters"]["serverName"]


def from_no_store(o: list[Yaml]) -> None:
    postgres(o)["externalClusters"][0]["plugin"]["parameters"]["barmanObjectName"] = "backups"


def from_nowhere(o: list[Yaml]) -> None:
    postgres(o)["bootstrap"]["recovery"]["source"] = "lost"


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (over_its_source, "writes WAL to beegrid-postgres/beegrid-postgres, from where it was recovered"),
        (from_no_store, "recovers from before, which is no place"),
        (from_nowhere, "recovers from lost, which is no place"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_recovery_that_would_spoil_its_source_is_found(
    rendered: dict[str, list[Yaml]], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    recovered = copy.deepcopy(rendered["production recovered"])
    assert production.check(recovered) == []
    harm(recovered)
    assert any(finding in sentence for sentence in production.check(recovered)), production.check(recovered)
