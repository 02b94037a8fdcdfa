"""Addresses outside of the suite's namespace: each overlay names them in its networks.yaml.

`make gen` makes of one file both the policies that open the way and the settings that use it, so neither is there
without the other. What an overlay doesn't name is shut.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from shared.devtools.kube import network, plan
from shared.devtools.kube.network import Party, Way
from shared.kit.about import Outside
from shared.provision.services import about

Yaml = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Port = Annotated[int, Field(ge=1, le=65535)]
FILE = "networks.yaml"
# Of the policies made here; all others are network.py's
LABEL = {"beegrid.dev/ways": "outside"}
# The widest block of addresses that one party plausibly has, by version of IP
PREFIX_MIN = {4: 16, 6: 32}
HTTPS = 443
# What is no public address (IANA's special-purpose registries); notifications' guard refuses the same
NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)  # fmt: skip
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Where hosts that have IPv6 alone see IPv4's addresses."""
PUBLIC = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("2000::/3"), NAT64)


@dataclass(frozen=True)
class Ends:
    """Who in this namespace goes out: the data's own pods. `operated`: by operators, whose pods ask the API server."""

    kafka: Party = network.KAFKA
    postgres: Party = network.POSTGRES
    operated: bool = True


OPERATED = Ends()


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


class Reach(_Named):
    """A party by addresses, or by pods of another namespace, and its ports. Without any it isn't there."""

    cidrs: tuple[Network, ...] = ()
    namespace: str = ""
    pods: dict[str, str] = Field(default_factory=dict)
    ports: tuple[Port, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> "Reach":
        if bool(self.namespace) != bool(self.pods):
            raise ValueError("another namespace's pods are named by namespace and labels, both")
        if bool(self.ports) != bool(self.cidrs or self.pods):
            raise ValueError("a party has addresses or pods, and ports")
        return self

    def __bool__(self) -> bool:
        return bool(self.ports)

    def party(self, name: str) -> Party:
        """As a policy's end."""
        blocks = tuple((str(cidr), ()) for cidr in self.cidrs)
        return Party(name, tuple(self.pods.items()), self.namespace, blocks)


class Webhooks(_Named):
    """Where companies' webhooks may go: these ports, at all public addresses or none, and at private ones named."""

    ports: tuple[Port, ...] = ()
    public: bool = True
    private: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def _with_bots(self) -> "Webhooks":
        if self.ports and self.public and HTTPS not in self.ports:
            raise ValueError(f"group bots are at public hosts, on port {HTTPS}")
        if self.private and not self.ports:
            raise ValueError("private receivers need ports")
        return self


class Networks(_Named):
    """One overlay's networks.yaml."""

    cluster: tuple[Network, ...] = Field(min_length=1)
    """Of pods, Services and nodes: never a way out, whatever a name resolves to."""
    api_server: Reach
    name_servers: tuple[Network, ...] = ()
    """Beside the DNS pods: a cache on each node, and the DNS Service's address where that cache takes its place."""
    object_store: Reach = Reach()
    backup_store: Reach = Reach()
    identity_provider: Reach = Reach()
    mail_server: Reach = Reach()
    outbound_proxy: Reach = Reach()
    webhooks: Webhooks = Webhooks()
    front_door: Reach = Reach()
    """For the toolbox, where the front door has an address outside."""
    companies: tuple[Network, ...] = ()
    """Who may come to Kafka's outer listener: companies and city systems."""

    @model_validator(mode="after")
    def _narrow(self) -> "Networks":
        reaches = {name: value for name, value in self if isinstance(value, Reach)}
        found = {name: value.cidrs for name, value in reaches.items()}
        found |= {"name_servers": self.name_servers, "webhooks": self.webhooks.private}
        for name, cidrs in found.items():
            for cidr in cidrs:
                if cidr.prefixlen < PREFIX_MIN[cidr.version]:
                    raise ValueError(f"{name}: {cidr} is wider than one party's addresses")
                own = () if name in ("api_server", "name_servers") else (*self.cluster, *self.api_server.cidrs)
                if inside := [str(one) for one in own if one.version == cidr.version and one.overlaps(cidr)]:
                    raise ValueError(f"{name}: {cidr} has the cluster's own addresses in it ({', '.join(inside)})")
        return self


def read(file: Path) -> Networks:
    """What an overlay names.

    Raises:
        ValueError: it isn't there, or says something that can't be.
    """
    try:
        return Networks.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{file}: an overlay names its networks: {error.strerror}") from error
    except ValueError as error:  # pydantic's too
        raise ValueError(f"{file}: {error}") from error


def public_hosts(cluster: Sequence[Network]) -> Party:
    """All public addresses, of both versions of IP, but for the cluster's own where it has such."""
    refused: list[Network] = [*map(ipaddress.ip_network, NOT_PUBLIC), *cluster]
    refused += [_in_nat64(one) for one in refused if one.version == 4]
    return Party("public hosts", outside=tuple((str(block), tuple(_within(block, refused))) for block in PUBLIC))


def _in_nat64(block: Network) -> Network:
    return ipaddress.IPv6Network((int(NAT64.network_address) + int(block.network_address), 96 + block.prefixlen))


def _within(whole: Network, parts: Iterable[Network]) -> Iterator[str]:
    inner = [one for one in parts if one.version == whole.version and one != whole and one.subnet_of(whole)]  # type: ignore[arg-type]  # of one version
    yield from map(str, ipaddress.collapse_addresses(inner))  # type: ignore[type-var]  # as above


def ways(networks: Networks, services: Iterable[str], ends: Ends = OPERATED) -> list[Way]:
    """All ways that lead out of the namespace by address, or to another namespace that the overlay names."""
    api = networks.api_server.party("api-server")
    found: list[Way] = []
    if networks.name_servers:
        servers = Party("name-servers", outside=tuple((str(one), ()) for one in networks.name_servers))
        found += [Way(network.EVERYBODY, servers, (53,), "names", udp=udp) for udp in (True, False)]
    if ends.operated:
        found += [
            Way(ends.kafka, api, networks.api_server.ports, "in which zone am I"),
            Way(network.KAFKA_OPERATOR, api, networks.api_server.ports, "topics and users as resources"),
            Way(ends.postgres, api, networks.api_server.ports, "who is the primary"),
        ]
    found += [
        *_to(ends.postgres, "backup-store", networks.backup_store, "backups and WAL"),
        *_to(network.SERVICES, "identity-provider", networks.identity_provider, "the issuer's keys"),
        *_to(network.TOOLBOX, "object-store", networks.object_store, "photos"),
        *_to(network.TOOLBOX, "front-door", networks.front_door, "the front door"),
    ]
    for name in services:
        wanted = dict.fromkeys(way for need in about(name).needs for way in need.ways)
        found += [one for way in wanted for one in _OUT[way](networks, network.service(name))]
    if networks.companies:
        partners = Party("companies and city systems", outside=tuple((str(one), ()) for one in networks.companies))
        found.append(Way(partners, ends.kafka, (plan.KAFKA_OUTSIDE_PORT,), "their records, by TLS, a user each"))
    return found


def _to(source: Party, name: str, reach: Reach, why: str) -> list[Way]:
    return [Way(source, reach.party(name), reach.ports, why)] if reach else []


def _stored(networks: Networks, source: Party) -> list[Way]:
    return _to(source, "object-store", networks.object_store, "photos")


def _mailed(networks: Networks, source: Party) -> list[Way]:
    return _to(source, "mail-server", networks.mail_server, "mail")


def _published(networks: Networks, source: Party) -> list[Way]:
    hooks, to = networks.webhooks, partial(_to, source)
    found = to("outbound-proxy", networks.outbound_proxy, "webhooks and bots")
    if hooks.ports and hooks.public:
        found.append(Way(source, public_hosts(networks.cluster), hooks.ports, "webhooks and bots"))
    if hooks.private:
        found += to("private receivers", Reach(cidrs=hooks.private, ports=hooks.ports), "webhooks")
    return found


_OUT = {Outside.OBJECT_STORE: _stored, Outside.PUBLIC_HOSTS: _published, Outside.MAIL_SERVER: _mailed}
"""What services declare as their ways out of the suite."""


def policies(networks: Networks, services: Iterable[str], ends: Ends = OPERATED) -> list[Yaml]:
    """One for each pod that has such ways; they add to network.py's."""
    found = network.both_ends(ways(networks, services, ends))
    for policy in found:
        policy["metadata"]["labels"] = {**plan.PART_OF, **LABEL}
        policy["metadata"]["name"] += "-outside"
    return found


def settings(networks: Networks) -> list[Yaml]:
    """Variables of whoever sends to the public hosts, which say the same as the ways."""
    hooks, words = networks.webhooks, TypeAdapter(tuple[Network, ...])
    found: list[Yaml] = []
    if hooks.ports:
        found.append({"name": "BEEGRID_WEBHOOK_PORTS", "value": f"[{', '.join(map(str, hooks.ports))}]"})
    if hooks.private:
        found.append({"name": "BEEGRID_WEBHOOK_NETWORKS_ALLOWED", "value": words.dump_json(hooks.private).decode()})
    for variable, secret, reach in (
        ("BEEGRID_OUTBOUND_PROXY", plan.PROXY_SECRET, networks.outbound_proxy),
        ("BEEGRID_MAIL_GATEWAY", plan.MAIL_SECRET, networks.mail_server),
    ):
        if reach:
            found.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": "url"}}})
    return found


def senders(services: Iterable[str]) -> list[str]:
    """Services that send to hosts which others name."""
    return [name for name in services if any(Outside.PUBLIC_HOSTS in need.ways for need in about(name).needs)]
