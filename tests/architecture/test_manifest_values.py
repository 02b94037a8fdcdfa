"""Variables and fields of the rendered manifests are what services and schemas take."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import __main__ as kube_check
from shared.devtools.kube_check import schemas, secret_names, variables
from shared.devtools.kube_check.render import Yaml
from tests.architecture.support.objects import container, one, pod

CRDS = Path(os.environ.get("BEEGRID_CRDS") or ROOT.parent / "shared/data/crds")


@pytest.fixture(scope="module")
def crds() -> dict[tuple[str, str], Yaml]:
    if not CRDS.is_dir():
        pytest.skip(f"no CRDs at {CRDS}: name a folder in BEEGRID_CRDS")
    return schemas.read_crds(CRDS)


def variable(objects: list[Yaml], name: str, variable_name: str) -> Yaml:
    return next(entry for entry in container(objects, name)["env"] if entry["name"] == variable_name)


def misspelt(o: list[Yaml]) -> None:
    container(o, "intake")["env"].append({"name": "BEEGRID_KAFKA_PASWORD", "value": "x"})


def required_missing(o: list[Yaml]) -> None:
    container(o, "intake")["env"].remove(variable(o, "intake", "BEEGRID_SEALING_KEY"))


def out_of_range(o: list[Yaml]) -> None:
    one(o, "ConfigMap", "beegrid")["data"]["BEEGRID_DRAIN_S"] = "100"


def another_service_s(o: list[Yaml]) -> None:
    container(o, "cases")["env"].append({"name": "BEEGRID_PHOTO_STORE_URL", "value": "s3://x"})


def not_set(o: list[Yaml]) -> None:
    container(o, "cases")["env"].remove(variable(o, "cases", "POSTGRES_PASSWORD"))


def gate_without_address(o: list[Yaml]) -> None:
    del pod(o, "cases")["initContainers"][0]["env"][1]


VARIABLES: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (misspelt, "BEEGRID_KAFKA_PASWORD is no setting of services.intake.settings"),
    (required_missing, "required BEEGRID_SEALING_KEY isn't set"),
    (out_of_range, "BEEGRID_DRAIN_S: Input should be less than or equal to 60"),
    (another_service_s, "BEEGRID_PHOTO_STORE_URL is no setting of services.cases.settings"),
    (not_set, "$(POSTGRES_PASSWORD) is used and not set"),
    (gate_without_address, "await-schema: required BEEGRID_POSTGRES_DSN isn't set"),
]


@pytest.mark.parametrize(("harm", "finding"), VARIABLES, ids=[harm.__name__ for harm, _ in VARIABLES])
def test_a_wrong_variable_is_found(kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in variables.of_manifests(kind)), variables.of_manifests(kind)


def test_every_kind_has_a_schema_and_keeps_it(
    toolbox: list[Yaml], kind: list[Yaml], crds: dict[tuple[str, str], Yaml]
) -> None:
    for objects in (toolbox, kind):
        assert schemas.check(objects, crds) == ([], [])


BROKEN: list[tuple[str, str, list[Any], Any, str]] = [
    ("Deployment", "cases", ["spec", "template", "spec", "containers", 0, "livenesProbe"], {}, "livenesProbe"),
    ("ScaledObject", "cases", ["spec", "maxReplicas"], 3, "maxReplicas"),
    ("KafkaTopic", "beegrid.cases.case-changed.v1", ["spec", "partitions"], "six", "not of type 'integer'"),
    ("KafkaUser", "cases", ["spec", "authentication", "type"], "plain", "is not one of"),
    ("Kafka", "beegrid", ["spec", "kafka", "replicas"], 3, "replicas"),
    ("Cluster", "beegrid-postgres", ["spec", "instances"], "one", "not of type 'integer'"),
    ("PodMonitor", "beegrid", ["spec", "selectors"], {}, "selectors"),
    ("EnvoyProxy", "beegrid", ["spec", "telemetry", "accesslog"], {}, "accesslog"),
    ("NetworkPolicy", "services-egress", ["spec", "egress", 0, "too"], [], "too"),
    ("HTTPRoute", "beegrid", ["spec", "rules", 0, "matches", 0, "path", "type"], "Prefix", "is not one of"),
]


def test_a_field_against_its_schema_is_found(kind: list[Yaml], crds: dict[tuple[str, str], Yaml]) -> None:
    # all at once: a run over all objects is what takes the time
    for of, name, where, value, _ in BROKEN:
        node: Any = one(kind, of, name)
        for step in where[:-1]:
            node = node[step]
        node[where[-1]] = value
    found, _ = schemas.check(kind, crds)
    for of, name, _, _, finding in BROKEN:
        assert any(f"{of}/{name}" in sentence and finding in sentence for sentence in found), (finding, found)


def test_a_backup_store_against_its_schema_is_found(production: list[Yaml], crds: dict[tuple[str, str], Yaml]) -> None:
    one(production, "ObjectStore", "beegrid-postgres")["spec"]["configuration"]["endpointUrl"] = "https://x"
    found, _ = schemas.check(production, crds)
    assert found == [
        "ObjectStore/beegrid-postgres: spec.configuration: Additional properties are not allowed "
        "('endpointUrl' was unexpected)"
    ]


def test_without_schemas_it_says_so_and_fails_in_ci(
    tmp_path: Path, rendered: dict[str, list[Yaml]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kube_check, "whole", lambda _: [("kind", lambda: rendered["kind"])])
    words = ["manifests", "--crds", str(tmp_path / "none")]
    monkeypatch.delenv("CI", raising=False)
    assert kube_check.main(words) == 0
    assert "skipped: no schemas below" in capsys.readouterr().err
    monkeypatch.setenv("CI", "1")
    assert kube_check.main(words) == 1
    assert "no schemas below" in capsys.readouterr().out


def test_a_secret_that_nobody_makes_is_found(kind: list[Yaml]) -> None:
    variable(kind, "cases", "POSTGRES_PASSWORD")["valueFrom"]["secretKeyRef"]["name"] = "case-postgres"
    assert secret_names.check(kind, ROOT) == ["Deployment/cases: nobody makes the Secret case-postgres"]
