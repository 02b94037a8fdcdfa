"""Ways out of the namespace follow from one declaration; policies, settings and code agree with it, both ways."""

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from services.notifications.outbound.guard import Forbidden, Guard
from shared.devtools.gen.files import ROOT
from shared.devtools.kube import network, outside
from shared.devtools.kube_check import given, leaving, networks, variables
from shared.devtools.kube_check.render import Yaml
from shared.kit.settings import KitSettings
from shared.provision.services import about, service_names
from tests.architecture.conftest import write
from tests.architecture.support.objects import container, one

PRODUCTION = ROOT / "k8s/overlays/production/networks.yaml"


def named(**more: Any) -> dict[str, Any]:
    """What production's networks.yaml says, with something else in it."""
    said = yaml.safe_load(PRODUCTION.read_text(encoding="utf-8"))
    return {**said, **{name.replace("_", "-"): value for name, value in more.items()}}


def find(objects: list[Yaml], **more: Any) -> list[str]:
    """What the check finds of production's manifests where networks.yaml says something else."""
    root = ROOT
    said = outside.Networks.model_validate(named(**more))
    return [
        *networks.undeclared(objects, said, root),
        *networks.stores(objects, said),
        *networks.issuer(objects, said),
        *networks.senders(objects, said, root),
        *networks.partners(objects, said),
    ]


def another_way(o: list[Yaml]) -> None:
    rules = one(o, "NetworkPolicy", "intake-egress-outside")["spec"]["egress"]
    rules.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]})


def by_hand(o: list[Yaml]) -> None:
    policy = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    o.append({"kind": "NetworkPolicy", "metadata": {"name": "all", "labels": outside.LABEL}, "spec": policy})


def shut(o: list[Yaml]) -> None:
    o.remove(one(o, "NetworkPolicy", "postgres-egress-outside"))


def config(o: list[Yaml], variable: str) -> Yaml:
    """The ConfigMap that has a variable."""
    return next(each["data"] for each in o if each["kind"] == "ConfigMap" and variable in each["data"])


def keys_from_afar(o: list[Yaml]) -> None:
    config(o, "BEEGRID_JWKS_URL")["BEEGRID_JWKS_URL"] = "https://id.example.org/jwks.json"


def store_on_another_port(o: list[Yaml]) -> None:
    config(o, "endpoint")["endpoint"] = "https://s3.example.org:9000"


def backups_on_another_port(o: list[Yaml]) -> None:
    configuration = one(o, "ObjectStore", "beegrid-postgres")["spec"]["configuration"]
    configuration["endpointURL"] = "https://s3.example.org:9000"


def traces_elsewhere(o: list[Yaml]) -> None:
    config(o, "BEEGRID_OTLP_ENDPOINT")["BEEGRID_OTLP_ENDPOINT"] = "http://tempo.tracing:4318/v1/traces"


def traces_on_another_port(o: list[Yaml]) -> None:
    config(o, "BEEGRID_OTLP_ENDPOINT")["BEEGRID_OTLP_ENDPOINT"] = "http://tempo.observability:4317/v1/traces"


def another_database(o: list[Yaml]) -> None:
    entry = next(each for each in container(o, "cases")["env"] if each["name"] == "BEEGRID_POSTGRES_DSN")
    entry["value"] = entry["value"].replace(":5432", ":6432")


def any_port(o: list[Yaml]) -> None:
    entries = container(o, "notifications")["env"]
    entries.remove(next(each for each in entries if each["name"] == "BEEGRID_WEBHOOK_PORTS"))


def more_ports(o: list[Yaml]) -> None:
    entries = container(o, "notifications")["env"]
    next(each for each in entries if each["name"] == "BEEGRID_WEBHOOK_PORTS")["value"] = "[443, 8443]"


def mail_without_a_way(o: list[Yaml]) -> None:
    reference = {"secretKeyRef": {"name": "beegrid-mail-gateway", "key": "url"}}
    container(o, "notifications")["env"].append({"name": "BEEGRID_MAIL_GATEWAY", "valueFrom": reference})


