"""What the manifests need to know beyond the registry and what services declare: names and times."""

from collections.abc import Iterable

from shared.events import registry
from shared.events.registry import AnyTopic
from shared.provision.services import names_of

IMAGE = "beegrid"
DEV_IMAGE = "beegrid-dev"
"""With the tools, for compose alone."""
TOOLS = "shared.devtools"
PORT = 8080
# Of /metrics alone: a network policy knows ports and no paths
METRICS_PORT = 9464
USER = 10001
TOPIC_PREFIX = "beegrid."
# The cluster's own names
KAFKA, POSTGRES, VALKEY = "beegrid", "beegrid-postgres", "beegrid-valkey"
KAFKA_PORT, POSTGRES_PORT, VALKEY_PORT, OTLP_PORT = 9093, 5432, 6379, 4318
KAFKA_OUTSIDE_PORT = 9094
# Strimzi's, of its JMX exporter
KAFKA_METRICS_PORT = 9404
# Of the component object-store
OBJECTS_PORT = 3900
# Secrets of a city that has a mail server or a proxy, with the key `url`
MAIL_SECRET, PROXY_SECRET = "beegrid-mail-gateway", "beegrid-outbound-proxy"
NAMESPACE = "beegrid"
# Of the overlays' Gateway
GATEWAY = "beegrid"
# With its namespace: KEDA's operator, which asks for lag, resolves names from its own
KAFKA_BOOTSTRAP = f"{KAFKA}-kafka-bootstrap.{NAMESPACE}.svc:{KAFKA_PORT}"
# What KEDA speaks with Kafka, whose fourth version refuses anything older than 2.1; KEDA's own default is 1.0.0
KAFKA_PROTOCOL = "2.8.0"
# Who stays where there isn't room for all (k8s/base/priorities.yaml)
DATA_FIRST, SERVICES_FIRST = "beegrid-data", "beegrid-services"
# The operator's pod (k8s/components/toolbox) and the user with which it administers Kafka
TOOLBOX, KAFKA_ADMIN = "toolbox", "beegrid-admin"
# Of what no tool may take away because it isn't, or is no longer, among the manifests: Argo CD, Flux and Helm in turn.
# `kubectl apply --prune` takes what has the label below and was applied, so what is made once has neither.
KEPT = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "helm.sh/resource-policy": "keep",
}
MADE_ONCE = {"beegrid.dev/made": "once"}
PART_OF = {"app.kubernetes.io/part-of": "beegrid"}
# What a ScaledObject goes by: lag, or cpu where a service has no topic yet
SCALED_BY = "beegrid.dev/scaled-by"
SERVICE_LABEL = {"beegrid.dev/role": "service"}
# Times, s. The pod lives longer than all that a stopping process may do: tell balancers, finish requests, finish
# handlers, close the pool.
DRAIN_S, SHUTDOWN_GRACE_S, CLOSE_S, GRACE_S = 10, 20, 5, 75
POOL_MAX = 2


def scaling_topics(service: str) -> list[AnyTopic]:
    """Topics by whose lag a service is scaled: those that more than one pod can share."""
    return [topic for topic in registry.consumed_by(service) if topic.partitions > 1]


def scaling_names(service: str, companies: Iterable[str] = ()) -> dict[str, AnyTopic]:
    """The topics on the broker by whose lag a service is scaled, with each company's own, by their whole names."""
    return {TOPIC_PREFIX + name: topic for topic in scaling_topics(service) for name in names_of(topic, companies)}


def group_of(service: str, topic: AnyTopic) -> str:
    """The consumer group of a service for a topic, as shared/kit/consuming/consumer.py names it."""
    return f"{TOPIC_PREFIX}{service}.{topic.member('all')}"


def labels(name: str, **more: str) -> dict[str, str]:
    """Labels of everything that belongs to one part."""
    return {"app.kubernetes.io/name": name, **PART_OF, **more}
