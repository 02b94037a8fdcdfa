"""The overlay `small`: one node and no operators. Services, ways and routes come from their declarations here too."""

from pathlib import Path
from typing import Any

from shared.devtools.kube import network, outside, plan, routes
from shared.devtools.kube.network import Party, Way
from shared.devtools.kube.workloads import container
from shared.provision.services import about

Yaml = dict[str, Any]
OVERLAY = "small"
# Kafka's name of itself; Strimzi's would be the same.
KAFKA_NAME = f"{plan.KAFKA}-kafka"
KAFKA = Party("kafka", (("app.kubernetes.io/name", KAFKA_NAME),))
POSTGRES = Party("postgres", (("app.kubernetes.io/name", plan.POSTGRES),))
BACKUP = Party("backup", (("app.kubernetes.io/name", "backup"),))
ENDS = outside.Ends(KAFKA, POSTGRES, operated=False)
# As k3s brings it, with the ports of its pods.
DOOR = Party("traefik", (("app.kubernetes.io/name", "traefik"),), namespace="kube-system")
DOOR_CLASS, DOOR_PORTS = "traefik", (8000, 8443)
# Of a pod that does the whole work alone: what it asks for, of what it may take.
ASKED_SHARE = 3
CPU_M = 50
# What differs from the broker of compose (ops/kafka): TLS for clients, and a name for the administrator.
LISTENERS = {
    "controller.quorum.voters": "1@localhost:9092",
    "listeners": f"CLIENTS://:{plan.KAFKA_PORT},OUTSIDE://:{plan.KAFKA_OUTSIDE_PORT},CONTROLLER://localhost:9092",
    "listener.security.protocol.map": "CLIENTS:SASL_SSL,OUTSIDE:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
    "super.users": f"User:{plan.KAFKA_ADMIN}",
    "log.dirs": "/var/lib/kafka/data",
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": "/etc/beegrid/server/server.pem",
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": "/etc/beegrid/kafka/ca.crt",
}


def ways() -> list[Way]:
    """Every way between pods, but for those to the object store, which come with it."""
    return [
        Way(network.EVERYBODY, network.DNS, (53,), "names", udp=True),
        Way(network.EVERYBODY, network.DNS, (53,), "names too long for UDP"),
        Way(DOOR, network.SERVICES, (plan.PORT,), "requests from the front door"),
        Way(network.PROMETHEUS, network.SERVICES, (plan.METRICS_PORT,), "metrics, where there is one"),
        Way(network.SERVICES, KAFKA, (plan.KAFKA_PORT,), "events"),
        Way(network.SERVICES, POSTGRES, (plan.POSTGRES_PORT,), "state"),
        Way(network.SERVICES, network.VALKEY, (plan.VALKEY_PORT,), "rate limits and caches"),
        Way(network.SERVICES, network.TRACES, (plan.OTLP_PORT,), "traces, where somebody takes them"),
        Way(network.SETUP, POSTGRES, (plan.POSTGRES_PORT,), "roles, schemas, migrations"),
        Way(network.SETUP, KAFKA, (plan.KAFKA_PORT,), "topics, users, rights"),
        *_of_an_operator(BACKUP),
        Way(BACKUP, network.OBJECTS, (plan.OBJECTS_PORT,), "photos"),
        *_of_an_operator(network.TOOLBOX),
        Way(network.TOOLBOX, network.SERVICES, (plan.METRICS_PORT,), "metrics"),
        Way(network.TOOLBOX, DOOR, DOOR_PORTS, "the front door"),
    ]


def _of_an_operator(party: Party) -> list[Way]:
    return [
        Way(party, KAFKA, (plan.KAFKA_PORT,), "topics, users, what consumers had not yet read"),
        Way(party, POSTGRES, (plan.POSTGRES_PORT,), "the whole suite at one instant"),
    ]


def policies() -> list[Yaml]:
    """Deny everything, then the ways between pods; addresses outside are the overlay's (outside.py)."""
    return [network.denied(), *network.both_ends(ways())]


def ingress(root: Path) -> Yaml:
    """The front door's routes in the words of every cluster; host and certificate are the overlay's."""
    paths = [
        {
            "path": path,
            "pathType": kind,
            "backend": {"service": {"name": route.service, "port": {"name": "http"}}},
        }
        for route in routes.table(root)
        for kind, found in (("Exact", route.exact), ("Prefix", route.prefixes))
        for path in found
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "beegrid", "labels": dict(plan.PART_OF)},
        "spec": {"ingressClassName": DOOR_CLASS, "rules": [{"host": "", "http": {"paths": paths}}]},
    }


def service_patch(service: str) -> list[Yaml]:
    """One pod, as large as in compose, that makes room before the next one comes: memory for two isn't there."""
    most = about(service).size.alone_mi
    said = container(service)["resources"]
    asked = {"cpu": f"{CPU_M}m", "memory": f"{most // ASKED_SHARE}Mi"}
    sizes = {"requests": asked, "limits": {**said["limits"], "memory": f"{most}Mi"}}
    return [
        {"op": "add", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/strategy", "value": {"type": "Recreate"}},
        {"op": "replace", "path": "/spec/template/spec/containers/0/resources", "value": sizes},
    ]


def kafka_properties(text: str) -> str:
    """The broker of compose with other listeners; start.sh adds passwords and the advertised addresses."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    kept = dict(line.split("=", 1) for line in lines)
    return "".join(f"{name}={value}\n" for name, value in {**kept, **LISTENERS}.items())
