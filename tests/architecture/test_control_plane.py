"""What a real API server says of the manifests; without one: how answers are read, whose suite is left alone."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from shared.devtools import check
from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import live, operators, rolled
from shared.devtools.kube_check.render import Yaml, of_kind
from shared.devtools.kube_check.server import ClusterError, Server
from tests.architecture.support.objects import one, pod

Harm = Callable[[list[Yaml]], None]


@dataclass(frozen=True)
class Answering(Server):
    """A server that answers what it is given, and remembers what it was asked."""

    kubeconfig: Path = Path("none")
    answers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def run(self, *words: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        self.asked.append(" ".join(words))
        answer = self.answers.get(words[0])
        return subprocess.CompletedProcess(words, 0 if answer is not None else 1, answer or "", "no such thing")


def test_without_a_control_plane_it_says_so_and_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(live.VARIABLE, raising=False)
    monkeypatch.setenv("KUBECONFIG", "/a/city's")
    assert live.check(ROOT) == []
    said = capsys.readouterr().err
    assert said.startswith("skipped: the manifests have met no API server")
    assert live.VARIABLE in said
    assert "KWOK" in said
    shown = check.skipped(subprocess.CompletedProcess([], 0, "", f"loading\n{said}done\n  not this\n"))
    assert shown == said.splitlines()


def test_a_namespace_that_is_somebody_s_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Answering(answers={"get": json.dumps({"metadata": {"name": "beegrid", "annotations": {}}}), "delete": ""})
    monkeypatch.setenv(live.VARIABLE, "/a/kubeconfig")
    monkeypatch.setattr(live, "Server", lambda _: theirs)
    (said,) = live.check(ROOT)
    assert "a namespace beegrid that this check has not made: nothing was done" in said
    assert not [words for words in theirs.asked if not words.startswith("get ")]


def test_what_a_server_does_not_keep_is_named() -> None:
    sent = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 1, "prt": 2}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"type": "ClusterIP"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": {}},
    ]
    there = {
        "Service/a": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "uid": "1"},
            "spec": {"ports": [{"port": 1, "protocol": "TCP"}]},
        },
        "Service/b": {**sent[1], "spec": {"type": "NodePort"}},
    }
    assert list(live.kept(sent, there)) == [
        "Service/a: .spec.ports[0].prt is lost: the server doesn't know it",
        "Service/b: .spec.type: 'ClusterIP' was sent, the server has 'NodePort'",
        "Service/c: applied, and not there",
    ]


def test_a_run_that_is_ended_says_where_it_was_and_removes_its_namespace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*_: object) -> list[str]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    ours = Answering(answers={"delete": ""})
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv(live.VARIABLE, "/a/kubeconfig")
    monkeypatch.setattr(live, "Server", lambda _: ours)
    monkeypatch.setattr(live, "overlay", ended)
    with pytest.raises(KeyboardInterrupt):
        live.check(ROOT)
    assert "control plane: kind …" in capsys.readouterr().err
    assert ours.asked[-1].startswith("delete namespace beegrid")
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_plain_apply_s_record_of_itself_is_no_change() -> None:
    diff = """\
--- /tmp/LIVE/apps.v1.Deployment
+++ /tmp/MERGED/apps.v1.Deployment
     kubectl.kubernetes.io/last-applied-configuration: |
