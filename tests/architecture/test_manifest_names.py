"""What the manifests and the documentation call by name is there, and every rule about it bites."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import commands, kafka_names, variables, ways
from shared.devtools.kube_check.render import Yaml
from shared.events.registry import public_topics
from tests.architecture.support.objects import container, one


def trigger(o: list[Yaml], name: str) -> Yaml:
    return one(o, "ScaledObject", name)["spec"]["triggers"][0]["metadata"]  # type: ignore[no-any-return]  # YAML


def short_name(o: list[Yaml]) -> None:
    trigger(o, "cases")["bootstrapServers"] = "beegrid-kafka-bootstrap:9093"


def no_listener(o: list[Yaml]) -> None:
    trigger(o, "cases")["bootstrapServers"] = "beegrid-kafka-bootstrap.beegrid.svc:9092"


def another_group(o: list[Yaml]) -> None:
    trigger(o, "cases")["consumerGroup"] = "cases.routing.report-routed.v1"


def another_topic(o: list[Yaml]) -> None:
    trigger(o, "cases")["topic"] = "beegrid.public.case-changed.v1"


def any_topic(o: list[Yaml]) -> None:
    del trigger(o, "cases")["topic"]


def never_committed(o: list[Yaml]) -> None:
    trigger(o, "cases")["scaleToZeroOnInvalidOffset"] = "false"


def protocol_unstated(o: list[Yaml]) -> None:
    del trigger(o, "cases")["version"]


def old_protocol(o: list[Yaml]) -> None:
    trigger(o, "cases")["version"] = "2.0.1"


def company_forgotten(o: list[Yaml]) -> None:
    one(o, "ScaledObject", "intake")["spec"]["triggers"].pop()


def only_company_forgotten(o: list[Yaml]) -> None:
    one(o, "ScaledObject", "riders")["spec"]["triggers"].pop(0)


def another_word(o: list[Yaml]) -> None:
    one(o, "ConfigMap", "beegrid-kafka-lag")["data"]["sasl"] = "SCRAM-SHA-512"


def another_cluster(o: list[Yaml]) -> None:
    one(o, "ConfigMap", "beegrid")["data"]["BEEGRID_KAFKA_BOOTSTRAP"] = "kafka:9092"


def renamed_cluster(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["metadata"]["name"] = "kafka"


def no_such_port(o: list[Yaml]) -> None:
    one(o, "PodMonitor", "beegrid")["spec"]["podMetricsEndpoints"][0]["port"] = "metric"


def no_port_of_postgres(o: list[Yaml]) -> None:
    one(o, "PodMonitor", "beegrid-postgres")["spec"]["podMetricsEndpoints"][0]["port"] = "http"


NAMES: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (short_name, "ScaledObject/cases: bootstrapServers beegrid-kafka-bootstrap:9093 must be one of"),
    (no_listener, "bootstrapServers beegrid-kafka-bootstrap.beegrid.svc:9092 must be one of"),
    (another_group, "cases has no group cases.routing.report-routed.v1"),
    (another_topic, "on beegrid.public.case-changed.v1"),
    (any_topic, "counts all topics while its group has committed nothing"),
    (never_committed, "all that was ever written counts"),
    (protocol_unstated, "version must be stated"),
    (old_protocol, "version must be stated, 2.1.0 or newer"),
    (company_forgotten, "ScaledObject/intake: no trigger for beegrid.intake.inbound.all.reports.v1 on"),
    (only_company_forgotten, "no trigger for beegrid.riders.inbound.all.riders.v1 on beegrid.inbound.suda.riders.v1"),
    (another_word, "TriggerAuthentication/beegrid-kafka-lag: sasl SCRAM-SHA-512 is none of"),
    (another_cluster, "BEEGRID_KAFKA_BOOTSTRAP kafka:9092 must be one of"),
    (renamed_cluster, "must be one of ['kafka-kafka-bootstrap.beegrid.svc:9093']"),
    (no_port_of_postgres, "PodMonitor/beegrid-postgres: Postgres' pods have no port http"),
    (no_such_port, "PodMonitor/beegrid: Deployment/cases has no port metric"),
]


@pytest.mark.parametrize(("harm", "finding"), NAMES, ids=[harm.__name__ for harm, _ in NAMES])
def test_a_wrong_name_is_found(kind: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str) -> None:
    harm(kind)
    assert any(finding in sentence for sentence in kafka_names.check(kind)), kafka_names.check(kind)


def no_way_in(o: list[Yaml]) -> None:
    del one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][1]


def no_tls(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][1]["tls"] = False


def no_name(o: list[Yaml]) -> None:
    del one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][1]["configuration"]


def shut_port(o: list[Yaml]) -> None:
    one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][1]["port"] = 9095


OUTSIDE: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (no_way_in, "Kafka/beegrid: no listener for companies and city systems"),
    (no_tls, "listener outside must have tls"),
    (no_name, "listener outside needs the name"),
    (shut_port, "policies admit port 9094, not 9095"),
]


@pytest.mark.parametrize(("harm", "finding"), OUTSIDE, ids=[harm.__name__ for harm, _ in OUTSIDE])
def test_a_cluster_that_companies_can_not_use_is_found(
    production: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(production)
    assert [sentence for sentence in kafka_names.check(production) if finding in sentence], kafka_names.check(
        production
    )


def test_a_city_system_reads_the_public_topics_and_nothing_else(kind: list[Yaml]) -> None:
    rights = one(kind, "KafkaUser", "system-dispatch-center")["spec"]["authorization"]["acls"]
    assert {(right["resource"]["type"], right["resource"]["name"], *right["operations"]) for right in rights} == {
        *(("topic", f"beegrid.{topic.name}", "Describe", "Read") for topic in public_topics()),
        ("group", "beegrid.system-dispatch-center.", "Read"),
    }


def shut_out(o: list[Yaml]) -> None:
    del one(o, "Kafka", "beegrid")["spec"]["kafka"]["listeners"][0]["networkPolicyPeers"][-1]


def no_super_user(o: list[Yaml]) -> None:
    del one(o, "Kafka", "beegrid")["spec"]["kafka"]["authorization"]["superUsers"]


def no_admin(o: list[Yaml]) -> None:
    o.remove(one(o, "KafkaUser", "beegrid-admin"))


def forgotten(o: list[Yaml]) -> None:
    o.remove(one(o, "Deployment", "toolbox"))


TOOLBOX: list[tuple[Callable[[list[Yaml]], None], str]] = [
    (shut_out, "listener clients doesn't admit the toolbox"),
    (no_super_user, "Kafka/beegrid: beegrid-admin must be among superUsers"),
    (no_admin, "KafkaUser/beegrid-admin: missing"),
    (forgotten, "KafkaUser/beegrid-admin: an administrator, and no toolbox that uses it"),
]


@pytest.mark.parametrize(("harm", "finding"), TOOLBOX, ids=[harm.__name__ for harm, _ in TOOLBOX])
def test_a_toolbox_without_its_administrator_is_found(
    toolbox: list[Yaml], harm: Callable[[list[Yaml]], None], finding: str
) -> None:
    harm(toolbox)
    assert any(finding in sentence for sentence in kafka_names.check(toolbox)), kafka_names.check(toolbox)


def test_the_toolbox_has_its_ways_and_is_no_part_of_production(production: list[Yaml], toolbox: list[Yaml]) -> None:
    # but for the addresses that it may reach while it is there: the overlay names them
    names = {o["metadata"]["name"] for o in production if "beegrid.dev/ways" not in o["metadata"].get("labels", {})}
    assert not [name for name in names if "toolbox" in name or name == "beegrid-admin"]
    image = one(production, "StatefulSet", "cases")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert container(toolbox, "toolbox")["image"] == image
    toolbox.remove(one(toolbox, "NetworkPolicy", "toolbox-postgres-ingress"))
    finding = "NetworkPolicy/toolbox-postgres-ingress: declared, and not in the manifests"
    assert ways.check(toolbox, ROOT) == [finding]


def test_the_toolbox_s_variables_are_those_that_the_commands_read(toolbox: list[Yaml]) -> None:
    text = "".join(file.read_text() for file in (ROOT / "shared/cli").rglob("*.py"))
    config = one(toolbox, "ConfigMap", "toolbox")["data"]
    entries = {entry["name"] for entry in container(toolbox, "toolbox")["env"]}
    named = {name for name in {*config, *entries} if name.startswith("BEEGRID_")}
    assert {name for name in named if name not in text} == set()
    config["BEEGRID_KAFKA_ADMIN"] = config.pop("BEEGRID_KAFKA_ADMIN_USER")
    assert variables.of_manifests(toolbox) == [
        "Deployment/toolbox: toolbox: BEEGRID_KAFKA_ADMIN is read by nothing in []"
    ]


def test_commands_in_the_documentation_name_what_is_there(rendered: dict[str, list[Yaml]]) -> None:
    assert commands.check(rendered["production"], ROOT) == []


COMMANDS = [
    ("    kubectl -n beegrid rollout undo deployment/intake", "production has no Deployment intake"),
    ("`kubectl -n beegrid logs\ndeployment/<service>`", "production has no Deployment <service>"),
    ("    kubectl -n beegrid rollout restart deployment", "services are of another kind than Deployment"),
    ("    kubectl -n beegrid scale statefulset/rewards --replicas=0", "KEDA undoes it"),
    ("    kubectl -n beegrid scale statefulset/<service> --replicas=4", "KEDA undoes it"),
    ("    kubectl -n beegrid delete job set-up --ignore-not-found", "production has no Job set-up"),
    ("    kubectl -n beegrid annotate scaledobject/reward a=b", "production has no ScaledObject reward"),
]


@pytest.mark.parametrize(("words", "finding"), COMMANDS, ids=[finding for _, finding in COMMANDS])
def test_a_command_that_can_not_work_is_found(
    rendered: dict[str, list[Yaml]], tmp_path: Path, words: str, finding: str
) -> None:
    for folder in ("docs/runbooks", "k8s"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "k8s/README.md").write_text("`kubectl -n beegrid get pods,scaledobjects`\n")
    (tmp_path / "docs/runbooks/Some.md").write_text(f"Do:\n\n{words}\n\nThen wait.\n")
    (found,) = commands.check(rendered["production"], tmp_path)
    assert found.startswith("docs/runbooks/Some.md: ")
    assert finding in found
