"""One service in Kubernetes: Deployment, Service, ServiceAccount, disruption budget and scaling."""

from collections.abc import Sequence
from typing import Any

from shared.devtools.kube import plan
from shared.events.registry import AnyTopic
from shared.kit.about import Secret
from shared.provision.services import about

Yaml = dict[str, Any]
CERTIFICATES = "/etc/beegrid"
POSTGRES_CA, KAFKA_CA = f"{CERTIFICATES}/postgres/ca.crt", f"{CERTIFICATES}/kafka/ca.crt"
JWKS = f"{CERTIFICATES}/identity/jwks.json"


def manifests(service: str) -> list[Yaml]:
    """All objects of a service, in the order in which a reader wants them."""
    return [deployment(service), http_service(service), account(service), budget(service), scaling(service)]


def deployment(service: str) -> Yaml:
    """No `replicas`: KEDA's autoscaler owns the number."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service, "labels": plan.labels(service, **plan.SERVICE_LABEL)},
        "spec": {
            "revisionHistoryLimit": 3,
            "minReadySeconds": 5,
            "progressDeadlineSeconds": 300,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": {"app.kubernetes.io/name": service}},
            "template": {
                "metadata": {"labels": plan.labels(service, **plan.SERVICE_LABEL)},
                "spec": {
                    **pod_basics(service),
                    "terminationGracePeriodSeconds": plan.GRACE_S,
                    "topologySpreadConstraints": [
                        spread(service, zone) for zone in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                    ],
                    "initContainers": [schema_gate(service)],
                    "containers": [container(service)],
                    "volumes": [*volumes(), identity()],
                },
            },
        },
    }


def pod_basics(account_name: str) -> Yaml:
    """What every pod of ours has: no token, no surprises in the environment, no root."""
    return {
        "serviceAccountName": account_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": plan.SERVICES_FIRST,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": plan.USER,
            "runAsGroup": plan.USER,
            "fsGroup": plan.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def spread(service: str, key: str) -> Yaml:
    """Pods of one revision keep apart; those of the former one, which are leaving, don't count."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": service}},
        "matchLabelKeys": ["pod-template-hash"],
    }


def container(service: str) -> Yaml:
    """Three probes for three questions: has it started, may it get requests, would a restart help."""
    size = about(service).size
    memory = f"{size.memory_mi}Mi"
    return {
        "name": "service",
        "image": plan.IMAGE,
        "args": [f"services.{service}"],
        "ports": [
            {"name": "http", "containerPort": plan.PORT},
            {"name": "metrics", "containerPort": plan.METRICS_PORT},
        ],
        "env": environment(service),
        "envFrom": [{"configMapRef": {"name": "beegrid"}}],
        # half an hour: a process that waits for Postgres, Kafka or its schema opens no port until they are there
        "startupProbe": probe("/startupz", period_s=2, failures=900),
        "readinessProbe": probe("/readyz", period_s=3, failures=2),
        "livenessProbe": probe("/livez", period_s=10, failures=6),
        "resources": {
            "requests": {"cpu": f"{size.cpu_m}m", "memory": memory},
            "limits": {"memory": memory, "ephemeral-storage": "256Mi"},
        },
        "securityContext": confined(),
        "volumeMounts": [*mounts(), {"name": "identity", "mountPath": f"{CERTIFICATES}/identity", "readOnly": True}],
    }


def schema_gate(service: str) -> Yaml:
    """New pods wait for the set-up job; old ones serve meanwhile. So the order of `kubectl apply` doesn't matter."""
    return {
        "name": "await-schema",
        "image": plan.IMAGE,
        "args": ["shared.provision.await_schema", service],
        "env": environment(service)[:2],
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi"},
            "limits": {"memory": "96Mi", "ephemeral-storage": "64Mi"},
        },
        "securityContext": confined(),
        "volumeMounts": [mount for mount in mounts() if mount["name"] != "kafka-ca"],
    }


def confined() -> Yaml:
    """A container's part of the Pod Security level «restricted», and a read-only root besides."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def probe(path: str, period_s: int, failures: int) -> Yaml:
    """HTTP on the service's own port."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def environment(service: str) -> list[Yaml]:
    """What differs between services; what is the same for all is in the ConfigMap `beegrid`."""
    url = (
        f"postgresql://{service}_app:$(POSTGRES_PASSWORD)@{plan.POSTGRES}-rw:{plan.POSTGRES_PORT}/beegrid"
        f"?sslmode=verify-full&sslrootcert={POSTGRES_CA}"
    )
    found = [
        secret("POSTGRES_PASSWORD", f"{service}-postgres", "password"),
        {"name": "BEEGRID_POSTGRES_DSN", "value": url},
        {"name": "BEEGRID_METRICS_PORT", "value": str(plan.METRICS_PORT)},
        {"name": "BEEGRID_KAFKA_USERNAME", "value": service},
        secret("BEEGRID_KAFKA_PASSWORD", service, "password"),
        secret("VALKEY_PASSWORD", plan.VALKEY, "password"),
        {"name": "BEEGRID_REDIS_URL", "value": f"redis://:$(VALKEY_PASSWORD)@{plan.VALKEY}:{plan.VALKEY_PORT}/0"},
    ]
    if Secret.SEALING_KEY in about(service).secrets:
        found.append(secret("BEEGRID_SEALING_KEY", "beegrid-sealing", "key"))
    if Secret.PHOTO_STORE in about(service).secrets:
        found += [
            config("BEEGRID_PHOTO_STORE_URL", "beegrid-photo-store", "url"),
            config("AWS_ENDPOINT_URL", "beegrid-photo-store", "endpoint"),
            config("AWS_REGION", "beegrid-photo-store", "region"),
            config("AWS_ALLOW_HTTP", "beegrid-photo-store", "allow_http"),
            secret("AWS_ACCESS_KEY_ID", "beegrid-photo-store", "access_key"),
            secret("AWS_SECRET_ACCESS_KEY", "beegrid-photo-store", "secret_key"),
        ]
    return found


