"""The rendered manifests keep every rule, and every rule bites."""

import copy
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube import network, plan, routes, secrets
from shared.devtools.kube_check import house, kafka_names, networks, secret_names, variables, ways
from shared.devtools.kube_check.render import Yaml
from shared.kit.proxies import Proxies
from shared.provision.services import service_names
from tests.architecture.support.objects import container, one, pod


def test_both_overlays_are_there_and_keep_every_rule(rendered: dict[str, list[Yaml]]) -> None:
    assert {"kind", "production"} <= rendered.keys()
    for name, objects in rendered.items():
        assert house.check(objects) == []
        assert ways.check(objects, ROOT) == []
        assert networks.check(objects, ROOT, name.split()[0]) == []
        assert variables.of_manifests(objects) == []
        assert secret_names.check(objects, ROOT) == []
        assert kafka_names.check(objects) == []


def no_probe(o: list[Yaml]) -> None:
    del container(o, "intake")["livenessProbe"]


def same_probe(o: list[Yaml]) -> None:
    container(o, "intake")["livenessProbe"]["httpGet"]["path"] = "/readyz"


def anybody(o: list[Yaml]) -> None:
    del pod(o, "points")["securityContext"]["runAsUser"]


def linked(o: list[Yaml]) -> None:
    del pod(o, "setup")["enableServiceLinks"]


def unbounded(o: list[Yaml]) -> None:
    pod(o, "routing")["volumes"][0]["emptyDir"] = {}


def short_grace(o: list[Yaml]) -> None:
    pod(o, "routing")["terminationGracePeriodSeconds"] = 30


def no_drain(o: list[Yaml]) -> None:
    one(o, "ConfigMap", "beegrid")["data"]["BEEGRID_DRAIN_S"] = "1"


def gap_while_rolling(o: list[Yaml]) -> None:
    one(o, "Deployment", "routing")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = 1


def blocking_budget(o: list[Yaml]) -> None:
    del one(o, "PodDisruptionBudget", "rewards")["spec"]["unhealthyPodEvictionPolicy"]


def no_spread(o: list[Yaml]) -> None:
    pod(o, "rewards")["topologySpreadConstraints"] = []


def too_many(o: list[Yaml]) -> None:
    one(o, "ScaledObject", "routing")["spec"]["maxReplicaCount"] = 7


def unknown_topic(o: list[Yaml]) -> None:
    one(o, "ScaledObject", "routing")["spec"]["triggers"][0]["metadata"]["topic"] = "beegrid.gone.v1"


def no_fallback(o: list[Yaml]) -> None:
    del one(o, "ScaledObject", "routing")["spec"]["fallback"]


def few_connections(o: list[Yaml]) -> None:
    one(o, "Cluster", "beegrid-postgres")["spec"]["postgresql"]["parameters"]["max_connections"] = "100"


def no_user(o: list[Yaml]) -> None:
    o.remove(one(o, "KafkaUser", "cases"))


def tool(o: list[Yaml]) -> None:
    container(o, "cases")["args"] = ["shared.devtools.identity", "/tmp"]


def tools_image(o: list[Yaml]) -> None:
    container(o, "cases")["image"] = "registry/beegrid-dev:0.1.0"


def unlabelled(o: list[Yaml]) -> None:
    del one(o, "Cluster", "beegrid-postgres")["metadata"]["labels"]


def slow_to_be_missed(o: list[Yaml]) -> None:
    container(o, "cases")["env"].append({"name": "BEEGRID_KAFKA_SESSION_MS", "value": "45000"})


def prunable(o: list[Yaml]) -> None:
    del one(o, "Cluster", "beegrid-postgres")["metadata"]["annotations"]


def nobody_s_topic(o: list[Yaml]) -> None:
    del one(o, "KafkaTopic", "beegrid.inbound.suda.reports.v1.dlq")["metadata"]["labels"]["beegrid.dev/company"]


def nobody_s_user(o: list[Yaml]) -> None:
    one(o, "KafkaUser", "system-dispatch-center")["metadata"]["labels"]["beegrid.dev/system"] = "dispatch"


