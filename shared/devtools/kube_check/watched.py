"""Kafka and the operators are asked for their metrics, in the form that ops/prometheus/rules/servers.yml counts on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.devtools.kube import network
from shared.devtools.kube.network import Party
from shared.devtools.kube_check.render import Yaml, name_of, of_kind

# Pods that others make, with what their metrics' ports are called there. Operators' ports have names of the chart's
# choice, so that they go by number.
PORTS: Mapping[str, tuple[Party, frozenset[Any]]] = {
    "kafka": (network.KAFKA, frozenset({"tcp-prometheus"})),
    "entity-operator": (network.KAFKA_OPERATOR, frozenset({"healthcheck-to", "healthcheck-uo"})),
    "strimzi": (network.STRIMZI, frozenset({8080})),
    "cnpg": (network.CNPG, frozenset({8080})),
    "keda": (network.KEDA, frozenset({8080})),
}
"""By the label `job`, which the rules name."""


def of_others(one: Yaml) -> bool:
    """Whether it is a PodMonitor of such pods."""
    return one.get("kind") == "PodMonitor" and any(_selects(one, party) for party, _ in PORTS.values())


def _selects(one: Yaml, party: Party) -> bool:
    spec = one["spec"]
    namespaces = spec.get("namespaceSelector", {}).get("matchNames", [])
    labels = spec["selector"].get("matchLabels", {})
    return bool(labels == dict(party.pods) and namespaces == ([party.namespace] if party.namespace else []))


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay; without Kafka as operators have it there is nothing to watch."""
    if not of_kind(objects, "Kafka"):
        return []
    return [*unmeasured(objects), *unasked(objects)]


def unmeasured(objects: Sequence[Yaml]) -> Iterator[str]:
    """A Kafka whose exporter has no rules starts well, and every alert about it is silent."""
    settings = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    for one in of_kind(objects, "Kafka"):
        source = one["spec"]["kafka"].get("metricsConfig", {}).get("valueFrom", {}).get("configMapKeyRef", {})
        if source.get("key") not in settings.get(source.get("name"), {}):
            yield f"{name_of(one)}: metricsConfig names no rules that are there"


def unasked(objects: Sequence[Yaml]) -> Iterator[str]:
    """Each of them has a PodMonitor, on its ports, under its job; operators' own `namespace` is kept as it is."""
    monitors = of_kind(objects, "PodMonitor")
    for job, (party, ports) in PORTS.items():
        of_it = [one for one in monitors if _selects(one, party)]
        if not of_it:
            yield f"{party.name}: no PodMonitor asks it"
        for one in of_it:
            ends = one["spec"]["podMetricsEndpoints"]
            if {end.get("port", end.get("portNumber")) for end in ends} != ports:
                yield f"{name_of(one)}: must ask on {', '.join(map(str, sorted(ports)))}"
            for end in ends:
                if {"action": "replace", "targetLabel": "job", "replacement": job} not in end.get("relabelings", ()):
                    yield f"{name_of(one)}: must give the job {job}, by which rules ask"
                if job != "kafka" and not end.get("honorLabels"):
                    yield f"{name_of(one)}: honorLabels: its `namespace` is the object's, and rules ask for it"
