"""What we ask of every workload, beyond what a schema can say. Each rule yields sentences; none means it holds."""

from collections.abc import Callable, Iterator, Sequence

from shared.devtools.kube import messaging, plan
from shared.devtools.kube_check.render import (
    Yaml,
    built_in,
    by_operators,
    containers,
    is_service,
    name_of,
    of_kind,
    pods,
)
from shared.devtools.kube_check.variables import values_of
from shared.events.topic import OUTBOUND
from shared.kit.settings import KitSettings
from shared.provision.services import service_names
from shared.provision.topology import INBOUND

Rule = Callable[[Sequence[Yaml]], Iterator[str]]
RESERVED_CONNECTIONS = 20
SESSION, STATIC_SESSION_MS = "BEEGRID_KAFKA_SESSION_MS", 45_000
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def beyond_checkov(objects: Sequence[Yaml]) -> Iterator[str]:
    """Users, file systems, capabilities, requests and probes are checkov's to look at; of these it says nothing."""
    for one, pod in pods(objects):
        who = name_of(one)
        if pod.get("enableServiceLinks") is not False:
            yield f"{who}: enableServiceLinks must be false"
        if "runAsUser" not in pod.get("securityContext", {}):
            yield f"{who}: must run as a numbered user"
        for volume in pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{who}: emptyDir {volume['name']} needs a sizeLimit"
        for container in pod["containers"] if is_service(one) else ():
            paths = [container.get(probe, {}).get("httpGet", {}).get("path") for probe in PROBES]
            if None in paths or len(set(paths)) != len(PROBES):
                yield f"{who}: {container['name']}: the three probes must ask three questions, not {paths}"


def leaves_in_order(objects: Sequence[Yaml]) -> Iterator[str]:
    """The pod lives longer than draining and finishing take, and draining longer than balancers need to notice."""
    settings = {name: value for config in of_kind(objects, "ConfigMap") for name, value in config["data"].items()}
    drain_s = float(settings.get("BEEGRID_DRAIN_S", 0))
    # requests in flight, then handlers in flight, each have the whole grace
    needed_s = drain_s + 2 * float(settings.get("BEEGRID_SHUTDOWN_GRACE_S", 20)) + plan.CLOSE_S
    for one, pod in pods(objects):
        if not is_service(one):
            continue
        grace_s = pod.get("terminationGracePeriodSeconds", 30)
        if grace_s <= needed_s:
            yield f"{name_of(one)}: grace {grace_s} s isn't longer than the {needed_s:.0f} s that stopping may take"
        ready = pod["containers"][0].get("readinessProbe", {})
        notice_s = ready.get("periodSeconds", 10) * ready.get("failureThreshold", 3)
        if drain_s <= notice_s:
            yield f"{name_of(one)}: drains {drain_s:.0f} s, and readiness takes {notice_s} s to turn off"
        rolling = one["spec"].get("strategy", {}).get("rollingUpdate", {})
        # one that stays alone has no other that would serve meanwhile, and its node no memory for a second one
        alone = one["spec"].get("replicas") == 1 and one["spec"].get("strategy") == {"type": "Recreate"}
        if one["kind"] == "Deployment" and rolling.get("maxUnavailable") != 0 and not alone:
            yield f"{name_of(one)}: maxUnavailable must be 0"


def spread_out(objects: Sequence[Yaml]) -> Iterator[str]:
    """Every service has a disruption budget that broken pods can't block, and keeps its own revision's pods apart."""
    budgets = {
        one["spec"]["selector"]["matchLabels"].get("app.kubernetes.io/name"): one["spec"]
        for one in of_kind(objects, "PodDisruptionBudget")
    }
    for one, pod in pods(objects):
        if not is_service(one):
            continue
        budget = budgets.get(one["metadata"]["name"])
        if budget is None or budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{name_of(one)}: needs a PodDisruptionBudget with unhealthyPodEvictionPolicy AlwaysAllow"
        constraints = pod.get("topologySpreadConstraints", [])
        if not constraints or any("matchLabelKeys" not in constraint for constraint in constraints):
            yield f"{name_of(one)}: needs topologySpreadConstraints with matchLabelKeys"