HOUSE: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (same_probe, "three questions"),
    (no_probe, "three questions"),
    (anybody, "must run as a numbered user"),
    (linked, "enableServiceLinks"),
    (unbounded, "needs a sizeLimit"),
    (short_grace, "grace 30 s isn't longer than the 55 s"),
    (no_drain, "readiness takes 6 s"),
    (gap_while_rolling, "maxUnavailable must be 0"),
    (blocking_budget, "AlwaysAllow"),
    (no_spread, "matchLabelKeys"),
    (too_many, "maxReplicaCount 7 > 6 partitions"),
    (unknown_topic, "no KafkaTopic beegrid.gone.v1"),
    (no_fallback, "fallback"),
    (few_connections, "max_connections 100"),
    (tool, "cases: service: a cluster has no tools"),
    (tools_image, "cases: service: a cluster has no tools"),
    (no_user, "KafkaUser/cases: missing"),
    (unlabelled, "Cluster/beegrid-postgres: has no label app.kubernetes.io/part-of=beegrid"),
    (prunable, "Cluster/beegrid-postgres: may be pruned, without argocd.argoproj.io/sync-options"),
    (nobody_s_topic, "inbound.suda.reports.v1.dlq: has no label beegrid.dev/company=suda"),
    (nobody_s_user, "KafkaUser/system-dispatch-center: has no label beegrid.dev/system=dispatch-center"),
    (slow_to_be_missed, "Deployment/cases: 45000 ms of idle partitions after each death, and no static member"),
]


@pytest.mark.parametrize(("harm", "finding"), HOUSE, ids=[harm.__name__ for harm, _ in HOUSE])
def test_a_careless_manifest_is_found(kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in house.check(kind)), house.check(kind)


def cluster(o: list[Yaml]) -> Yaml:
    return one(o, "Cluster", "beegrid-postgres")["spec"]  # type: ignore[no-any-return]  # YAML


def in_tree(o: list[Yaml]) -> None:
    cluster(o)["backup"] = {"barmanObjectStore": {"destinationPath": "s3://x"}}


def no_such_store(o: list[Yaml]) -> None:
    cluster(o)["plugins"][0]["parameters"]["barmanObjectName"] = "backups"


def no_archiver(o: list[Yaml]) -> None:
    cluster(o)["plugins"][0]["isWALArchiver"] = False


def other_method(o: list[Yaml]) -> None:
    one(o, "ScheduledBackup", "beegrid-postgres")["spec"]["method"] = "barmanObjectStore"


def heals_to_asynchronous(o: list[Yaml]) -> None:
    cluster(o)["minSyncReplicas"] = 1


def one_copy_is_enough(o: list[Yaml]) -> None:
    cluster(o)["postgresql"]["synchronous"]["dataDurability"] = "preferred"


def no_copy(o: list[Yaml]) -> None:
    del cluster(o)["postgresql"]["synchronous"]


def all_must_answer(o: list[Yaml]) -> None:
    cluster(o)["postgresql"]["synchronous"]["number"] = 2


def short_session(o: list[Yaml]) -> None:
    entries = container(o, "points")["env"]
    entries.remove(next(entry for entry in entries if entry["name"] == "BEEGRID_KAFKA_SESSION_MS"))


PRODUCTION: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (in_tree, "barmanObjectStore is gone with CloudNativePG 1.31"),
    (no_such_store, "WAL goes to ObjectStore backups, which isn't there"),
    (no_archiver, "an ObjectStore, and no plugin that archives WAL into it"),
    (other_method, "ScheduledBackup/beegrid-postgres: its method must be the plugin"),
    (heals_to_asynchronous, "minSyncReplicas goes on without a copy"),
    (one_copy_is_enough, "3 instances need synchronous.number, and dataDurability required"),
    (no_copy, "3 instances need synchronous.number"),
    (all_must_answer, "with one instance away no commit could be copied to 2 more"),
    (short_session, "StatefulSet/points: a static member with a session of 15000 ms, not 45000"),
]


