"""Every network way is declared, every declared one is there; every address that the front door shows is routed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shared.devtools.kube import network, plan, routes, small
from shared.devtools.kube_check.networks import essence, is_outside
from shared.devtools.kube_check.render import Yaml, by_operators, is_service, labels_of, name_of, of_kind, pods
from shared.kit.proxies import Proxies
from shared.provision.services import service_names

TRUSTED = "BEEGRID_TRUSTED_PROXIES"
# The widest network that a cluster's pods plausibly have, by version of IP
PREFIX_MIN = {4: 16, 6: 48}


def check(objects: Sequence[Yaml], root: Path) -> list[str]:
    """Findings about policies and routes."""
    return [
        *undeclared(objects, root),
        *unrouted(objects, root),
        *unselected(objects),
        *unadmitted(objects),
        *overheard(objects),
        *crowded(objects),
        *forgeable(objects),
        *unread(objects),
    ]


def undeclared(objects: Sequence[Yaml], root: Path) -> Iterator[str]:
    """Policies between pods are compared whole, by selector, direction and rules; networks.py looks at the others."""
    operated = by_operators(objects)
    wanted = network.policies() if operated else small.policies()
    workloads = {one["metadata"]["name"] for one in of_kind(objects, "Deployment", "StatefulSet")}
    if operated and plan.TOOLBOX in workloads:
        wanted += network.toolbox_policies()
    if network.OBJECTS.name in workloads:
        wanted += network.object_store_policies(service_names(root))
    declared = {essence(one): one for one in wanted}
    present = {essence(one): one for one in of_kind(objects, "NetworkPolicy") if not is_outside(one)}
    for key in sorted(present.keys() - declared.keys()):
        yield f"{name_of(present[key])}: a way that shared/devtools/kube/network.py doesn't declare"
    for key in sorted(declared.keys() - present.keys()):
        yield f"{name_of(declared[key])}: declared, and not in the manifests"


def unrouted(objects: Sequence[Yaml], root: Path) -> Iterator[str]:
    """By Gateway API's own matching, and Ingress's, which is the same and differs from Caddy's."""
    doors = [(name_of(one), _of_route(one)) for one in of_kind(objects, "HTTPRoute")]
    doors += [(name_of(one), _of_ingress(one)) for one in of_kind(objects, "Ingress")]
    if not doors:
        yield "HTTPRoute or Ingress: missing"
    for who, rules in doors:
        for service in service_names(root):
            for path in routes.public_paths(root, service):
                if service not in rules or not rules[service].takes(path):
                    yield f"{who}: {path} of {service} isn't routed to it"


def _of_route(one: Yaml) -> dict[str, routes.Route]:
    rules = [
        (rule["backendRefs"][0]["name"], match["path"]) for rule in one["spec"]["rules"] for match in rule["matches"]
    ]
    return _rules((name, path["type"], path["value"]) for name, path in rules)


def _of_ingress(one: Yaml) -> dict[str, routes.Route]:
    paths = [path for rule in one["spec"]["rules"] for path in rule["http"]["paths"]]
    return _rules((path["backend"]["service"]["name"], path["pathType"], path["path"]) for path in paths)


def _rules(found: Iterable[tuple[str, str, str]]) -> dict[str, routes.Route]:
    rules: dict[str, routes.Route] = {}
    for service, kind, value in found:
        was = rules.get(service, routes.Route(service, (), ()))
        exact = (*was.exact, value) if kind == "Exact" else was.exact
        below = (*was.prefixes, value) if kind in ("Prefix", "PathPrefix") else was.prefixes
        rules[service] = routes.Route(service, exact, below)
    return rules


def unselected(objects: Sequence[Yaml]) -> Iterator[str]:
    """A Service that selects no pods of its name would answer nothing."""
    labelled = {labels_of(one).get("app.kubernetes.io/name") for one, _ in pods(objects)}
    for one in of_kind(objects, "Service"):
        if one["spec"].get("selector", {}).get("app.kubernetes.io/name") not in labelled:
            yield f"{name_of(one)}: selects no pod"
    services = {one["metadata"]["name"] for one in of_kind(objects, "Service")}
    for one, _ in pods(objects):
        if is_service(one) and one["metadata"]["name"] not in services:
            yield f"{name_of(one)}: has no Service"