def other_callers(o: list[Yaml]) -> None:
    peers = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][1]["networkPolicyPeers"] = peers


HARM: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (another_way, "NetworkPolicy/intake-egress-outside: a way that networks.yaml doesn't name"),
    (by_hand, "NetworkPolicy/all: a way that networks.yaml doesn't name"),
    (shut, "NetworkPolicy/postgres-egress-outside: named in networks.yaml, and not in the manifests"),
    (keys_from_afar, "https://id.example.org/jwks.json, and networks.yaml opens [] of identity-provider"),
    (store_on_another_port, "https://s3.example.org:9000, and networks.yaml opens [443] of object-store"),
    (backups_on_another_port, "https://s3.example.org:9000, and networks.yaml opens [443] of backup-store"),
    (traces_elsewhere, "BEEGRID_OTLP_ENDPOINT is at tempo.tracing, and the way leads to observability"),
    (traces_on_another_port, "BEEGRID_OTLP_ENDPOINT has no way to traces on port 4317"),
    (another_database, "StatefulSet/cases: BEEGRID_POSTGRES_DSN has no way to postgres on port 6432"),
    (any_port, "BEEGRID_WEBHOOK_PORTS says nothing, networks.yaml otherwise"),
    (more_ports, "BEEGRID_WEBHOOK_PORTS says [443, 8443], networks.yaml otherwise"),
    (mail_without_a_way, "BEEGRID_MAIL_GATEWAY is set, and networks.yaml opens no way for it"),
    (other_callers, "listener outside admits ['203.0.113.0/24'], networks.yaml ['0.0.0.0/0', '::/0']"),
]