def secret(name: str, of: str, key: str) -> Yaml:
    """A variable from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}}


def config(name: str, of: str, key: str) -> Yaml:
    """A variable from a ConfigMap."""
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": of, "key": key}}}


def volumes() -> list[Yaml]:
    """The certificates that the operators keep current, and the only place that can be written."""
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": "128Mi"}},
        # whole: beside ca.crt Strimzi keeps former authorities, while brokers still show certificates of theirs
        {"name": "kafka-ca", "secret": {"secretName": f"{plan.KAFKA}-cluster-ca-cert"}},
        {"name": "postgres-ca", "secret": {"secretName": f"{plan.POSTGRES}-ca", "items": [_ca()]}},
    ]


def identity() -> Yaml:
    """The issuer's public keys, where they are no https:// address: without the ConfigMap pods start all the same."""
    return {"name": "identity", "configMap": {"name": "beegrid-identity", "optional": True}}


def mounts() -> list[Yaml]:
    """Where a container finds them."""
    return [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 an emptyDir of this pod alone
        {"name": "kafka-ca", "mountPath": f"{CERTIFICATES}/kafka", "readOnly": True},
        {"name": "postgres-ca", "mountPath": f"{CERTIFICATES}/postgres", "readOnly": True},
    ]


def _ca() -> Yaml:
    return {"key": "ca.crt", "path": "ca.crt"}


def http_service(service: str) -> Yaml:
    """The stable name behind the front door."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "labels": plan.labels(service)},
        "spec": {
            "selector": {"app.kubernetes.io/name": service},
            "ports": [{"name": "http", "port": plan.PORT, "targetPort": "http", "appProtocol": "http"}],
        },
    }


def account(name: str) -> Yaml:
    """An identity that may do nothing in the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": plan.labels(name)},
        "automountServiceAccountToken": False,
    }


def budget(service: str) -> Yaml:
    """One pod at a time may be moved; a pod that is broken anyway never stops a node from being emptied."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": service, "labels": plan.labels(service)},
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {"app.kubernetes.io/name": service}},
        },
    }


def _fallback(service: str) -> Yaml:
    """For when KEDA can't ask Kafka: the number that a normal day needs."""
    pods_min = about(service).size.pods_min
    return {"failureThreshold": 4, "replicas": pods_min, "behavior": "currentReplicasIfHigher"}


def scaling(service: str) -> Yaml:
    """By lag, never beyond what partitions can share; slowly down, because every change stops the whole group.

    A service that hears from companies alone is scaled by CPU until there is a company with topics of its own.
    """
    size = about(service).size
    names = plan.scaling_names(service)
    by_cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "150"}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": service,
            "labels": plan.labels(service, **{plan.SCALED_BY: "lag" if names else "cpu"}),
        },
        "spec": {
            "scaleTargetRef": {"name": service},
            "minReplicaCount": size.pods_min,
            "maxReplicaCount": min([size.pods_max, *(topic.partitions for topic in plan.scaling_topics(service))]),
            **({"fallback": _fallback(service)} if names else {}),
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleUp": {
                            "stabilizationWindowSeconds": 30,
                            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
                        },
                        "scaleDown": {
                            "stabilizationWindowSeconds": 600,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
                        },
                    }
                }
            },
            "triggers": [_trigger(service, name, topic) for name, topic in names.items()] or [by_cpu],
        },
    }


def company_scaling(service: str, companies: Sequence[str]) -> list[Yaml]:
    """What a JSON patch does to the service's ScaledObject for companies' own topics; [] where it hears none."""
    plain = plan.scaling_names(service)
    own = {name: topic for name, topic in plan.scaling_names(service, companies).items() if name not in plain}
    triggers = [_trigger(service, name, topic) for name, topic in own.items()]
    if not triggers:
        return []
    if plain:
        return [{"op": "add", "path": "/spec/triggers/-", "value": trigger} for trigger in triggers]
    # fallback and a CPU trigger exclude each other
    return [
        {"op": "replace", "path": f"/metadata/labels/{plan.SCALED_BY.replace('/', '~1')}", "value": "lag"},
        {"op": "add", "path": "/spec/fallback", "value": _fallback(service)},
        {"op": "replace", "path": "/spec/triggers", "value": triggers},
    ]


def _trigger(service: str, name: str, topic: AnyTopic) -> Yaml:
    metadata = {
        "bootstrapServers": plan.KAFKA_BOOTSTRAP,
        "consumerGroup": plan.group_of(service, topic),
        # without a topic, a group that has committed nothing yet counts every record of the cluster
        "topic": name,
        "lagThreshold": str(about(service).size.lag_per_pod),
        "offsetResetPolicy": "earliest",
        # and with one, every record that the topic ever had
        "scaleToZeroOnInvalidOffset": "true",
        "version": plan.KAFKA_PROTOCOL,
    }
    return {"type": "kafka", "metadata": metadata, "authenticationRef": {"name": "beegrid-kafka-lag"}}
