"""Hosts, ports, groups, topics and words of Kafka, KEDA and Prometheus are those that the cluster has."""

import re
from collections.abc import Iterator, Sequence

from shared.devtools.kube import plan
from shared.devtools.kube_check.render import Yaml, by_operators, containers, name_of, of_kind, pods
from shared.devtools.kube_check.watched import of_others
from shared.events.registry import AnyTopic

# The words of KEDA's Kafka scaler; anything else fails in the operator's log only.
OLDEST_PROTOCOL = (2, 1)
SASL_WORDS = {"none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", "oauthbearer"}


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay."""
    return [
        *triggers(objects),
        *sasl(objects),
        *bootstrap(objects),
        *scraped([one for one in objects if not of_others(one)]),
        *outside(objects),
        *administered(objects),
    ]


def bootstraps(objects: Sequence[Yaml], *, qualified: bool) -> set[str]:
    """Addresses of every internal listener's bootstrap service; `qualified`: from another namespace too."""
    return {
        f"{one['metadata']['name']}-kafka-bootstrap{'.' + _namespace(one) + '.svc' if qualified else ''}:{port['port']}"
        for one in of_kind(objects, "Kafka")
        for port in one["spec"]["kafka"]["listeners"]
        if port["type"] == "internal"
    }


def _namespace(one: Yaml) -> str:
    return str(one["metadata"].get("namespace", "default"))