def scaled(objects: Sequence[Yaml]) -> Iterator[str]:
    """Never more pods than partitions, a number to fall back on, and connections for all of them."""
    partitions = {
        one["spec"].get("topicName", one["metadata"]["name"]): one["spec"]["partitions"]
        for one in of_kind(objects, "KafkaTopic")
    }
    pods_max = 0
    for one in of_kind(objects, "ScaledObject"):
        spec = one["spec"]
        pods_max += spec["maxReplicaCount"] + 1  # one more while rolling
        by_lag = [trigger["metadata"] for trigger in spec["triggers"] if trigger["type"] == "kafka"]
        if by_lag and not spec.get("fallback", {}).get("replicas"):
            yield f"{name_of(one)}: needs a fallback for when Kafka doesn't show the lag"
        for trigger in by_lag:
            about = trigger.get("topic", "")
            limit = partitions.get(about)
            if limit is None:
                yield f"{name_of(one)}: no KafkaTopic {about}"
            elif spec["maxReplicaCount"] > limit:
                yield f"{name_of(one)}: maxReplicaCount {spec['maxReplicaCount']} > {limit} partitions of {about}"
    pool = next((c["data"].get("BEEGRID_POSTGRES_POOL_MAX") for c in of_kind(objects, "ConfigMap")
                 if "BEEGRID_POSTGRES_POOL_MAX" in c.get("data", {})), "8")  # fmt: skip
    needed = pods_max * (int(pool) + 1) + RESERVED_CONNECTIONS  # each pod's relay has a connection of its own
    for one in of_kind(objects, "Cluster"):
        allowed = int(one["spec"]["postgresql"]["parameters"]["max_connections"])
        if allowed < needed:
            yield f"{name_of(one)}: max_connections {allowed}, and {pods_max} pods may need {needed}"


def without_tools(objects: Sequence[Yaml]) -> Iterator[str]:
    """No tool, and so no issuer of tokens, in a cluster: neither the image that has them nor a command of theirs."""
    for one, pod in pods(objects):
        for container in containers(pod):
            words = [*container.get("command", ()), *container.get("args", ())]
            if plan.DEV_IMAGE in container["image"] or any(plan.TOOLS in word for word in words):
                yield f"{name_of(one)}: {container['name']}: a cluster has no tools"


def complete(objects: Sequence[Yaml]) -> Iterator[str]:
    """Every service of the registry is deployed, scaled and watched, and its Kafka user is there."""
    deployed = {one["metadata"]["name"] for one, _ in pods(objects) if is_service(one)}
    if not by_operators(objects):
        yield from (f"Deployment/{service}: missing" for service in sorted(set(service_names()) - deployed))
        yield from (f"{name_of(one)}: nobody here knows that kind" for one in objects if not built_in(one))
        return
    for kind, present in (
        ("Deployment", deployed),
        *(
            (kind, {one["metadata"]["name"] for one in of_kind(objects, kind)})
            for kind in ("ScaledObject", "KafkaUser")
        ),
    ):
        for service in sorted(set(service_names()) - present):
            yield f"{kind}/{service}: missing"
    if not of_kind(objects, "PodMonitor"):
        yield "PodMonitor: missing"


def backed_up(objects: Sequence[Yaml]) -> Iterator[str]:
    """By the plugin, which archives WAL into an ObjectStore that is there; an overlay has all of it or nothing."""
    stores = {one["metadata"]["name"] for one in of_kind(objects, "ObjectStore")}
    for one in of_kind(objects, "Cluster"):
        if one["spec"].get("backup", {}).get("barmanObjectStore"):
            yield f"{name_of(one)}: barmanObjectStore is gone with CloudNativePG 1.31: take the plugin"
        archivers = [each for each in one["spec"].get("plugins", ()) if each.get("isWALArchiver")]
        for each in archivers:
            if (name := each.get("parameters", {}).get("barmanObjectName")) not in stores:
                yield f"{name_of(one)}: WAL goes to ObjectStore {name}, which isn't there"
        if stores and not archivers:
            yield f"{name_of(one)}: an ObjectStore, and no plugin that archives WAL into it"
        for backup in of_kind(objects, "ScheduledBackup"):
            plugin = backup["spec"].get("pluginConfiguration", {}).get("name")
            if backup["spec"].get("method") != "plugin" or plugin not in {each["name"] for each in archivers}:
                yield f"{name_of(backup)}: its method must be the plugin that archives WAL"


def copied(objects: Sequence[Yaml]) -> Iterator[str]:
    """Where Postgres has replicas, each commit is on one of them, always (docs/adr/0065)."""
    for one in of_kind(objects, "Cluster"):
        spec = one["spec"]
        if old := sorted({"minSyncReplicas", "maxSyncReplicas"} & spec.keys()):
            yield f"{name_of(one)}: {old[0]} goes on without a copy where no replica is: say postgresql.synchronous"
        said = spec["postgresql"].get("synchronous", {})
        if spec["instances"] > 1 and (said.get("number", 0) < 1 or said.get("dataDurability") != "required"):
            yield f"{name_of(one)}: {spec['instances']} instances need synchronous.number, and dataDurability required"
        if said.get("number", 0) >= spec["instances"] - 1 > 0 or (said and spec["instances"] == 1):
            yield f"{name_of(one)}: with one instance away no commit could be copied to {said['number']} more"