-      {"apiVersion":"apps/v1","metadata":{"annotations":{}}}
+      {"apiVersion":"apps/v1","metadata":{}}
-  generation: 1
+  generation: 2
"""
    assert live.changed(diff) == []
    assert live.changed(f"{diff}-  replicas: 1\n+  replicas: 2\n") == ["-  replicas: 1", "+  replicas: 2"]


def test_the_namespace_is_marked_from_its_first_moment() -> None:
    (namespace,) = live.marked([{"kind": "Namespace", "metadata": {"name": "beegrid", "annotations": {"a": "b"}}}])
    assert namespace["metadata"]["annotations"] == {"a": "b", live.MARK: "true"}


def test_a_command_that_fails_is_reported_in_the_server_s_words() -> None:
    with pytest.raises(ClusterError, match="kubectl get nodes: no such thing"):
        Answering().ask("get", "nodes")


def empty_exception(o: list[Yaml]) -> None:
    policy = one(o, "NetworkPolicy", "default-deny")["spec"]
    policy["egress"] = [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": []}}]}]


def misspelt(o: list[Yaml]) -> None:
    pod(o, "intake")["containers"][0]["livenesProbe"] = {}


def root_in_kafka(o: list[Yaml]) -> None:
    del one(o, "KafkaNodePool", "nodes")["spec"]["template"]["pod"]["securityContext"]["runAsNonRoot"]


def root_in_a_service(o: list[Yaml]) -> None:
    del pod(o, "cases")["securityContext"]["runAsNonRoot"]


def field_of_another_version(o: list[Yaml]) -> None:
    (source,) = [entry["valueFrom"]["fieldRef"] for entry in pod(o, "cases")["containers"][0]["env"] if by_field(entry)]
    del source["apiVersion"]


def by_field(entry: Yaml) -> bool:
    return "fieldRef" in entry.get("valueFrom", {})


def one_zone(o: list[Yaml]) -> None:
    one(o, "KafkaNodePool", "nodes")["spec"]["template"]["pod"]["topologySpreadConstraints"].pop()


def postgres_in_one_zone(o: list[Yaml]) -> None:
    del one(o, "Cluster", "beegrid-postgres")["spec"]["topologySpreadConstraints"]


SEEDED: list[tuple[Harm, str]] = [
    (empty_exception, "networkpolicy.networking.k8s.io/default-deny configured"),
    (misspelt, "livenesProbe"),
    (root_in_kafka, "violates PodSecurity"),
    (root_in_a_service, "would violate PodSecurity"),
    (field_of_another_version, "server-side after a plain apply: error: Apply failed with 1 conflict"),
    (one_zone, "KafkaNodePool/nodes: only zones"),
    (postgres_in_one_zone, "Cluster/beegrid-postgres: only zones"),
]


@pytest.fixture
def server() -> Iterator[Server]:
    if not (named := os.environ.get(live.VARIABLE)):
        pytest.skip(live.HOW)
    found = Server(Path(named))
    live.ours(found)
    yield found
    live.removed(found)


@pytest.mark.parametrize(("harm", "said"), SEEDED, ids=[harm.__name__ for harm, _ in SEEDED])
def test_a_real_server_finds_it(server: Server, production: list[Yaml], harm: Harm, said: str) -> None:
    harm(production)
    found = live.overlay(server, production)
    assert any(said in sentence for sentence in found), found


def unwilling(o: list[Yaml]) -> None:
    budget = one(o, "PodDisruptionBudget", "cases")["spec"]
    del budget["maxUnavailable"]
    budget["minAvailable"] = "100%"


def only_by_hand(o: list[Yaml]) -> None:
    one(o, "StatefulSet", "points")["spec"]["updateStrategy"] = {"type": "OnDelete"}


def nowhere(o: list[Yaml]) -> None:
    pod(o, "routing")["nodeSelector"] = {"disk": "gold"}


def side_by_side(o: list[Yaml]) -> None:
    pod(o, "routing")["topologySpreadConstraints"] = []
    near = {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": "routing"}}, "topologyKey": operators.ZONE}
    pod(o, "routing")["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}


UNROLLED: list[tuple[Harm, str]] = [
    (unwilling, "violate the pod's disruption budget"),
    (only_by_hand, "first start: statefulset.apps/points: "),
    (nowhere, "first start: statefulset.apps/routing: "),
    (side_by_side, "scaled to 4: statefulset.apps/routing stands in "),
]


@pytest.mark.parametrize(("harm", "said"), UNROLLED, ids=[harm.__name__ for harm, _ in UNROLLED])
def test_what_stands_in_an_sre_s_way_is_found(
    server: Server, production: list[Yaml], monkeypatch: pytest.MonkeyPatch, harm: Harm, said: str
) -> None:
    monkeypatch.setattr(rolled, "READY_WITHIN_S", 20)
    monkeypatch.setattr(rolled, "EMPTY_WITHIN_S", 20)
    harm(production)
    known = [found for found in production if (live._group(found), found["kind"]) in server.kinds()]
    server.ask("create", "-f", "-", data=yaml.safe_dump_all(live.marked(of_kind(known, "Namespace"))))
    server.ask("apply", "-f", "-", data=yaml.safe_dump_all(known))
    found = list(rolled.check(server))
    assert any(said in sentence for sentence in found), found