@pytest.mark.parametrize(("harm", "finding"), HARM, ids=[harm.__name__ for harm, _ in HARM])
def test_manifests_that_differ_from_the_declaration_are_found(
    production: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(production)
    found = networks.check(production, ROOT, "production")
    assert any(finding in sentence for sentence in found), found


UNUSED: list[tuple[dict[str, Any], str]] = [
    ({"identity_provider": {"cidrs": ["198.51.100.1/32"], "ports": [443]}}, "identity-provider: named in"),
    ({"mail_server": {"cidrs": ["198.51.100.2/32"], "ports": [465]}}, "BEEGRID_MAIL_GATEWAY says nothing"),
    ({"outbound_proxy": {"cidrs": ["198.51.100.3/32"], "ports": [3128]}}, "BEEGRID_OUTBOUND_PROXY says nothing"),
    ({"webhooks": {"ports": [443], "private": ["10.20.0.0/24"], "public": True}, "cluster": ["10.244.0.0/16"],
      "api_server": {"cidrs": ["192.0.2.1/32"], "ports": [443]}}, "BEEGRID_WEBHOOK_NETWORKS_ALLOWED says nothing"),
    ({"webhooks": {}}, "webhooks have no way"),
    ({"companies": []}, "listener outside admits ['0.0.0.0/0', '::/0'], networks.yaml []"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "finding"), UNUSED, ids=[finding.split()[0] for _, finding in UNUSED])
def test_a_declaration_that_nothing_uses_is_found(production: list[Yaml], more: dict[str, Any], finding: str) -> None:
    assert any(finding in sentence for sentence in find(production, **more)), find(production, **more)


def test_ways_for_what_isn_t_there_are_found(kind: list[Yaml]) -> None:
    said = outside.Networks.model_validate(named())
    found = [*networks.stores(kind, said), *networks.partners(kind, said)]
    assert "object-store: named in networks.yaml, and photos go to http://object-store:3900" in found
    assert "backup-store: named in networks.yaml, and nothing is backed up" in found
    assert "Kafka/beegrid: networks.yaml names companies, and there is no listener for them" in found


def test_an_overlay_that_names_nothing_is_found(tmp_path: Path, kind: list[Yaml]) -> None:
    (found,) = networks.check(kind, tmp_path, "kind")
    assert "an overlay names its networks" in found


WIDE: list[tuple[dict[str, Any], str]] = [
    ({"object_store": {"cidrs": ["0.0.0.0/0"], "ports": [443]}}, "is wider than one party's addresses"),
    ({"mail_server": {"cidrs": ["192.0.0.0/8"], "ports": [465]}}, "is wider than one party's addresses"),
    ({"backup_store": {"cidrs": ["192.0.2.0/28"], "ports": [443]}}, "has the cluster's own addresses in it"),
    ({"object_store": {"cidrs": ["10.96.0.1/32"], "ports": [443]}}, "has the cluster's own addresses in it"),
    ({"webhooks": {"ports": [443], "private": ["10.244.3.0/24"]}}, "has the cluster's own addresses in it"),
    ({"webhooks": {"ports": [8443]}}, "group bots are at public hosts, on port 443"),
    ({"object_store": {"cidrs": ["198.51.100.1/32"]}}, "a party has addresses or pods, and ports"),
    ({"object_store": {"namespace": "minio", "ports": [9000]}}, "by namespace and labels, both"),
    ({"object_stores": {}}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(
    ("more", "finding"), WIDE, ids=[f"{next(iter(more))}-{finding[:20]}" for more, finding in WIDE]
)
def test_too_wide_a_declaration_is_refused(tmp_path: Path, more: dict[str, Any], finding: str) -> None:
    (tmp_path / "networks.yaml").write_text(yaml.safe_dump(named(**more)))
    with pytest.raises(ValueError, match=finding):
        outside.read(tmp_path / "networks.yaml")


def test_nobody_but_whoever_must_goes_to_addresses_that_others_choose(rendered: dict[str, list[Yaml]]) -> None:
    """Only notifications sends to any public host; nobody at all to a private network that isn't named."""
    for objects in rendered.values():
        wide = {
            policy["metadata"]["name"]
            for policy in objects
            if policy["kind"] == "NetworkPolicy"
            for rule in policy["spec"].get("egress", ())
            for peer in rule["to"]
            if "ipBlock" in peer and ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen < 16
        }
        assert wide == {"notifications-egress-outside"}


ADDRESSES = (
    "1.1.1.1", "223.5.5.5", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.2.1",
    "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "2400:3200::1", "2606:4700::1111", "2001:4860:4860::8888", "2001:db8::1", "2001::1", "3fff::1", "fd00::1",
    "fe80::1", "ff02::1", "::1", "64:ff9b::101:101", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_guard_and_the_network_refuse_the_same(address: str) -> None:
    (party,) = [outside.public_hosts(())]
    where = ipaddress.ip_address(address)
    opened = any(
        where in ipaddress.ip_network(block) and not any(where in ipaddress.ip_network(one) for one in but)
        for block, but in party.outside
    )
    guard = Guard(http_allowed=False, hosts=(), networks_allowed=(), ports=(443,))
    try:
        guard.check(f"https://[{address}]/hook" if where.version == 6 else f"https://{address}/hook")
        allowed = True
    except Forbidden:
        allowed = False
    assert opened == allowed


def test_the_cluster_s_own_public_addresses_are_no_public_hosts() -> None:
    own = [ipaddress.ip_network(one) for one in ("2400:3200:1::/48", "123.45.0.0/16")]
    blocks = dict(outside.public_hosts(own).outside)
    assert "2400:3200:1::/48" in blocks["2000::/3"]
    assert "123.45.0.0/16" in blocks["0.0.0.0/0"]
    assert "64:ff9b::7b2d:0/112" in blocks["64:ff9b::/96"]


def test_what_is_named_becomes_ways_and_settings_alike() -> None:
    said = outside.Networks.model_validate(
        named(
            identity_provider={"namespace": "keycloak", "pods": {"app": "keycloak"}, "ports": [8443]},
            mail_server={"cidrs": ["198.51.100.2/32"], "ports": [465]},
            webhooks={"ports": [443, 8443], "private": ["172.20.0.0/24"]},
        )
    )
    found = {(way.source.name, way.target.name, way.ports) for way in outside.ways(said, service_names())}
    assert ("services", "identity-provider", (8443,)) in found
    assert ("notifications", "mail-server", (465,)) in found
    assert ("notifications", "public hosts", (443, 8443)) in found
    assert ("notifications", "private receivers", (443, 8443)) in found
    assert not {source for source, target, _ in found if target == "mail-server"} - {"notifications"}
    shown = {one["name"]: one.get("value", "a Secret") for one in outside.settings(said)}
    assert shown == {
        "BEEGRID_WEBHOOK_PORTS": "[443, 8443]",
        "BEEGRID_WEBHOOK_NETWORKS_ALLOWED": '["172.20.0.0/24"]',
        "BEEGRID_MAIL_GATEWAY": "a Secret",
    }
    (policy,) = [
        one for one in outside.policies(said, service_names()) if one["metadata"]["name"] == "services-egress-outside"
    ]
    assert policy["spec"]["egress"][0]["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keycloak"}},
            "podSelector": {"matchLabels": {"app": "keycloak"}},
        }
    ]


def test_a_list_in_a_variable_is_read_as_the_service_reads_it(production: list[Yaml]) -> None:
    entry = next(one for one in container(production, "notifications")["env"] if one["name"] == "BEEGRID_WEBHOOK_PORTS")
    entry["value"] = "443"
    (found,) = variables.of_manifests(production)
    assert "BEEGRID_WEBHOOK_PORTS: Input should be a valid tuple" in found


def test_code_and_settings_lead_nowhere_else() -> None:
    assert leaving.check(ROOT) == []


def test_code_that_speaks_with_others_is_found(house: Path) -> None:
    write(house / "services/cases/usecases.py", "import httpx\n")
    write(house / "services/points/domain/rules.py", "from urllib.request import urlopen\n")
    write(house / "services/rewards/usecases/x.py", 'NAME = "apprise.plugins.email"\n')
    (house / "services/intake/store/objects.py").write_text('"""Nothing."""\n')
    found = leaving.check(house)
    assert "services/cases/usecases.py: imports httpx, and services/cases/about.py declares no public hosts" in found
    assert "services/points/domain/rules.py: imports urllib.request, of which no network way is known" in found
    assert any("services/rewards/usecases/x.py: imports apprise, and" in sentence for sentence in found)
    assert "services/intake/about.py: declares object store, and nothing of it imports obstore" in found


def test_a_setting_that_leads_somewhere_unknown_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kit(KitSettings):
        audit_url: str = Field("")

    class Own(KitSettings):
        map_endpoint: str = Field("")
        mail_gateway: str = Field("")

    monkeypatch.setattr(leaving, "KitSettings", Kit)
    (found,) = leaving.kit_settings()
    assert found == "shared/kit/settings.py: audit_url leads somewhere, and no network way is known for it"
    monkeypatch.setattr(leaving, "KitSettings", KitSettings)
    monkeypatch.setattr(leaving, "settings_class", lambda name: Own if name == "cases" else KitSettings)
    assert list(leaving.own_settings()) == [
        "services/cases/settings.py: map_endpoint leads somewhere, and no network way is known for it",
        "services/cases/about.py: mail server isn't declared, and the settings have mail_gateway",
    ]


def test_a_service_that_declares_a_way_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = outside.Networks.model_validate(named())
    changed = replace(about("cases"), needs=about("intake").needs)
    monkeypatch.setattr(outside, "about", lambda name: changed if name == "cases" else about(name))
    found = {way.source.name for way in outside.ways(said, service_names()) if way.target.name == "object-store"}
    assert found == {"cases", "intake", network.TOOLBOX.name}
    assert list(given.declared()) == []
