"""Ways out and whatever leads out agree, both ways: what an overlay names is open and used, and nothing else is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from shared.devtools.kube import network, outside, plan, small
from shared.devtools.kube.outside import Networks, Reach
from shared.devtools.kube_check.render import Yaml, by_operators, is_service, labels_of, name_of, of_kind, pods
from shared.devtools.kube_check.variables import KNOWN_THERE_ONLY, values_of
from shared.provision.services import service_names

DEFAULT_PORTS = {"https": 443, "http": 80, "postgresql": 5432, "redis": 6379, "rediss": 6379}
OURS = ("BEEGRID_WEBHOOK_PORTS", "BEEGRID_WEBHOOK_NETWORKS_ALLOWED", "BEEGRID_OUTBOUND_PROXY", "BEEGRID_MAIL_GATEWAY")
"""Variables that are made of networks.yaml, and so are set by nobody else."""


def check(objects: Sequence[Yaml], root: Path, overlay: str) -> list[str]:
    """Findings of an overlay against its networks.yaml; `overlay` is its folder's name."""
    try:
        named = outside.read(root / "k8s/overlays" / overlay / outside.FILE)
    except ValueError as error:
        return [str(error)]
    return [
        *undeclared(objects, named, root),
        *inside(objects),
        *stores(objects, named),
        *issuer(objects, named),
        *senders(objects, named, root),
        *partners(objects, named),
    ]


def ends_of(objects: Sequence[Yaml]) -> outside.Ends:
    """Where the data are: with operators, or in StatefulSets of our own."""
    return outside.OPERATED if by_operators(objects) else small.ENDS


def is_outside(policy: Yaml) -> bool:
    """Whether a policy is one of those that are made of networks.yaml."""
    return bool(outside.LABEL.items() <= policy["metadata"].get("labels", {}).items())


def undeclared(objects: Sequence[Yaml], named: Networks, root: Path) -> Iterator[str]:
    """Policies with addresses are those of networks.yaml, all of them."""
    declared = {essence(one): one for one in outside.policies(named, service_names(root), ends_of(objects))}
    present = {essence(one): one for one in of_kind(objects, "NetworkPolicy") if is_outside(one)}
    for key in sorted(present.keys() - declared.keys()):
        yield f"{name_of(present[key])}: a way that {outside.FILE} doesn't name"
    for key in sorted(declared.keys() - present.keys()):
        yield f"{name_of(declared[key])}: named in {outside.FILE}, and not in the manifests"


def essence(policy: Yaml) -> str:
    """What a policy does; names and notes don't count."""
    return json.dumps(policy["spec"], sort_keys=True)


def inside(objects: Sequence[Yaml]) -> Iterator[str]:
    """Each service's addresses in the cluster have a way from its pods, on that very port."""
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    policies, ends = of_kind(objects, "NetworkPolicy"), ends_of(objects)
    parties = {
        "BEEGRID_POSTGRES_DSN": ends.postgres,
        "BEEGRID_KAFKA_BOOTSTRAP": ends.kafka,
        "BEEGRID_REDIS_URL": network.VALKEY,
        "BEEGRID_OTLP_ENDPOINT": network.TRACES,
    }
    for workload, pod in pods(objects):
        if not is_service(workload):
            continue
        labels = labels_of(workload)
        values, _ = values_of(pod["containers"][0], configs)
        for variable, party in parties.items():
            if (address := values.get(variable, "")) and not leads(policies, labels, party.peers(), port_of(address)):
                yield f"{name_of(workload)}: {variable} has no way to {party.name} on port {port_of(address)}"
            host = urlsplit(address).hostname or ""
            if party.namespace and address and host.split(".")[1:2] != [party.namespace]:
                yield f"{name_of(workload)}: {variable} is at {host}, and the way leads to {party.namespace}"


def leads(policies: Sequence[Yaml], labels: Mapping[str, str], to: Sequence[Yaml], port: int | None) -> bool:
    """Whether a policy lets pods with these labels go there."""
    for one in policies:
        if not one["spec"].get("podSelector", {}).get("matchLabels", {}).items() <= labels.items():
            continue
        for rule in one["spec"].get("egress") or ():
            if rule.get("to") == to and port in [each.get("port") for each in rule.get("ports", ())]:
                return True
    return False


