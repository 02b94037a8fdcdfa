"""A release, more pods and an emptied node, done as an SRE does them, where nodes only say that pods run (KWOK).

What this shows is what manifests decide: whether an update comes to its end, where pods find room, whether disruption
budgets let a node be emptied and keep a pod of each service meanwhile. That programs survive it, tests/promises shows.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from shared.devtools.kube import plan
from shared.devtools.kube_check.operators import ACROSS_MIN, ZONE
from shared.devtools.kube_check.render import Yaml
from shared.devtools.kube_check.server import Server

ROLE = "beegrid.dev/role=service"
FAKE = "kwok"
"""How the container runtime of a node begins that runs nothing."""
READY_WITHIN_S, EMPTY_WITHIN_S = 60, 90
GROWN = 4
"""Pods of the service that is scaled: more than there are zones."""
GROWS = "routing"


def check(server: Server) -> Iterator[str]:
    """Findings about the services of an overlay that has been applied. Nodes take pods afterwards as before."""
    nodes = [str(one["metadata"]["name"]) for one in _items(server, "nodes") if _is_fake(one)]
    if len(nodes) < ACROSS_MIN:
        print("skipped: releases, scaling and drains are tried on nodes of KWOK alone", file=sys.stderr)
        return
    services = server.ask("get", "statefulset,deployment", "-n", plan.NAMESPACE, "-l", ROLE, "-o", "name").split()
    _as_many_as_least(server)
    if found := list(_ready(server, services, "first start")):
        yield from found
        return
    server.ask("rollout", "restart", "-n", plan.NAMESPACE, *services)
    yield from _ready(server, services, "release")
    yield from _grown(server, next(one for one in services if one.endswith(f"/{GROWS}")))
    for node in nodes:
        yield from _emptied(server, services, node)


def _as_many_as_least(server: Server) -> None:
    """What KEDA does first: the fewest pods that each service has. Nothing where an overlay does without it."""
    if ("keda.sh", "ScaledObject") not in server.kinds():
        return
    for one in _items(server, "scaledobjects", "-n", plan.NAMESPACE):
        target = one["spec"]["scaleTargetRef"]
        fewest = max(1, one["spec"].get("minReplicaCount", 1))
        who = f"{target.get('kind', 'Deployment')}/{target['name']}"
        server.ask("scale", who, "-n", plan.NAMESPACE, f"--replicas={fewest}")


def _ready(server: Server, services: Sequence[str], when: str) -> Iterator[str]:
    """Each whose pods aren't all new and ready in time."""
    for service in services:
        done = server.run(
            "rollout", "status", service, "-n", plan.NAMESPACE, f"--timeout={READY_WITHIN_S}s"
        )  # fmt: skip
        if done.returncode != 0:
            yield f"{when}: {service}: {done.stderr.strip() or done.stdout.strip().splitlines()[-1]}"


def _grown(server: Server, grows: str) -> Iterator[str]:
    """One service with more pods stands in all zones, and goes back to as many as before."""
    before = json.loads(server.ask("get", grows, "-n", plan.NAMESPACE, "-o", "json"))["spec"]["replicas"]
    server.ask("scale", grows, "-n", plan.NAMESPACE, f"--replicas={GROWN}")
    yield from _ready(server, [grows], f"scaled to {GROWN}")
    zones = {one["metadata"]["name"]: one["metadata"]["labels"].get(ZONE) for one in _items(server, "nodes")}
    stand = Counter(zones[pod["spec"]["nodeName"]] for pod in _pods(server) if _service(pod) == GROWS)
    if len(stand) < min(ACROSS_MIN, len(set(zones.values()))):
        yield f"scaled to {GROWN}: {grows} stands in {dict(stand)}"
    server.ask("scale", grows, "-n", plan.NAMESPACE, f"--replicas={before}")
    yield from _ready(server, [grows], f"scaled back to {before}")


def _emptied(server: Server, services: Sequence[str], node: str) -> Iterator[str]:
    """A node is drained of services, as in an upgrade of a cluster; all are ready elsewhere before the next one."""
    try:
        done = server.run(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={EMPTY_WITHIN_S}s",
            f"--pod-selector={ROLE}",
        )  # fmt: skip
        if done.returncode != 0:
            yield f"drain of {node}: {done.stderr.strip()[-600:]}"
        yield from _ready(server, services, f"drain of {node}")
        if left := sorted(pod["metadata"]["name"] for pod in _pods(server) if pod["spec"].get("nodeName") == node):
            yield f"drain of {node}: still there: {', '.join(left)}"
    finally:
        server.ask("uncordon", node)


def _pods(server: Server) -> list[Yaml]:
    """Of services, those that have found a node."""
    found = _items(server, "pods", "-n", plan.NAMESPACE, "-l", ROLE)
    return [one for one in found if one["spec"].get("nodeName")]


def _service(pod: Yaml) -> str:
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/name"))


def _is_fake(node: Yaml) -> bool:
    return str(node["status"].get("nodeInfo", {}).get("containerRuntimeVersion", "")).startswith(FAKE)


def _items(server: Server, *words: str) -> list[Yaml]:
    found: list[Yaml] = json.loads(server.ask("get", *words, "-o", "json"))["items"]
    return found
