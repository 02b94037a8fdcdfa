"""Every network way is declared, every declared one is there; every address that the front door shows is routed."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.devtools.gen.modules import service_names
from shared.devtools.kube import network, plan, routes
from shared.devtools.kube_check.render import Yaml, is_service, name_of, of_kind, pods


def check(objects: Sequence[Yaml], root: Path) -> list[str]:
    """Findings about policies and routes."""
    return [*undeclared(objects, root), *unrouted(objects, root), *unselected(objects), *unadmitted(objects)]


def undeclared(objects: Sequence[Yaml], root: Path) -> Iterator[str]:
    """Policies are compared whole, by selector, direction and rules; names and notes don't count."""
    wanted = network.policies(service_names(root))
    if any(one["metadata"]["name"] == plan.TOOLBOX for one in of_kind(objects, "Deployment")):
        wanted += network.toolbox_policies()
    declared = {_essence(one): one for one in wanted}
    present = {_essence(one): one for one in of_kind(objects, "NetworkPolicy")}
    for essence in sorted(present.keys() - declared.keys()):
        yield f"{name_of(present[essence])}: a way that shared/devtools/kube/network.py doesn't declare"
    for essence in sorted(declared.keys() - present.keys()):
        yield f"{name_of(declared[essence])}: declared, and not in the manifests"


def _essence(policy: Yaml) -> str:
    return json.dumps(policy["spec"], sort_keys=True)


def unrouted(objects: Sequence[Yaml], root: Path) -> Iterator[str]:
    """By Gateway API's own matching, which differs from Caddy's."""
    for one in of_kind(objects, "HTTPRoute"):
        rules = {}
        for rule in one["spec"]["rules"]:
            matches = [match["path"] for match in rule["matches"]]
            rules[rule["backendRefs"][0]["name"]] = routes.Route(
                rule["backendRefs"][0]["name"],
                tuple(match["value"] for match in matches if match["type"] == "Exact"),
                tuple(match["value"] for match in matches if match["type"] == "PathPrefix"),
            )
        for service in service_names(root):
            for path in routes.public_paths(root, service):
                if service not in rules or not rules[service].takes(path):
                    yield f"{name_of(one)}: {path} of {service} isn't routed to it"


def unselected(objects: Sequence[Yaml]) -> Iterator[str]:
    """A Service that selects no pods of its name would answer nothing."""
    labelled = {one["spec"]["template"]["metadata"]["labels"].get("app.kubernetes.io/name") for one, _ in pods(objects)}
    for one in of_kind(objects, "Service"):
        if one["spec"].get("selector", {}).get("app.kubernetes.io/name") not in labelled:
            yield f"{name_of(one)}: selects no pod"
    services = {one["metadata"]["name"] for one in of_kind(objects, "Service")}
    for one, _ in pods(objects):
        if is_service(one) and one["metadata"]["name"] not in services:
            yield f"{name_of(one)}: has no Service"


def unadmitted(objects: Sequence[Yaml]) -> Iterator[str]:
    """The front door's pods run where policies expect them, which its class decides."""
    for one in of_kind(objects, "Gateway"):
        name = one["spec"]["gatewayClassName"]
        if network.GATEWAY_CLASSES.get(name) != network.GATEWAY.namespace:
            yield f"{name_of(one)}: class {name}, and policies admit {network.GATEWAY.namespace} only"