def triggers(objects: Sequence[Yaml]) -> Iterator[str]:
    """KEDA's operator resolves names in its own namespace; groups and topics are those of the registry, and all."""
    there = bootstraps(objects, qualified=True)
    topics = {str(one["spec"].get("topicName", one["metadata"]["name"])) for one in of_kind(objects, "KafkaTopic")}
    for one in of_kind(objects, "ScaledObject"):
        service = one["spec"]["scaleTargetRef"]["name"]
        wanted = {
            (plan.group_of(service, topic), name)
            for topic in plan.scaling_topics(service)
            for name in topics
            if family(topic).fullmatch(name)
        }
        found = set()
        for trigger in one["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                metadata = trigger["metadata"]
                found.add((metadata["consumerGroup"], metadata.get("topic", "")))
                yield from (f"{name_of(one)}: {fault}" for fault in _faults(metadata, there))
        for group, topic in sorted(found - wanted):
            yield f"{name_of(one)}: {service} has no group {group} on {topic or 'a family'}"
        for group, topic in sorted(wanted - found):
            yield f"{name_of(one)}: no trigger for {group} on {topic}"


def _faults(trigger: Yaml, there: set[str]) -> Iterator[str]:
    if trigger["bootstrapServers"] not in there:
        yield f"bootstrapServers {trigger['bootstrapServers']} must be one of {sorted(there)}"
    if not trigger.get("topic"):
        yield "a trigger without topic counts all topics while its group has committed nothing"
    if trigger.get("scaleToZeroOnInvalidOffset") != "true":
        yield f"{trigger.get('topic')}: while its group has committed nothing, all that was ever written counts"
    stated = re.fullmatch(r"(\d+)\.(\d+)\.\d+", trigger.get("version", "1.0.0"))
    if stated is None or tuple(map(int, stated.groups())) < OLDEST_PROTOCOL:
        yield f"{trigger.get('topic')}: version must be stated, 2.1.0 or newer: Kafka 4 speaks nothing older"


def family(topic: AnyTopic) -> re.Pattern[str]:
    """The names that a topic, or each of a family's, has on the broker."""
    return re.compile(topic.pattern(plan.TOPIC_PREFIX))


def sasl(objects: Sequence[Yaml]) -> Iterator[str]:
    """The kind of login in one of KEDA's own words, wherever it comes from."""
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    for one in of_kind(objects, "TriggerAuthentication"):
        for source in one["spec"].get("configMapTargetRef", []):
            word = configs.get(source["name"], {}).get(source["key"])
            if source["parameter"] == "sasl" and word not in SASL_WORDS:
                yield f"{name_of(one)}: sasl {word} is none of {', '.join(sorted(SASL_WORDS))}"


def bootstrap(objects: Sequence[Yaml]) -> Iterator[str]:
    """Services find the cluster: by its short name or by the whole one."""
    there = bootstraps(objects, qualified=False) | bootstraps(objects, qualified=True)
    if not by_operators(objects):
        there = {
            f"{one['metadata']['name']}:{p['port']}"
            for one in of_kind(objects, "Service")
            for p in one["spec"]["ports"]
        }
    for one in of_kind(objects, "ConfigMap"):
        address = one.get("data", {}).get("BEEGRID_KAFKA_BOOTSTRAP")
        if address is not None and address not in there:
            yield f"{name_of(one)}: BEEGRID_KAFKA_BOOTSTRAP {address} must be one of {sorted(there)}"


def scraped(objects: Sequence[Yaml]) -> Iterator[str]:
    """A PodMonitor's ports are names of container ports of every pod that it selects; it selects some."""
    instances = [
        {"cnpg.io/cluster": one["metadata"]["name"], "cnpg.io/podRole": "instance"}
        for one in of_kind(objects, "Cluster")
    ]
    for one in of_kind(objects, "PodMonitor"):
        wanted = one["spec"]["selector"]["matchLabels"].items()
        if wanted in [labels.items() for labels in instances]:
            yield from (
                f"{name_of(one)}: Postgres' pods have no port {endpoint.get('port')}"
                for endpoint in one["spec"]["podMetricsEndpoints"]
                if endpoint.get("port") != "metrics"
            )
            continue
        selected = [
            (workload, pod)
            for workload, pod in pods(objects)
            if wanted <= workload.get("spec", {}).get("template", {})["metadata"].get("labels", {}).items()
        ]
        if not selected:
            yield f"{name_of(one)}: selects no pod"
        for workload, pod in selected:
            named = {port.get("name") for each in containers(pod) for port in each.get("ports", [])}
            for endpoint in one["spec"]["podMetricsEndpoints"]:
                if endpoint.get("port") not in named:
                    yield f"{name_of(one)}: {name_of(workload)} has no port {endpoint.get('port')}"


def outside(objects: Sequence[Yaml]) -> Iterator[str]:
    """Where the front door has a name, companies and city systems reach Kafka too: by TLS, with a user, by a name."""
    public = any(one["spec"].get("hostnames") for one in of_kind(objects, "HTTPRoute"))
    for one in of_kind(objects, "Kafka"):
        found = [listener for listener in one["spec"]["kafka"]["listeners"] if listener["type"] != "internal"]
        if public and not found:
            yield f"{name_of(one)}: no listener for companies and city systems"
        for listener in found:
            who = f"{name_of(one)}: listener {listener['name']}"
            if not listener.get("tls") or listener.get("authentication", {}).get("type") != "scram-sha-512":
                yield f"{who} must have tls and authentication scram-sha-512"
            if not listener.get("configuration", {}).get("bootstrap", {}).get("alternativeNames"):
                yield f"{who} needs the name that its clients use in bootstrap.alternativeNames"
            if listener["port"] != plan.KAFKA_OUTSIDE_PORT:
                yield f"{who}: policies admit port {plan.KAFKA_OUTSIDE_PORT}, not {listener['port']}"


def administered(objects: Sequence[Yaml]) -> Iterator[str]:
    """Kafka's administrator is one of its super users, and there exactly as long as the toolbox, which is let in."""
    tools = {one["metadata"]["name"] for one in of_kind(objects, "Deployment")} & {plan.TOOLBOX}
    users = {one["metadata"]["name"] for one in of_kind(objects, "KafkaUser")} & {plan.KAFKA_ADMIN}
    if tools and not users and by_operators(objects):
        yield f"KafkaUser/{plan.KAFKA_ADMIN}: missing"
    if users and not tools:
        yield f"KafkaUser/{plan.KAFKA_ADMIN}: an administrator, and no toolbox that uses it"
    admitted = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": plan.TOOLBOX}}}
    for one in of_kind(objects, "Kafka"):
        kafka = one["spec"]["kafka"]
        if plan.KAFKA_ADMIN not in kafka["authorization"].get("superUsers", []):
            yield f"{name_of(one)}: {plan.KAFKA_ADMIN} must be among superUsers"
        for listener in kafka["listeners"]:
            inside = listener["type"] == "internal"
            if tools and inside and admitted not in listener.get("networkPolicyPeers", [admitted]):
                yield f"{name_of(one)}: listener {listener['name']} doesn't admit the toolbox"