def unadmitted(objects: Sequence[Yaml]) -> Iterator[str]:
    """The front door's pods run where policies expect them, which its class decides, and have its name as a label."""
    for one in of_kind(objects, "Ingress"):
        if one["spec"].get("ingressClassName") != small.DOOR_CLASS:
            yield f"{name_of(one)}: policies admit the pods of {small.DOOR_CLASS} only"
    for one in of_kind(objects, "Gateway"):
        if one["metadata"]["name"] != plan.GATEWAY:
            yield f"{name_of(one)}: policies admit the pods of {plan.GATEWAY} only"
        name = one["spec"]["gatewayClassName"]
        if network.GATEWAY_CLASSES.get(name) != network.GATEWAY.namespace:
            yield f"{name_of(one)}: class {name}, and policies admit {network.GATEWAY.namespace} only"


def overheard(objects: Sequence[Yaml]) -> Iterator[str]:
    """The front door's log has nothing of a request but its method: addresses have riders' numbers and links in them.

    Envoy's own format, which it takes where none is said, has the whole address.
    """
    said = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "EnvoyProxy")}
    for one in of_kind(objects, "Gateway"):
        proxy = said.get(one["spec"].get("infrastructure", {}).get("parametersRef", {}).get("name"), {})
        settings = proxy.get("telemetry", {}).get("accessLog", {}).get("settings", [])
        if not settings:
            yield f"{name_of(one)}: logs in Envoy's own format, with every request's whole address"
        for text in (text for setting in settings for text in setting["format"]["json"].values()):
            if "%REQ(" in text and text != "%REQ(:METHOD)%":
                yield f"{name_of(one)}: logs {text}"


def crowded(objects: Sequence[Yaml]) -> Iterator[str]:
    """Nobody is let in because of the namespace alone: anybody may be put there."""
    for one in of_kind(objects, "NetworkPolicy"):
        for rule in one["spec"].get("ingress") or ():
            for peer in rule.get("from") or ():
                if "namespaceSelector" in peer and not peer.get("podSelector"):
                    yield f"{name_of(one)}: lets in every pod of {json.dumps(peer['namespaceSelector'])}"


def forgeable(objects: Sequence[Yaml]) -> Iterator[str]:
    """Each overlay says whose X-Forwarded-For is believed: pods', never strangers'.

    More pods than the front door's have addresses in it. So both hold together: the network is believed, and policies
    let no other pod come to the port on which it is.
    """
    believed = [one["data"][TRUSTED] for one in of_kind(objects, "ConfigMap") if TRUSTED in one.get("data", {})]
    if len(believed) != 1:
        yield f"{TRUSTED}: the overlay must set it, once"
        return
    networks = Proxies.parse(believed[0]).networks
    for network_ in networks:
        if network_.is_global or network_.prefixlen < PREFIX_MIN[network_.version]:
            yield f"{TRUSTED}: {network_} is wider than a cluster's pod network, or a public one"
    services = [labels_of(one) for one, _ in pods(objects) if is_service(one)]
    door = network.GATEWAY if by_operators(objects) else small.DOOR
    policies = of_kind(objects, "NetworkPolicy") if networks else []
    for one in policies:
        selector = one["spec"].get("podSelector") or {}
        wanted = selector.get("matchLabels", {}).items()
        if not any(wanted <= labels.items() for labels in services):
            continue
        for rule in one["spec"].get("ingress") or ():
            if _opens(rule, plan.PORT) and rule.get("from") != [door.peer()]:
                way = f"come to port {plan.PORT}, where {believed[0]} is believed"
                yield f"{name_of(one)}: lets others than the front door {way}"


def _opens(rule: Yaml, port: int) -> bool:
    """Whether a rule lets somebody come to a port; a named one counts as open."""
    ports: list[Yaml] = rule.get("ports") or [{}]
    for one in ports:
        first = one.get("port")
        if not isinstance(first, int) or first <= port <= one.get("endPort", first):
            return True
    return False


def unread(objects: Sequence[Yaml]) -> Iterator[str]:
    """Prometheus asks on the port that policies open to it, and services have it."""
    ports = {
        (port["name"], port["containerPort"])
        for one, pod in pods(objects)
        if is_service(one)
        for port in pod["containers"][0]["ports"]
    }
    for one in of_kind(objects, "PodMonitor"):
        if one["spec"]["selector"]["matchLabels"].items() != plan.SERVICE_LABEL.items():
            continue
        for endpoint in one["spec"]["podMetricsEndpoints"]:
            if (endpoint.get("port"), plan.METRICS_PORT) not in ports:
                yield f"{name_of(one)}: asks on {endpoint.get('port')}, and policies open {plan.METRICS_PORT} to it"
