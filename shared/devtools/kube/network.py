"""Who may speak to whom. Everything else is refused: services never call each other, they speak through Kafka."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.devtools.kube import plan
from shared.kit.about import Outside
from shared.provision.services import about

Yaml = dict[str, Any]


@dataclass(frozen=True)
class Party:
    """One end of a way: pods by labels, in another namespace where one is named, or addresses outside."""

    name: str
    pods: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    outside: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Blocks of addresses, each with those in it that don't belong to it."""

    def peers(self) -> list[Yaml]:
        """In a policy's words. An empty list of exceptions would be dropped by the API server, and differ for ever."""
        if self.outside:
            return [{"ipBlock": {"cidr": cidr, **({"except": list(but)} if but else {})}} for cidr, but in self.outside]
        return [self.peer()]

    def peer(self) -> Yaml:
        """Of pods: the one peer."""
        peer: Yaml = {}
        if self.namespace:
            peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        if self.pods:
            peer["podSelector"] = {"matchLabels": dict(self.pods)}
        return peer


@dataclass(frozen=True)
class Way:
    """From one party to another, on TCP ports unless said otherwise, and why."""

    source: Party
    target: Party
    ports: tuple[int, ...]
    why: str
    udp: bool = False


def _pods(name: str, *labels: tuple[str, str]) -> Party:
    return Party(name, labels)


SERVICES = _pods("services", *plan.SERVICE_LABEL.items())
SETUP = _pods("setup", ("app.kubernetes.io/name", "setup"))
TOOLBOX = _pods(plan.TOOLBOX, ("app.kubernetes.io/name", plan.TOOLBOX))
KAFKA = _pods("kafka", ("strimzi.io/cluster", plan.KAFKA), ("strimzi.io/name", f"{plan.KAFKA}-kafka"))
KAFKA_OPERATOR = _pods("entity-operator", ("strimzi.io/name", f"{plan.KAFKA}-entity-operator"))
POSTGRES = _pods("postgres", ("cnpg.io/cluster", plan.POSTGRES))
OBJECTS = _pods("object-store", ("app.kubernetes.io/name", "object-store"))
VALKEY = _pods("valkey", ("app.kubernetes.io/name", plan.VALKEY))
EVERYBODY = Party("everybody")
DNS = Party("dns", (("k8s-app", "kube-dns"),), namespace="kube-system")
# Where the cache is a pod with an address of its own (Cilium's local redirects); else it has the node's: outside.py
DNS_CACHE = Party("dns-cache", (("k8s-app", "node-local-dns"),), namespace="kube-system")
# Parties elsewhere are named by namespace and pod: whoever may come in from a whole namespace comes in with everything
# that anybody puts there.
# Where the pods of a Gateway's class run; Envoy Gateway puts all of them into its own namespace.
GATEWAY_CLASSES = {"eg": "envoy-gateway-system"}
# Of all pods in there those of our own Gateway, by the labels that Envoy Gateway gives them.
GATEWAY = Party(
    "gateway",
    (
        ("gateway.envoyproxy.io/owning-gateway-name", plan.GATEWAY),
        ("gateway.envoyproxy.io/owning-gateway-namespace", plan.NAMESPACE),
    ),
    namespace=GATEWAY_CLASSES["eg"],
)
PROMETHEUS = Party("prometheus", (("app.kubernetes.io/name", "prometheus"),), namespace="monitoring")
TRACES = Party("traces", namespace="observability")
KEDA = Party("keda", (("app", "keda-operator"),), namespace="keda")
CNPG = Party("cnpg-operator", (("app.kubernetes.io/name", "cloudnative-pg"),), namespace="cnpg-system")
STRIMZI = Party("strimzi-operator", (("strimzi.io/kind", "cluster-operator"),), namespace="strimzi")
# The API server, a city's stores, companies' hosts: addresses, which each overlay names (outside.py)


def service(name: str) -> Party:
    """One service's pods."""
    return _pods(name, ("app.kubernetes.io/name", name))