def whole(objects: Sequence[Yaml]) -> Iterator[str]:
    """Everything says what it is part of: so it is found, and pruned, by one label."""
    for one in objects:
        if not plan.PART_OF.items() <= one["metadata"].get("labels", {}).items():
            yield f"{name_of(one)}: has no label {', '.join(f'{key}={value}' for key, value in plan.PART_OF.items())}"


def kept(objects: Sequence[Yaml]) -> Iterator[str]:
    """What has data in it says to every tool that it stays."""
    for one in of_kind(objects, "Namespace", "Kafka", "KafkaNodePool", "Cluster"):
        if missing := sorted(plan.KEPT.items() - one["metadata"].get("annotations", {}).items()):
            yield f"{name_of(one)}: may be pruned, without {missing[0][0]}: {missing[0][1]}"


def leaving(objects: Sequence[Yaml]) -> Iterator[str]:
    """A company's and a city system's own objects have its code as a label, by which they are taken away."""
    inbound, outbound = plan.TOPIC_PREFIX + INBOUND, plan.TOPIC_PREFIX + OUTBOUND
    for one in of_kind(objects, "KafkaUser", "KafkaTopic"):
        name, labels = one["metadata"]["name"], one["metadata"].get("labels", {})
        for beginning, label, end in (
            ("company-", messaging.COMPANY, None),
            (inbound, messaging.COMPANY, "."),
            (outbound, messaging.COMPANY, "."),
            ("system-", messaging.SYSTEM, None),
        ):
            code = name.removeprefix(beginning).split(end)[0] if end else name.removeprefix(beginning)
            if name.startswith(beginning) and labels.get(label) != code:
                yield f"{name_of(one)}: has no label {label}={code}"


def steady(objects: Sequence[Yaml]) -> Iterator[str]:
    """A static member keeps its partitions while its pod comes back, which may have to pull the image first.

    Where members aren't static, as long a session would leave the partitions of a pod that died idle.
    """
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    for one, pod in pods(objects):
        if not is_service(one):
            continue
        values, _ = values_of(pod["containers"][0], configs)
        session_ms = int(values.get(SESSION, KitSettings.model_fields["kafka_session_ms"].default))
        if "BEEGRID_KAFKA_INSTANCE_ID" in values and session_ms < STATIC_SESSION_MS:
            yield f"{name_of(one)}: a static member with a session of {session_ms} ms, not {STATIC_SESSION_MS}"
        if "BEEGRID_KAFKA_INSTANCE_ID" not in values and session_ms >= STATIC_SESSION_MS:
            yield f"{name_of(one)}: {session_ms} ms of idle partitions after each death, and no static member"


def ranked(objects: Sequence[Yaml]) -> Iterator[str]:
    """Where there isn't room for all, data stays before services, and both before what has no class."""
    values = {one["metadata"]["name"]: one["value"] for one in of_kind(objects, "PriorityClass")}
    if not values.get(plan.DATA_FIRST, 0) > values.get(plan.SERVICES_FIRST, 0) > 0:
        yield f"PriorityClass/{plan.DATA_FIRST}: must be above {plan.SERVICES_FIRST}, and that above 0"
    for who, wanted, found in _ranks(objects):
        if found != wanted:
            yield f"{who}: priorityClassName must be {wanted}, not {found}"


def _ranks(objects: Sequence[Yaml]) -> Iterator[tuple[str, str, str | None]]:
    """Everything that becomes pods: who, the class that it needs, the one that it has."""
    for one, pod in pods(objects):
        keeps = bool(one["spec"].get("volumeClaimTemplates"))
        yield name_of(one), plan.DATA_FIRST if keeps else plan.SERVICES_FIRST, pod.get("priorityClassName")
    for one in of_kind(objects, "KafkaNodePool"):
        pool = one["spec"].get("template", {}).get("pod", {})
        yield name_of(one), plan.DATA_FIRST, pool.get("priorityClassName")
    for one in of_kind(objects, "Kafka"):
        operators = one["spec"]["entityOperator"].get("template", {}).get("pod", {})
        yield f"{name_of(one)}: entityOperator", plan.DATA_FIRST, operators.get("priorityClassName")
    for one in of_kind(objects, "Cluster"):
        yield name_of(one), plan.DATA_FIRST, one["spec"].get("priorityClassName")


RULES: tuple[Rule, ...] = (
    beyond_checkov,
    leaves_in_order,
    spread_out,
    scaled,
    without_tools,
    complete,
    backed_up,
    ranked,
    copied,
    whole,
    kept,
    leaving,
    steady,
)


def check(objects: Sequence[Yaml]) -> list[str]:
    """All rules' sentences."""
    return [sentence for rule in RULES for sentence in rule(objects)]
