"""What operators make of the manifests, and what a second `kubectl apply` does: every rule holds and bites."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import again, operators
from shared.devtools.kube_check.render import Yaml, is_service, pods, render
from tests.architecture.support.objects import one, pod

Harm = Callable[[list[Yaml]], None]


def pool(o: list[Yaml]) -> Yaml:
    return one(o, "KafkaNodePool", "nodes")["spec"]  # type: ignore[no-any-return]  # YAML


def test_every_overlay_keeps_every_rule(rendered: dict[str, list[Yaml]]) -> None:
    for objects in rendered.values():
        assert operators.check(objects) == []
        assert again.check(objects) == []


def said_for_the_cluster_alone(o: list[Yaml]) -> None:
    # as it was: the pool has a part `pod` of its own, and the cluster's is lost
    template = pool(o)["template"]
    kafka = one(o, "Kafka", "beegrid")["spec"]["kafka"]
    kafka["template"] = {"pod": {"securityContext": template["pod"].pop("securityContext")}}


def no_group(o: list[Yaml]) -> None:
    del pool(o)["template"]["pod"]["securityContext"]["fsGroup"]


def no_profile(o: list[Yaml]) -> None:
    del pool(o)["template"]["pod"]["securityContext"]["seccompProfile"]


def capable(o: list[Yaml]) -> None:
    del pool(o)["template"]["initContainer"]


def careless_operator(o: list[Yaml]) -> None:
    del one(o, "Kafka", "beegrid")["spec"]["entityOperator"]["template"]["userOperatorContainer"]


def another_part(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["spec"]["kafkaExporter"] = {}


def one_zone(o: list[Yaml]) -> None:
    pool(o)["template"]["pod"]["topologySpreadConstraints"].pop()


def zone_if_possible(o: list[Yaml]) -> None:
    pool(o)["template"]["pod"]["topologySpreadConstraints"][1]["whenUnsatisfiable"] = "ScheduleAnyway"


def nobody_s_label(o: list[Yaml]) -> None:
    pool(o)["template"]["pod"]["topologySpreadConstraints"][1]["labelSelector"]["matchLabels"] = {"app": "kafka"}


def postgres_in_one_zone(o: list[Yaml]) -> None:
    del one(o, "Cluster", "beegrid-postgres")["spec"]["topologySpreadConstraints"]


def instances_alone(o: list[Yaml]) -> None:
    # the job before an instance, whose volume decides the zone, would not be counted
    selector = one(o, "Cluster", "beegrid-postgres")["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    selector["matchLabels"]["cnpg.io/podRole"] = "instance"


OPERATORS: list[tuple[Harm, str]] = [
    (said_for_the_cluster_alone, "KafkaNodePool/nodes: Pod Security refuses it: pod.securityContext.runAsNonRoot"),
    (no_profile, "KafkaNodePool/nodes: Pod Security refuses it: pod.securityContext.seccompProfile"),
    (no_group, "KafkaNodePool/nodes: can't write to its volumes"),
    (capable, "KafkaNodePool/nodes: Pod Security refuses it: initContainer must drop ALL"),
    (careless_operator, "entityOperator: Pod Security refuses it: userOperatorContainer"),
    (another_part, "kafkaExporter: Pod Security refuses it: pod.securityContext.runAsNonRoot"),
    (one_zone, "KafkaNodePool/nodes: all nodes may stand in one zone"),
    (zone_if_possible, "KafkaNodePool/nodes: all nodes may stand in one zone"),
    (nobody_s_label, "KafkaNodePool/nodes: all nodes may stand in one zone"),
    (postgres_in_one_zone, "Cluster/beegrid-postgres: all instances may stand in one zone"),
    (instances_alone, "Cluster/beegrid-postgres: all instances may stand in one zone"),
]


@pytest.mark.parametrize(("harm", "said"), OPERATORS, ids=[harm.__name__ for harm, _ in OPERATORS])
def test_what_an_operator_would_make_badly_is_found(production: list[Yaml], harm: Harm, said: str) -> None:
    harm(production)
    assert any(said in sentence for sentence in operators.check(production)), operators.check(production)


def test_parts_of_a_template_never_mix(production: list[Yaml]) -> None:
    cluster, nodes = one(production, "Kafka", "beegrid"), one(production, "KafkaNodePool", "nodes")
    cluster["spec"]["kafka"]["template"] = {"pod": {"tolerations": []}, "kafkaContainer": {"env": []}}
    del nodes["spec"]["template"]["kafkaContainer"]
    merged = operators.template_of(nodes, cluster)
    assert "tolerations" not in merged["pod"]
    assert merged["kafkaContainer"] == {"env": []}


def empty_exception(o: list[Yaml]) -> None:
    policy = one(o, "NetworkPolicy", "kafka-egress-outside")["spec"]["egress"]
    next(peer["ipBlock"] for rule in policy for peer in rule["to"] if "ipBlock" in peer)["except"] = []


def nothing(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["spec"]["kafka"]["rack"] = None


def milli(o: list[Yaml]) -> None:
    pod(o, "intake")["containers"][0]["resources"]["requests"]["cpu"] = "1000m"


def mebi(o: list[Yaml]) -> None:
    pod(o, "intake")["containers"][0]["resources"]["limits"]["memory"] = "2048Mi"


def fixed_name(o: list[Yaml]) -> None:
    for workload, spec in pods(o):
        if is_service(workload):
            spec["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "beegrid"
    one(o, "ConfigMap", "beegrid")["metadata"]["name"] = "beegrid"


def fixed_file(o: list[Yaml]) -> None:
    pod(o, "object-store")["volumes"][0]["configMap"]["name"] = "object-store"
    one(o, "ConfigMap", "object-store")["metadata"]["name"] = "object-store"


def one_job_for_all(o: list[Yaml]) -> None:
    one(o, "Job", "setup")["metadata"]["name"] = "setup"


def vanishing(o: list[Yaml]) -> None:
    one(o, "Job", "setup")["spec"]["ttlSecondsAfterFinished"] = 86400


def no_gitops(o: list[Yaml]) -> None:
    del one(o, "Job", "setup")["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/force"]


def short_claim(o: list[Yaml]) -> None:
    claim = one(o, "StatefulSet", "object-store")["spec"]["volumeClaimTemplates"][0]
    del claim["kind"], claim["spec"]["volumeMode"]


def short_field(o: list[Yaml]) -> None:
    entry = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    pod(o, "cases")["containers"][0]["env"].append(entry)


AGAIN: list[tuple[Harm, str]] = [
    (empty_exception, "NetworkPolicy/kafka-egress-outside: spec.egress[].to[].ipBlock.except is empty"),
    (nothing, "Kafka/beegrid: spec.kafka.rack is empty"),
    (milli, "the server writes 1000m in another way"),
    (mebi, "the server writes 2048Mi in another way"),
    (fixed_name, "Deployment/cases: a change of the ConfigMap beegrid comes to no pod"),
    (fixed_file, "StatefulSet/object-store: a change of the ConfigMap object-store comes to no pod"),
    (one_job_for_all, "Job/setup: another image can't be applied over it"),
    (vanishing, "vanishes when it is done"),
    (short_claim, "StatefulSet/object-store: the claim data needs kind, volumeMode as the server fills them in"),
    (short_field, "Deployment/cases: POD: fieldRef needs its apiVersion"),
    (no_gitops, "needs the annotation kustomize.toolkit.fluxcd.io/force: enabled"),
]


@pytest.mark.parametrize(("harm", "said"), AGAIN, ids=[harm.__name__ for harm, _ in AGAIN])
def test_what_an_apply_would_change_again_or_never_is_found(kind: list[Yaml], harm: Harm, said: str) -> None:
    harm(kind)
    assert any(said in sentence for sentence in again.check(kind)), again.check(kind)


def templates(objects: list[Yaml]) -> dict[str, Yaml]:
    return {one["metadata"]["name"]: one["spec"]["template"] for one, _ in pods(objects)}


def test_a_setting_and_an_image_reach_the_pods(tmp_path: Path, kind: list[Yaml]) -> None:
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    settings = tmp_path / "k8s/base/beegrid.env"
    settings.write_text(settings.read_text().replace("BEEGRID_DRAIN_S=10", "BEEGRID_DRAIN_S=11"))
    before, after = templates(kind), templates(render(tmp_path / "k8s/overlays/kind"))
    services = {one["metadata"]["name"] for one, _ in pods(kind) if is_service(one)}
    assert {name for name in before if before[name] != after.get(name)} == services
    base = tmp_path / "k8s/base/kustomization.yaml"
    base.write_text(base.read_text().replace("newTag: 0.1.0", "newTag: 0.2.0"))
    released = templates(render(tmp_path / "k8s/overlays/kind"))
    job = one(kind, "Job", "setup")["metadata"]["name"]
    assert job in after
    assert job not in released
    assert sum(name.startswith("setup-") for name in released) == 1
