"""The overlay `small`: for one node, without operators, from the same declarations; and every rule about it bites."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube import routes, small
from shared.devtools.kube_check import again, house, kafka_names, one_node, secret_names, variables, ways
from shared.devtools.kube_check.render import Yaml, pods
from shared.provision.services import service_names
from tests.architecture.support.objects import container, one, pod

Harm = Callable[[list[Yaml]], None]
SCRIPT = ROOT / "k8s/overlays/small/backup/backup.sh"


def no_kind_of_an_operator(o: list[Yaml]) -> None:
    o.append({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "all"}})


def a_service_less(o: list[Yaml]) -> None:
    o.remove(one(o, "Deployment", "points"))


def two_pods(o: list[Yaml]) -> None:
    one(o, "Deployment", "cases")["spec"]["replicas"] = 2


def large(o: list[Yaml]) -> None:
    container(o, "beegrid-kafka")["resources"]["requests"]["memory"] = "5Gi"


def few_connections(o: list[Yaml]) -> None:
    args = container(o, "beegrid-postgres")["args"]
    args[args.index("max_connections=100")] = "max_connections=40"


def in_the_pod(o: list[Yaml]) -> None:
    del one(o, "StatefulSet", "beegrid-kafka")["spec"]["volumeClaimTemplates"]


def no_backup(o: list[Yaml]) -> None:
    o.remove(one(o, "CronJob", "backup"))


def another_door(o: list[Yaml]) -> None:
    one(o, "Ingress", "beegrid")["spec"]["ingressClassName"] = "nginx"


def an_address_less(o: list[Yaml]) -> None:
    rule = one(o, "Ingress", "beegrid")["spec"]["rules"][0]["http"]
    rule["paths"] = [path for path in rule["paths"] if path["path"] != "/v1/cases:transition"]


def no_door(o: list[Yaml]) -> None:
    o.remove(one(o, "Ingress", "beegrid"))


def anybody_comes_in(o: list[Yaml]) -> None:
    rules = one(o, "NetworkPolicy", "services-ingress")["spec"]["ingress"]
    rules[0]["from"] = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]


def broker_elsewhere(o: list[Yaml]) -> None:
    one(o, "Service", "beegrid-kafka-bootstrap")["metadata"]["name"] = "kafka"


def nobody_s_secret(o: list[Yaml]) -> None:
    pod(o, "beegrid-kafka")["volumes"][2]["secret"]["items"][0]["key"] = "keystore.jks"


def unknown_setting(o: list[Yaml]) -> None:
    container(o, "setup")["env"].append({"name": "BEEGRID_KAFKA_CA", "value": "/ca.crt"})


def fixed_settings(o: list[Yaml]) -> None:
    pod(o, "beegrid-kafka")["volumes"][1]["configMap"]["name"] = "beegrid-kafka"
    one(o, "ConfigMap", "beegrid-kafka")["metadata"]["name"] = "beegrid-kafka"


RULES: list[tuple[Harm, str]] = [
    (no_kind_of_an_operator, "PrometheusRule/all: nobody here knows that kind"),
    (a_service_less, "Deployment/points: missing"),
    (two_pods, "Deployment/cases: there is one node and one of each service, not 2"),
    (large, "MiB together, and the node has 6656"),
    (few_connections, f"max_connections 40, and {len(service_names())} services may need"),
    (in_the_pod, "StatefulSet/beegrid-kafka: its data ends with the pod"),
    (no_backup, "nothing is backed up to a volume that stays"),
    (another_door, "Ingress/beegrid: policies admit the pods of traefik only"),
    (an_address_less, "Ingress/beegrid: /v1/cases:transition of cases isn't routed to it"),
    (no_door, "HTTPRoute or Ingress: missing"),
    (anybody_comes_in, "lets in every pod of"),
    (broker_elsewhere, "BEEGRID_KAFKA_BOOTSTRAP beegrid-kafka-bootstrap:9093 must be one of"),
    (nobody_s_secret, "the Secret beegrid-kafka-server has no keystore.jks"),
    (unknown_setting, "BEEGRID_KAFKA_CA is no setting of shared.provision.setup"),
    (fixed_settings, "a change of the ConfigMap beegrid-kafka comes to no pod"),
]


def found(o: list[Yaml]) -> list[str]:
    named = [*secret_names.check(o, ROOT), *variables.of_manifests(o), *kafka_names.check(o)]
    return [*one_node.check(o), *house.check(o), *ways.check(o, ROOT), *again.check(o), *named]


def test_it_keeps_every_rule(one_node_s: list[Yaml]) -> None:
    assert found(one_node_s) == []


@pytest.mark.parametrize(("harm", "said"), RULES, ids=[harm.__name__ for harm, _ in RULES])
def test_what_would_not_work_on_one_node_is_found(one_node_s: list[Yaml], harm: Harm, said: str) -> None:
    harm(one_node_s)
    assert any(said in sentence for sentence in found(one_node_s)), found(one_node_s)


def test_services_differ_from_the_others_in_number_size_and_image_alone(
    one_node_s: list[Yaml], kind: list[Yaml]
) -> None:
    here, there = ({o["metadata"]["name"]: spec for o, spec in pods(objects)} for objects in (one_node_s, kind))
    for name in service_names():
        for spec in (here[name], there[name]):
            for each in (*spec["containers"], *spec["initContainers"]):
                each.pop("resources")
                each.pop("image")
                each.pop("envFrom", None)  # its name's end depends on what the overlay sets
                each["env"] = [entry for entry in each["env"] if "configMapKeyRef" not in entry.get("valueFrom", {})]
        assert here[name] == there[name]


def test_the_broker_is_that_of_compose_but_for_its_listeners() -> None:
    def read(path: str) -> dict[str, str]:
        lines = (ROOT / path).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    ours, plain = read("k8s/overlays/small/kafka/server.properties"), read("ops/kafka/server.properties")
    assert {name for name in {*ours, *plain} if ours.get(name) != plain.get(name)} <= small.LISTENERS.keys()
    assert ours["allow.everyone.if.no.acl.found"] == "false"
    assert "SASL_PLAINTEXT" not in ours["listener.security.protocol.map"].replace("CONTROLLER:SASL_PLAINTEXT", "")
    assert "CONTROLLER://localhost" in ours["listeners"]


def test_the_front_door_has_the_routes_of_the_others() -> None:
    paths = small.ingress(ROOT)["spec"]["rules"][0]["http"]["paths"]
    wanted = {
        (route.service, kind, path)
        for route in routes.table(ROOT)
        for kind, those in (("Exact", route.exact), ("Prefix", route.prefixes))
        for path in those
    }
    assert {(path["backend"]["service"]["name"], path["pathType"], path["path"]) for path in paths} == wanted


def backed_up(folder: Path, keep: int, *, works: bool = True) -> int:
    """The script with a `beegrid` that writes or breaks off; its exit status."""
    program = folder / "bin/beegrid"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nmkdir -p "$2"; touch "$2/manifest.json"; exit {0 if works else 1}\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "BACKUPS": str(folder / "backups"), "KEEP": str(keep)}
    return subprocess.run(["sh", str(SCRIPT)], env=environment, check=False, timeout=60).returncode


def test_a_backup_takes_the_oldest_one_s_place_when_it_is_whole(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    old = [f"2026-11-{day:02}T183000Z" for day in (1, 2, 3)]
    for name in old:
        (backups / name).mkdir(parents=True)
    assert backed_up(tmp_path, 3, works=False) != 0
    assert {path.name for path in backups.iterdir() if path.name.startswith("20")} == set(old)
    assert backed_up(tmp_path, 3) == 0
    left = sorted(path.name for path in backups.iterdir())
    assert left[:2] == old[1:]
    assert len(left) == 3
    assert (backups / left[2] / "manifest.json").exists()