@pytest.mark.parametrize(("harm", "finding"), PRODUCTION, ids=[harm.__name__ for harm, _ in PRODUCTION])
def test_a_careless_production_is_found(
    production: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(production)
    assert any(finding in sentence for sentence in house.check(production)), house.check(production)


def test_an_undeclared_way_is_found(kind: list[Yaml]) -> None:
    way = {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "cases"}}}], "ports": [{"port": 8080}]}
    policy = one(kind, "NetworkPolicy", "services-ingress")
    policy["spec"]["ingress"].append(way)
    found = ways.check(kind, ROOT)
    assert "NetworkPolicy/services-ingress: a way that shared/devtools/kube/network.py doesn't declare" in found
    assert "NetworkPolicy/services-ingress: declared, and not in the manifests" in found


def test_a_front_door_that_policies_shut_is_found(
    kind: list[Yaml], production: list[Yaml], monkeypatch: pytest.MonkeyPatch
) -> None:
    one(kind, "Gateway", "beegrid")["spec"]["gatewayClassName"] = "traefik"
    assert ways.check(kind, ROOT) == ["Gateway/beegrid: class traefik, and policies admit envoy-gateway-system only"]
    one(kind, "Gateway", "beegrid")["spec"]["gatewayClassName"] = "eg"
    one(kind, "Gateway", "beegrid")["metadata"]["name"] = "door"
    assert ways.check(kind, ROOT) == ["Gateway/door: policies admit the pods of beegrid only"]
    monkeypatch.setattr(network, "GATEWAY", replace(network.GATEWAY, namespace="gateway-system"))
    findings = ways.check(production, ROOT)
    assert "Gateway/beegrid: class eg, and policies admit gateway-system only" in findings


def peer_of(o: list[Yaml], port: int) -> Yaml:
    rules = one(o, "NetworkPolicy", "services-ingress")["spec"]["ingress"]
    return next(rule["from"][0] for rule in rules if rule["ports"][0]["port"] == port)


def whole_namespace(o: list[Yaml]) -> None:
    del peer_of(o, plan.PORT)["podSelector"]


def any_pod(o: list[Yaml]) -> None:
    peer_of(o, plan.METRICS_PORT)["podSelector"] = {}


def metrics_on_the_same_port(o: list[Yaml]) -> None:
    rules = one(o, "NetworkPolicy", "services-ingress")["spec"]["ingress"]
    next(rule for rule in rules if rule["ports"][0]["port"] == plan.METRICS_PORT)["ports"][0]["port"] = plan.PORT


def by_name_of_port(o: list[Yaml]) -> None:
    other = {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "x"}}}], "ports": [{"port": "http"}]}
    one(o, "NetworkPolicy", "services-ingress")["spec"]["ingress"].append(other)


def to_one_service(o: list[Yaml]) -> None:
    policy = copy.deepcopy(one(o, "NetworkPolicy", "services-ingress"))
    policy["metadata"]["name"] = "cases-ingress"
    policy["spec"] |= {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "cases"}}, "ingress": [{}]}
    o.append(policy)


def believing(text: str | None) -> Callable[[list[Yaml]], None]:
    def harm(o: list[Yaml]) -> None:
        del one(o, "ConfigMap", "beegrid")["data"]["BEEGRID_TRUSTED_PROXIES"]
        if text is not None:
            one(o, "ConfigMap", "beegrid")["data"]["BEEGRID_TRUSTED_PROXIES"] = text

    return harm


def metrics_elsewhere(o: list[Yaml]) -> None:
    one(o, "PodMonitor", "beegrid")["spec"]["podMetricsEndpoints"][0]["port"] = "http"


FORGED = "lets others than the front door come to port 8080, where 10.244.0.0/16 is believed"
TRUST: list[tuple[str, Callable[[list[Yaml]], None], str]] = [
    ("whole_namespace", whole_namespace, "services-ingress: lets in every pod of"),
    ("whole_namespace_forges", whole_namespace, FORGED),
    ("any_pod", any_pod, "services-ingress: lets in every pod of"),
    ("metrics_on_the_same_port", metrics_on_the_same_port, FORGED),
    ("by_name_of_port", by_name_of_port, FORGED),
    ("to_one_service", to_one_service, f"cases-ingress: {FORGED}"),
    ("unsaid", believing(None), "the overlay must set it"),
    ("all_private", believing("10.0.0.0/8"), "10.0.0.0/8 is wider than a cluster's pod network"),
    ("public", believing("10.1.0.0/16, 8.8.8.0/24"), "8.8.8.0/24 is wider than a cluster's pod network, or a public"),
    ("metrics_elsewhere", metrics_elsewhere, "asks on http, and policies open 9464 to it"),
]


