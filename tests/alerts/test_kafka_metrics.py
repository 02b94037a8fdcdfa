"""A real broker with a real JMX exporter and our rules exposes every metric of Kafka that an alert asks for."""

import os
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.kafka import Kafka, start_kafka
from shared.devtools.infra.paths import cache_folder
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.watchdog import Guard
from shared.devtools.rules_check import EXPORTERS

AGENT = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"
MANIFEST = "k8s/base/metrics.yaml"
# What a broker that is alone and well says.
WELL = {
    "kafka_server_replicamanager_underreplicatedpartitions": 0,
    "kafka_server_replicamanager_underminisrpartitioncount": 0,
    "kafka_controller_kafkacontroller_offlinepartitionscount": 0,
    "kafka_controller_kafkacontroller_activecontrollercount": 1,
    "kafka_controller_kafkacontroller_fencedbrokercount": 0,
    "kafka_log_logmanager_offlinelogdirectorycount": 0,
}


def agent() -> Path:
    """The exporter's jar, once from Maven Central, then from the cache."""
    import jgo  # slow to import

    try:
        jars = jgo.build(AGENT, cache_dir=cache_folder("kafka")).all_jars
    except Exception as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{AGENT} can't be had: {error!r}")
    return Path(next(jar for jar in jars if "jmx_prometheus_javaagent" in str(jar)))


def rules() -> str:
    """As Strimzi mounts them."""
    documents = yaml.safe_load_all((ROOT / MANIFEST).read_text(encoding="utf-8"))
    return str(next(one for one in documents if one["kind"] == "ConfigMap")["data"]["jmx.yaml"])


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """Values by name, as Prometheus gets them."""
    jar, folder, port = agent(), tmp_path_factory.mktemp("jmx"), free_port()
    (folder / "jmx.yaml").write_text(rules(), encoding="utf-8")
    guard = Guard()
    try:
        plain = start_kafka(guard)
        plain.stop()
        java, *rest = plain.spec.argv
        spec = replace(plain.spec, argv=[java, f"-javaagent:{jar}=127.0.0.1:{port}:{folder / 'jmx.yaml'}", *rest])
        broker = Kafka(spec, guard, plain.port, plain.admin_password)
        broker.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        broker.stop()
    finally:
        guard.close()
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


def test_every_metric_that_alerts_ask_of_kafka_is_there(exposed: dict[str, list[float]]) -> None:
    listed = yaml.safe_load((ROOT / EXPORTERS).read_text(encoding="utf-8"))["exporters"]
    wanted = {name for exporter in listed for name in exporter["metrics"] if name.startswith("kafka_")}
    assert wanted == WELL.keys()
    assert {name: exposed.get(name) for name in wanted} == {name: [value] for name, value in WELL.items()}


def test_a_scrape_is_small(exposed: dict[str, list[float]]) -> None:
    """Thousands of MBeans a broker has: what is looked up at each scrape is a handful."""
    assert 6 <= sum(len(values) for name, values in exposed.items() if name.startswith("kafka_")) < 60
