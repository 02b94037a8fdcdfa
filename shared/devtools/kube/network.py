"""Who may speak to whom. Everything else is refused: services never call each other, they speak through Kafka."""

from collections.abc import Iterable, Mapping
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
    outside: tuple[str, ...] = ()
    """Blocks of addresses, each without private networks."""

    def peer(self) -> Yaml:
        """In a policy's words."""
        if self.outside:
            # without an empty `except`: the server drops it, and every further apply would change the policy
            excepted = {"except": list(self.outside[1:])} if self.outside[1:] else {}
            return {"ipBlock": {"cidr": self.outside[0], **excepted}}
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


PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
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
INTERNET = Party("internet", outside=("0.0.0.0/0", *PRIVATE))
# The API server and a city's object store have no labels, and often private addresses.
ANYWHERE = Party("anywhere", outside=("0.0.0.0/0",))
PARTNERS = Party("companies and city systems", outside=("0.0.0.0/0",))


WAYS_OUT: Mapping[Outside, tuple[tuple[Party, tuple[int, ...], str], ...]] = {
    Outside.OBJECT_STORE: (
        (ANYWHERE, (443,), "photos in the city's object store"),
        (OBJECTS, (3900,), "photos in this namespace's object store"),
    ),
    Outside.PUBLIC_HOSTS: ((INTERNET, (443,), "webhooks and bots; private networks are refused"),),
    Outside.MAIL_SERVER: ((ANYWHERE, (465, 587), "the city's mail server"),),
}
"""What services declare as their ways out of the suite."""


def service(name: str) -> Party:
    """One service's pods."""
    return _pods(name, ("app.kubernetes.io/name", name))


def ways(services: Iterable[str]) -> list[Way]:
    """Every way that there is."""
    found = [
        Way(EVERYBODY, DNS, (53,), "names", udp=True),
        Way(EVERYBODY, DNS, (53,), "names too long for UDP"),
        Way(GATEWAY, SERVICES, (plan.PORT,), "requests from the front door"),
        Way(PROMETHEUS, SERVICES, (plan.METRICS_PORT,), "metrics"),
        Way(SERVICES, KAFKA, (plan.KAFKA_PORT,), "events"),
        Way(SERVICES, POSTGRES, (plan.POSTGRES_PORT,), "state"),
        Way(SERVICES, VALKEY, (plan.VALKEY_PORT,), "rate limits and caches"),
        Way(SERVICES, TRACES, (plan.OTLP_PORT,), "traces"),
        Way(SETUP, POSTGRES, (plan.POSTGRES_PORT,), "roles, schemas, migrations"),
        Way(KEDA, KAFKA, (plan.KAFKA_PORT,), "lag"),
        # the overlay says whether there is such a listener; in `kind` nothing answers
        Way(PARTNERS, KAFKA, (plan.KAFKA_OUTSIDE_PORT,), "their records, by TLS and with a user each"),
        Way(KAFKA, KAFKA, (9090, 9091, plan.KAFKA_PORT), "the cluster itself"),
        Way(KAFKA_OPERATOR, KAFKA, (9091,), "topics and users"),
        Way(STRIMZI, KAFKA, (9090, 9091, 8443), "the operator"),
        Way(STRIMZI, KAFKA_OPERATOR, (8080, 8081), "the operator"),
        Way(KAFKA_OPERATOR, ANYWHERE, (443, 6443), "the API server"),
        Way(KAFKA, ANYWHERE, (443, 6443), "the API server: in which zone am I"),
        Way(POSTGRES, POSTGRES, (plan.POSTGRES_PORT, 8000), "replication"),
        Way(CNPG, POSTGRES, (plan.POSTGRES_PORT, 8000), "the operator"),
        Way(PROMETHEUS, POSTGRES, (9187,), "metrics"),
        Way(PROMETHEUS, KAFKA, (plan.KAFKA_METRICS_PORT,), "metrics"),
        Way(PROMETHEUS, KAFKA_OPERATOR, (8080, 8081), "metrics"),
        Way(POSTGRES, ANYWHERE, (443, 6443), "the API server; backups to the object store"),
    ]
    for name in services:
        outside = [way for need in about(name).needs for way in need.ways]
        found += [
            Way(service(name), target, ports, why)
            for way in dict.fromkeys(outside)
            for target, ports, why in WAYS_OUT[way]
        ]
    return found


def toolbox_ways() -> list[Way]:
    """Ways of the component toolbox, which are there as long as it is."""
    return [
        Way(TOOLBOX, KAFKA, (plan.KAFKA_PORT,), "topics, users, what consumers had not yet read"),
        Way(TOOLBOX, POSTGRES, (plan.POSTGRES_PORT,), "backups"),
        Way(TOOLBOX, OBJECTS, (3900,), "photos in this namespace's object store"),
        Way(TOOLBOX, SERVICES, (plan.METRICS_PORT,), "metrics"),
        # Envoy's pods listen 10000 above a listener's port
        Way(TOOLBOX, GATEWAY, (10080, 10443), "the front door, where its address leads back into the cluster"),
        Way(TOOLBOX, ANYWHERE, (443,), "the front door; photos in the city's object store"),
    ]


def toolbox_policies() -> list[Yaml]:
    """They add to the ones below, under names of their own."""
    found = _both_ends(toolbox_ways())
    for policy in found:
        policy["metadata"]["labels"] = {**plan.PART_OF, "app.kubernetes.io/component": plan.TOOLBOX}
        name = policy["metadata"]["name"].removeprefix(f"{plan.TOOLBOX}-")
        policy["metadata"]["name"] = f"{plan.TOOLBOX}-{name}"
    return found


def policies(services: Iterable[str]) -> list[Yaml]:
    """Deny everything, then one policy for each end of each way that lies in this namespace."""
    denied = {
        **_head("default-deny"),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
    return [denied, *_both_ends(ways(services))]


def _both_ends(found_ways: Iterable[Way]) -> list[Yaml]:
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
    metadata: Yaml = {"name": name, "labels": plan.PART_OF}
    if notes:
        metadata["annotations"] = {f"beegrid.dev/{key}": text for key, text in notes.items()}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}


def _policy(party: Party, direction: str, word: str, found: list[tuple[Way, Party]]) -> Yaml:
    why = "; ".join(f"{other.name}: {way.why}" for way, other in found)
    selector = {"matchLabels": dict(party.pods)} if party.pods else {}
    rules = [
        {
            word: [other.peer()],
            "ports": [{"protocol": "UDP" if way.udp else "TCP", "port": port} for port in way.ports],
        }
        for way, other in found
    ]
    return {
        **_head(f"{party.name}-{direction}", why=why),
        "spec": {"podSelector": selector, "policyTypes": [direction.capitalize()], direction: rules},
    }