def ways() -> list[Way]:
    """Every way between pods."""
    return [
        Way(EVERYBODY, DNS, (53,), "names", udp=True),
        Way(EVERYBODY, DNS, (53,), "names too long for UDP"),
        Way(EVERYBODY, DNS_CACHE, (53,), "names", udp=True),
        Way(EVERYBODY, DNS_CACHE, (53,), "names too long for UDP"),
        Way(GATEWAY, SERVICES, (plan.PORT,), "requests from the front door"),
        Way(PROMETHEUS, SERVICES, (plan.METRICS_PORT,), "metrics"),
        Way(SERVICES, KAFKA, (plan.KAFKA_PORT,), "events"),
        Way(SERVICES, POSTGRES, (plan.POSTGRES_PORT,), "state"),
        Way(SERVICES, VALKEY, (plan.VALKEY_PORT,), "rate limits and caches"),
        Way(SERVICES, TRACES, (plan.OTLP_PORT,), "traces"),
        Way(SETUP, POSTGRES, (plan.POSTGRES_PORT,), "roles, schemas, migrations"),
        Way(KEDA, KAFKA, (plan.KAFKA_PORT,), "lag"),
        Way(KAFKA, KAFKA, (9090, 9091, plan.KAFKA_PORT), "the cluster itself"),
        Way(KAFKA_OPERATOR, KAFKA, (9091,), "topics and users"),
        Way(STRIMZI, KAFKA, (9090, 9091, 8443), "the operator"),
        Way(STRIMZI, KAFKA_OPERATOR, (8080, 8081), "the operator"),
        Way(POSTGRES, POSTGRES, (plan.POSTGRES_PORT, 8000), "replication"),
        Way(CNPG, POSTGRES, (plan.POSTGRES_PORT, 8000), "the operator"),
        Way(PROMETHEUS, POSTGRES, (9187,), "metrics"),
        Way(PROMETHEUS, KAFKA, (plan.KAFKA_METRICS_PORT,), "metrics"),
        Way(PROMETHEUS, KAFKA_OPERATOR, (8080, 8081), "metrics"),
    ]


def toolbox_ways() -> list[Way]:
    """Ways of the component toolbox, which are there as long as it is."""
    return [
        Way(TOOLBOX, KAFKA, (plan.KAFKA_PORT,), "topics, users, what consumers had not yet read"),
        Way(TOOLBOX, POSTGRES, (plan.POSTGRES_PORT,), "backups"),
        Way(TOOLBOX, SERVICES, (plan.METRICS_PORT,), "metrics"),
        # Envoy's pods listen 10000 above a listener's port
        Way(TOOLBOX, GATEWAY, (10080, 10443), "the front door, where its address leads back into the cluster"),
    ]


def object_store_ways(services: Iterable[str]) -> list[Way]:
    """Ways of the component object-store: of the services that need one, and of the toolbox while it is there."""
    needing = [name for name in services if any(Outside.OBJECT_STORE in need.ways for need in about(name).needs)]
    return [Way(one, OBJECTS, (plan.OBJECTS_PORT,), "photos") for one in (*map(service, needing), TOOLBOX)]


def object_store_policies(services: Iterable[str]) -> list[Yaml]:
    """They add to the ones below, under names of their own."""
    found = both_ends(object_store_ways(services))
    for policy in found:
        policy["metadata"]["name"] = f"objects-{policy['metadata']['name']}"
    return found


def toolbox_policies() -> list[Yaml]:
    """They add to the ones below, under names of their own."""
    found = both_ends(toolbox_ways())
    for policy in found:
        policy["metadata"]["labels"] = {**plan.PART_OF, "app.kubernetes.io/component": plan.TOOLBOX}
        name = policy["metadata"]["name"].removeprefix(f"{plan.TOOLBOX}-")
        policy["metadata"]["name"] = f"{plan.TOOLBOX}-{name}"
    return found


def policies() -> list[Yaml]:
    """Deny everything, then one policy for each end of each way that lies in this namespace."""
    return [denied(), *both_ends(ways())]


def denied() -> Yaml:
    """What no other policy opens."""
    return {**_head("default-deny"), "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}


def both_ends(found_ways: Iterable[Way]) -> list[Yaml]:
    """A policy for each end in this namespace, in each direction, with all its ways."""
    outgoing: dict[Party, list[Way]] = {}
    incoming: dict[Party, list[Way]] = {}
    for way in found_ways:
        if _here(way.source):
            outgoing.setdefault(way.source, []).append(way)
        if _here(way.target):
            incoming.setdefault(way.target, []).append(way)
    return [
        *(_policy(party, "egress", "to", [(way, way.target) for way in found]) for party, found in outgoing.items()),
        *(_policy(party, "ingress", "from", [(way, way.source) for way in found]) for party, found in incoming.items()),
    ]


def _here(party: Party) -> bool:
    return not party.namespace and not party.outside


def _head(name: str, **notes: str) -> Yaml:
    metadata: Yaml = {"name": name, "labels": dict(plan.PART_OF)}
    if notes:
        metadata["annotations"] = {f"beegrid.dev/{key}": text for key, text in notes.items()}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}


def _policy(party: Party, direction: str, word: str, found: list[tuple[Way, Party]]) -> Yaml:
    why = "; ".join(f"{other.name}: {way.why}" for way, other in found)
    selector = {"matchLabels": dict(party.pods)} if party.pods else {}
    rules = [
        {
            word: other.peers(),
            "ports": [{"protocol": "UDP" if way.udp else "TCP", "port": port} for port in way.ports],
        }
        for way, other in found
    ]
    return {
        **_head(f"{party.name}-{direction}", why=why),
        "spec": {"podSelector": selector, "policyTypes": [direction.capitalize()], direction: rules},
    }
