"""Pods that operators will make of their own kinds: what Pod Security admits, and in which zones they may stand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.devtools.kube_check.render import Yaml, name_of, of_kind

ENFORCED = "pod-security.kubernetes.io/enforce"
ZONE = "topology.kubernetes.io/zone"
PROFILES = {"RuntimeDefault", "Localhost"}
# Parts of a pool's template that the cluster's may stand in for.
OF_A_POOL = ("pod", "kafkaContainer", "initContainer")
ACROSS_MIN = 3
"""From so many copies on each zone has its own."""


@dataclass(frozen=True)
class Made:
    """A pod that Strimzi will make: whose, its part of the template, its containers' parts by name."""

    who: str
    pod: Yaml
    containers: dict[str, Yaml]
    stored: bool = False
    """It writes to volumes that outlive it."""


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay."""
    return [*unadmitted(objects), *in_one_zone(objects)]


def template_of(pool: Yaml, cluster: Yaml) -> Yaml:
    """Strimzi's merge: each part of the template as the pool says it, else as the cluster does; parts never mix."""
    own = pool["spec"].get("template") or {}
    common = cluster["spec"]["kafka"].get("template") or {}
    return {part: own[part] if part in own else common.get(part) or {} for part in OF_A_POOL}


def made_by_strimzi(objects: Sequence[Yaml]) -> Iterator[Made]:
    """Kafka's nodes, the entity operator, and the other parts that a Kafka may ask for."""
    clusters = {one["metadata"]["name"]: one for one in of_kind(objects, "Kafka")}
    for pool in of_kind(objects, "KafkaNodePool"):
        merged = template_of(pool, clusters[pool["metadata"]["labels"]["strimzi.io/cluster"]])
        parts = {part: merged[part] for part in OF_A_POOL[1:]}
        yield Made(name_of(pool), merged["pod"], parts, stored=True)
    for one in clusters.values():
        spec = one["spec"]
        if operators := spec.get("entityOperator"):
            said = operators.get("template") or {}
            present = [name for name in ("topicOperator", "userOperator") if operators.get(name) is not None]
            parts = {f"{name}Container": said.get(f"{name}Container") or {} for name in present}
            yield Made(f"{name_of(one)}: entityOperator", said.get("pod") or {}, parts)
        for name, part in (("kafkaExporter", "container"), ("cruiseControl", "cruiseControlContainer")):
            if spec.get(name) is not None:
                said = spec[name].get("template") or {}
                yield Made(f"{name_of(one)}: {name}", said.get("pod") or {}, {part: said.get(part) or {}})


def unadmitted(objects: Sequence[Yaml]) -> Iterator[str]:
    """Where the namespace enforces `restricted`, the merged templates say all that it asks for."""
    if all(one["metadata"].get("labels", {}).get(ENFORCED) != "restricted" for one in of_kind(objects, "Namespace")):
        return
    for made in made_by_strimzi(objects):
        context = made.pod.get("securityContext") or {}
        if context.get("runAsNonRoot") is not True:
            yield f"{made.who}: Pod Security refuses it: pod.securityContext.runAsNonRoot must be true"
        if (context.get("seccompProfile") or {}).get("type") not in PROFILES:
            yield f"{made.who}: Pod Security refuses it: pod.securityContext.seccompProfile must be RuntimeDefault"
        if made.stored and "fsGroup" not in context:
            yield f"{made.who}: can't write to its volumes: pod.securityContext.fsGroup must be 0, as Strimzi's own"
        for name, said in made.containers.items():
            own = said.get("securityContext") or {}
            if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{made.who}: Pod Security refuses it: {name} must drop ALL and allow no privilege escalation"


def in_one_zone(objects: Sequence[Yaml]) -> Iterator[str]:
    """Copies of data are in as many zones as there are copies, or they wait; by labels that their pods have."""
    for pool in of_kind(objects, "KafkaNodePool"):
        said = ((pool["spec"].get("template") or {}).get("pod") or {}).get("topologySpreadConstraints", [])
        own = {"strimzi.io/name": f"{pool['metadata']['labels']['strimzi.io/cluster']}-kafka"}
        if pool["spec"]["replicas"] >= ACROSS_MIN and not _apart(said, own):
            yield f"{name_of(pool)}: all nodes may stand in one zone: spread by {ZONE}, DoNotSchedule, of {own}"
    for one in of_kind(objects, "Cluster"):
        own = {"cnpg.io/cluster": one["metadata"]["name"]}
        said = one["spec"].get("topologySpreadConstraints", [])
        if one["spec"]["instances"] >= ACROSS_MIN and not _apart(said, own):
            yield f"{name_of(one)}: all instances may stand in one zone: spread by {ZONE}, DoNotSchedule, of {own}"


def _apart(constraints: Sequence[Yaml], labels: dict[str, str]) -> bool:
    return any(
        one["topologyKey"] == ZONE
        and one["whenUnsatisfiable"] == "DoNotSchedule"
        and one["maxSkew"] == 1
        and one.get("labelSelector") == {"matchLabels": labels}
        for one in constraints
    )
