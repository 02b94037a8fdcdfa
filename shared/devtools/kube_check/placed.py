"""Pods that operators would make, on a server without operators: are they admitted, and where are they put?"""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import yaml

from shared.devtools.kube import plan
from shared.devtools.kube_check.operators import ACROSS_MIN, ZONE, made_by_strimzi, template_of
from shared.devtools.kube_check.render import Yaml, name_of, of_kind
from shared.devtools.kube_check.server import Server
from shared.kit import clock

IMAGE = "registry.k8s.io/pause:3.10"
NAME = "kubernetes.io/hostname"
WAIT_S = 40.0
LOOK_EVERY_S = 0.5
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# CloudNativePG's own, whatever a Cluster says.
OF_POSTGRES = {"runAsNonRoot": True, "runAsUser": 26, "fsGroup": 26, "seccompProfile": {"type": "RuntimeDefault"}}


def check(server: Server, objects: Sequence[Yaml]) -> Iterator[str]:
    """Findings; nothing of it stays."""
    yield from refused(server, objects)
    zones = _zones(server)
    if len(set(zones.values())) < ACROSS_MIN:
        return
    for name, copies, pod in _copies(objects):
        if copies >= ACROSS_MIN:
            yield from _together(server, name, copies, pod, zones)


def refused(server: Server, objects: Sequence[Yaml]) -> Iterator[str]:
    """By the namespace's Pod Security, with the words of the server."""
    for number, made in enumerate(made_by_strimzi(objects)):
        pod = {
            "securityContext": made.pod.get("securityContext", {}),
            "containers": [
                {"name": name.lower(), "image": IMAGE, "securityContext": said.get("securityContext", {})}
                for name, said in made.containers.items()
            ],
        }
        head = {"name": f"check-{number}", "namespace": plan.NAMESPACE}
        text = yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": pod})
        done = server.run("create", "--dry-run=server", "-f", "-", data=text)
        if done.returncode != 0:
            yield f"{made.who}: {done.stderr.strip()}"


def _copies(objects: Sequence[Yaml]) -> Iterator[tuple[str, int, Yaml]]:
    """Name, number and pod template of what stands in several copies."""
    clusters = {one["metadata"]["name"]: one for one in of_kind(objects, "Kafka")}
    for pool in of_kind(objects, "KafkaNodePool"):
        cluster = clusters[pool["metadata"]["labels"]["strimzi.io/cluster"]]
        merged = template_of(pool, cluster)
        labels = {"strimzi.io/name": f"{cluster['metadata']['name']}-kafka"}
        container = {**merged["kafkaContainer"], "name": "kafka", "image": IMAGE}
        said = {
            key: merged["pod"][key] for key in ("securityContext", "topologySpreadConstraints") if key in merged["pod"]
        }
        yield name_of(pool), pool["spec"]["replicas"], _template(labels, {**said, "containers": [container]})
    for one in of_kind(objects, "Cluster"):
        labels = {"cnpg.io/cluster": one["metadata"]["name"]}
        container = {"name": "postgres", "image": IMAGE, "securityContext": CONFINED}
        said = {key: one["spec"][key] for key in ("topologySpreadConstraints",) if key in one["spec"]}
        pod = {**said, "securityContext": OF_POSTGRES, "containers": [container]}
        yield name_of(one), one["spec"]["instances"], _template(labels, pod)


def _template(labels: dict[str, str], pod: Yaml) -> Yaml:
    return {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, **pod}}


def _zones(server: Server) -> dict[str, str]:
    """Zone of each node that takes pods."""
    nodes = json.loads(server.ask("get", "nodes", "-o", "json"))["items"]
    labels = [one["metadata"]["labels"] for one in nodes if not one["spec"].get("unschedulable")]
    return {own[NAME]: own[ZONE] for own in labels if NAME in own and ZONE in own}


def _together(server: Server, who: str, copies: int, template: Yaml, zones: dict[str, str]) -> Iterator[str]:
    """All copies find a place; and where nodes of only two zones are left, one copy waits."""
    taken = _placed(server, copies, template, zones)
    if len(set(taken)) < copies:
        yield f"{who}: its {copies} copies stand in zones {taken}"
    left = sorted(set(zones.values()))[: copies - 1]
    narrow = [node for zone in left for node in islice((node for node in zones if zones[node] == zone), copies)]
    terms = [{"matchExpressions": [{"key": NAME, "operator": "In", "values": narrow}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    near = {**template, "spec": {**template["spec"], "affinity": affinity}}
    if len(narrow) >= copies and len(taken := _placed(server, copies, near, zones)) != len(left):
        yield f"{who}: only zones {left} are left, and its {copies} copies stand in {taken}"


def _placed(server: Server, copies: int, template: Yaml, zones: dict[str, str]) -> list[str]:
    """The zone of each that found a place, once the scheduler has looked at all."""
    head = {"name": "check-placed", "namespace": plan.NAMESPACE}
    spec = {
        "serviceName": "check-placed",
        "replicas": copies,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": template["metadata"]["labels"]},
        "template": template,
    }
    server.ask(
        "create",
        "-f",
        "-",
        data=yaml.safe_dump({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": head, "spec": spec}),
    )
    try:
        pods = _looked_at(server, copies, template["metadata"]["labels"])
    finally:
        server.ask("delete", "statefulset", head["name"], "-n", plan.NAMESPACE, "--cascade=foreground", "--wait")
    return sorted(zones[node] for node in pods if node)


def _looked_at(server: Server, copies: int, labels: dict[str, str]) -> list[str]:
    """Each pod's node, empty where the scheduler found none; shorter where it has not looked in time."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    until_s = clock.monotonic_s() + WAIT_S
    while True:
        pods = json.loads(server.ask("get", "pods", "-n", plan.NAMESPACE, "-l", selector, "-o", "json"))["items"]
        seen = [
            str(one["spec"].get("nodeName", ""))
            for one in pods
            if any(word["type"] == "PodScheduled" for word in one.get("status", {}).get("conditions", []))
        ]
        if len(seen) == copies or clock.monotonic_s() > until_s:
            return seen
        time.sleep(LOOK_EVERY_S)