def port_of(address: str) -> int | None:
    """Of a URL, or of the first host in a list of `host:port`; None where there is none to be read."""
    text = address if "://" in address else f"//{address.split(',')[0]}"
    try:
        parts = urlsplit(text)
        return parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def stores(objects: Sequence[Yaml], named: Networks) -> Iterator[str]:
    """The object stores' ports are open: of the city's store, of this namespace's, and of Postgres' backups."""
    here = {one["metadata"]["name"] for one in of_kind(objects, "Service")}
    for one in of_kind(objects, "ConfigMap"):
        if one["metadata"]["name"].startswith("beegrid-photo-store"):
            endpoint = one["data"]["endpoint"]
            if (urlsplit(endpoint).hostname or "") not in here:
                yield from _reached(name_of(one), endpoint, "object-store", named.object_store)
            else:
                yield from _of_this_namespace(name_of(one), endpoint, named)
    backups = [one["spec"]["configuration"]["endpointURL"] for one in of_kind(objects, "ObjectStore")]
    for endpoint in backups:
        yield from _reached("ObjectStore", endpoint, "backup-store", named.backup_store)
    if named.backup_store and not backups:
        yield f"backup-store: named in {outside.FILE}, and nothing is backed up"


def _of_this_namespace(who: str, endpoint: str, named: Networks) -> Iterator[str]:
    if port_of(endpoint) != plan.OBJECTS_PORT:
        yield f"{who}: {endpoint}, and policies open {plan.OBJECTS_PORT} of this namespace's store"
    if named.object_store:
        yield f"object-store: named in {outside.FILE}, and photos go to {endpoint}"


def _reached(who: str, url: str, party: str, reach: Reach) -> Iterator[str]:
    if port_of(url) not in reach.ports:
        yield f"{who}: {url}, and {outside.FILE} opens {list(reach.ports)} of {party}"


def issuer(objects: Sequence[Yaml], named: Networks) -> Iterator[str]:
    """The issuer's keys come from a file, or by a way that every service has."""
    reach, urls = named.identity_provider, set()
    for one in of_kind(objects, "ConfigMap"):
        if url := one.get("data", {}).get("BEEGRID_JWKS_URL"):
            urls.add(url)
            if urlsplit(url).scheme == "https":
                yield from _reached(name_of(one), url, "identity-provider", reach)
    if reach and not any(urlsplit(url).scheme == "https" for url in urls):
        yield f"identity-provider: named in {outside.FILE}, and keys come from {', '.join(sorted(urls))}"


def senders(objects: Sequence[Yaml], named: Networks, root: Path) -> Iterator[str]:
    """Whoever sends to hosts that others name refuses the ports and networks that are shut; nothing leads nowhere."""
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    wanted = {one["name"]: one for one in outside.settings(named)}
    sending = outside.senders(service_names(root))
    for workload, pod in pods(objects):
        name = workload["metadata"]["name"]
        if not is_service(workload) or name not in sending:
            continue
        entries = {one["name"]: one for one in pod["containers"][0].get("env", [])}
        values, _ = values_of(pod["containers"][0], configs)
        for variable in sorted(OURS):
            if variable in values and variable not in wanted:
                yield f"{name_of(workload)}: {variable} is set, and {outside.FILE} opens no way for it"
            elif variable in wanted and entries.get(variable) != wanted[variable]:
                said = values.get(variable, "nothing")
                said = "another Secret" if said == KNOWN_THERE_ONLY else said
                yield f"{name_of(workload)}: {variable} says {said}, {outside.FILE} otherwise"
        if not named.webhooks.ports and not named.outbound_proxy:
            yield f"{name_of(workload)}: webhooks have no way: name ports or a proxy in {outside.FILE}"


def partners(objects: Sequence[Yaml], named: Networks) -> Iterator[str]:
    """Kafka's outer listener, the policy of Strimzi that belongs to it, and ours have the same callers."""
    callers = sorted(str(one) for one in named.companies)
    for one in of_kind(objects, "Kafka"):
        outer = [each for each in one["spec"]["kafka"]["listeners"] if each["type"] != "internal"]
        for listener in outer:
            admitted = listener.get("networkPolicyPeers", ())
            peers = sorted(peer.get("ipBlock", {}).get("cidr", "pods") for peer in admitted)
            if peers != callers:
                yield f"{name_of(one)}: listener {listener['name']} admits {peers}, {outside.FILE} {callers}"
        if callers and not outer:
            yield f"{name_of(one)}: {outside.FILE} names companies, and there is no listener for them"