@pytest.mark.parametrize(
    ("harm", "finding"), [(harm, finding) for _, harm, finding in TRUST], ids=[name for name, *_ in TRUST]
)
def test_a_caller_s_address_that_others_could_forge_is_found(
    kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in ways.check(kind, ROOT)), ways.check(kind, ROOT)


def test_policies_that_are_declared_too_wide_are_found(kind: list[Yaml], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PROMETHEUS", network.Party("monitoring", namespace="monitoring"))
    kind[:] = [one for one in kind if one["kind"] != "NetworkPolicy"] + network.policies()
    kind += network.object_store_policies(service_names(ROOT))
    found = ways.check(kind, ROOT)
    assert len(found) == 4, found  # services, Postgres, Kafka and its own operators
    assert all("lets in every pod of" in sentence for sentence in found)


def test_nobody_is_believed_until_an_operator_says_who(production: list[Yaml]) -> None:
    believed = one(production, "ConfigMap", "beegrid")["data"]["BEEGRID_TRUSTED_PROXIES"]
    assert not any(Proxies.parse(believed).trusts(ip_address(one)) for one in ("10.244.0.1", "127.0.0.1", "172.16.0.1"))


def test_a_missing_default_deny_is_found(kind: list[Yaml]) -> None:
    kind.remove(one(kind, "NetworkPolicy", "default-deny"))
    assert ways.check(kind, ROOT) == ["NetworkPolicy/default-deny: declared, and not in the manifests"]


def test_an_address_that_the_gateway_would_not_find_is_found(kind: list[Yaml]) -> None:
    # Gateway API's prefix /v1/cases doesn't take /v1/cases:transition, Caddy's /v1/cases* does
    rules = one(kind, "HTTPRoute", "beegrid")["spec"]["rules"]
    for rule in rules:
        rule["matches"] = [match for match in rule["matches"] if match["path"]["value"] != "/v1/cases:transition"]
    assert ways.check(kind, ROOT) == ["HTTPRoute/beegrid: /v1/cases:transition of cases isn't routed to it"]


def test_the_route_table_knows_every_service() -> None:
    assert [route.service for route in routes.table(ROOT)] == [
        route.service for route in routes.table(ROOT) if route.prefixes
    ]
    assert {route.service for route in routes.table(ROOT)} == set(service_names(ROOT))


def test_a_front_door_that_writes_down_addresses_is_found(kind: list[Yaml]) -> None:
    setting = one(kind, "EnvoyProxy", "beegrid")["spec"]["telemetry"]["accessLog"]["settings"][0]
    setting["format"]["json"]["path"] = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
    assert ways.check(kind, ROOT) == ["Gateway/beegrid: logs %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"]
    del one(kind, "Gateway", "beegrid")["spec"]["infrastructure"]
    assert ways.check(kind, ROOT) == ["Gateway/beegrid: logs in Envoy's own format, with every request's whole address"]


def test_no_label_that_prunes_the_suite_takes_what_is_made_once(rendered: dict[str, list[Yaml]]) -> None:
    """`kubectl apply --prune -l` takes what was applied and has a label of the manifests; without the sealing key all
    that it seals is lost."""
    labels = {item for objects in rendered.values() for o in objects for item in o["metadata"]["labels"].items()}
    fresh = [secrets.manifest(name, data) for name, data in {**secrets.made_here(), **secrets.object_store()}.items()]
    assert "beegrid-sealing" in {made["metadata"]["name"] for made in fresh}
    for made in fresh:
        assert not labels & made["metadata"]["labels"].items()
        assert plan.KEPT.items() <= made["metadata"]["annotations"].items()
    readme = (ROOT / "k8s/README.md").read_text(encoding="utf-8")
    piped = [line for line in readme.splitlines() if "kube.secrets" in line and "kubectl" in line]
    assert piped
    assert all("kubectl create -f " in line or "apply --server-side" in line for line in piped)
