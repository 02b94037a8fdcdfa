"""An overlay without operators, for one node: everything is there once, fits into its memory, and is backed up."""

from collections.abc import Iterator, Sequence

from shared.devtools.kube_check.house import RESERVED_CONNECTIONS
from shared.devtools.kube_check.render import Yaml, by_operators, containers, is_service, name_of, of_kind, pods
from shared.kit.publishing import relay

# Of a machine with 8 GB, what the system and k3s leave.
NODE_MI = 6_656
UNITS = {"Mi": 1, "Gi": 1024}
STORED = {"beegrid-kafka", "beegrid-postgres", "object-store"}


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings; an overlay with operators has none."""
    return [] if by_operators(objects) else [*crowded(objects), *connected(objects), *lost(objects)]


def crowded(objects: Sequence[Yaml]) -> Iterator[str]:
    """All that is asked for at the same time, a release and a backup among it, is there."""
    asked = 0
    for one, pod in pods(objects):
        copies = one["spec"].get("replicas", 1)
        if is_service(one) and copies != 1:
            yield f"{name_of(one)}: there is one node and one of each service, not {copies}"
        asked += copies * max(_memory_mi(pod["containers"]), _memory_mi(pod.get("initContainers", [])))
    if asked > NODE_MI:
        yield f"all pods ask for {asked} MiB together, and the node has {NODE_MI}"


def _memory_mi(found: Sequence[Yaml]) -> int:
    amounts = [str(container["resources"]["requests"]["memory"]) for container in found]
    return sum(int(amount[:-2]) * UNITS[amount[-2:]] for amount in amounts)


def connected(objects: Sequence[Yaml]) -> Iterator[str]:
    """Postgres has connections for all services, their relays, and an operator."""
    settings = [one["data"] for one in of_kind(objects, "ConfigMap")]
    pool = next(int(data["BEEGRID_POSTGRES_POOL_MAX"]) for data in settings if "BEEGRID_POSTGRES_POOL_MAX" in data)
    services = sum(is_service(one) for one, _ in pods(objects))
    needed = services * (pool + relay.SESSIONS) + RESERVED_CONNECTIONS
    for one, pod in pods(objects):
        if one["metadata"]["name"] == "beegrid-postgres":
            words = [word.partition("=") for word in containers(pod)[0]["args"]]
            allowed = next(int(value) for name, _, value in words if name == "max_connections")
            if allowed < needed:
                yield f"{name_of(one)}: max_connections {allowed}, and {services} services may need {needed}"


def lost(objects: Sequence[Yaml]) -> Iterator[str]:
    """What must outlive a pod is on a volume that does, and is backed up to one."""
    sets = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "StatefulSet")}
    for name in sorted(STORED):
        if not sets.get(name, {}).get("volumeClaimTemplates"):
            yield f"StatefulSet/{name}: its data ends with the pod"
    claims = {one["metadata"]["name"] for one in of_kind(objects, "PersistentVolumeClaim")}
    kept = {
        volume["persistentVolumeClaim"]["claimName"]
        for one, pod in pods(objects)
        if one["kind"] == "CronJob"
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    if not kept & claims:
        yield "CronJob: nothing is backed up to a volume that stays"
