"""Kafka and Postgres of the overlay `small`, as its files say: TLS by our own authority, users by the set-up job."""

import os
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from confluent_kafka import KafkaException

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.kafka_files import classpath, find_java
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.postgres import start_postgres
from shared.devtools.infra.watchdog import Guard
from shared.devtools.kube import small_secrets
from shared.devtools.kube.plan import KAFKA_ADMIN
from shared.provision.kafka import KafkaAdmin, connect_admin, scram_users
from shared.provision.services import service_names
from shared.provision.setup import SetupSettings, set_up

SMALL = ROOT / "k8s/overlays/small"
HERE = "localhost"
PROGRAM = """\
#!/bin/sh
exec {java} -Xmx384m -XX:TieredStopAtLevel=1 -cp {jars} {main} "$@"
"""


@dataclass(frozen=True)
class Broker:
    """A broker that start.sh has started; `ca` is the authority's certificate."""

    bootstrap: str
    password: str
    ca: Path


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    home = tmp_path_factory.mktemp("small-kafka")
    shutil.copytree(SMALL / "kafka", home / "config")
    for name in ("bin", "data", "server"):
        (home / name).mkdir()
    made = small_secrets.certificates(HERE)
    (home / "server/server.pem").write_text(made["beegrid-kafka-server"]["server.pem"])
    ca = home / "ca.crt"
    ca.write_text(made["beegrid-cluster-ca-cert"]["ca.crt"])
    java, jars = find_java(), classpath()
    for name, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
        (home / "bin" / name).write_text(PROGRAM.format(java=java, jars=jars, main=main))
        (home / "bin" / name).chmod(0o755)
    # the pod's places and names are those of this machine here, and nothing else is changed
    ports = {port: str(free_port()) for port in ("9092", "9093", "9094")}
    places = {
        "/opt/kafka/bin": f"{home}/bin",
        "/opt/beegrid": f"{home}/config",
        "/etc/beegrid/server": f"{home}/server",
        "/etc/beegrid/kafka/ca.crt": str(ca),
        "/var/lib/kafka/data": f"{home}/data",
        "/tmp/server.properties": f"{home}/server.properties",
        "beegrid-kafka-bootstrap": HERE,
        **ports,
    }
    for name in ("start.sh", "server.properties"):
        text = (home / "config" / name).read_text()
        for was, now in places.items():
            text = text.replace(was, now)
        (home / "config" / name).write_text(text)
    password = "administrator-of-small"
    words = {
        "KAFKA_ADMIN_PASSWORD": password,
        "KAFKA_CLUSTER_ID": small_secrets.cluster_id(),
        "KAFKA_PUBLIC_HOST": HERE,
    }
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            ["bash", str(home / "config/start.sh")], env={**os.environ, **words}, stdout=log, stderr=log
        )
        try:
            admin = KafkaAdmin(KAFKA_ADMIN, password, "SASL_SSL", str(ca))
            found = Broker(f"{HERE}:{ports['9093']}", password, ca)
            connect_admin(found.bootstrap, admin, timeout_s=120)
            yield found
        finally:
            server.terminate()
            server.wait(timeout=60)


def test_the_set_up_job_makes_users_who_come_in_by_tls(broker: Broker, tmp_path: Path) -> None:
    for service in service_names():
        (tmp_path / f"{service}_kafka").write_text(f"{service}-kafka")
    settings = SetupSettings(
        postgres_admin_url=None,
        kafka_bootstrap=broker.bootstrap,
        kafka_admin_user=KAFKA_ADMIN,
        kafka_admin_password=broker.password,
        kafka_security="SASL_SSL",
        kafka_ca_file=str(broker.ca),
        passwords_folder=tmp_path,
    )
    lines: list[str] = []
    set_up(settings, {}, lines.append)
    assert not lines[-1].startswith("Kafka: 0 topics")
    client = connect_admin(broker.bootstrap, KafkaAdmin(KAFKA_ADMIN, broker.password, "SASL_SSL", str(broker.ca)))
    assert scram_users(client) == {KAFKA_ADMIN, *service_names()}
    cases = connect_admin(broker.bootstrap, KafkaAdmin("cases", "cases-kafka", "SASL_SSL", str(broker.ca)))
    topics = cases.list_topics(timeout=30).topics
    assert "beegrid.cases.case-changed.v1" in topics
    assert "beegrid.points.account-changed.v1" not in topics


def test_nobody_comes_in_without_tls_or_by_another_authority(broker: Broker, tmp_path: Path) -> None:
    plain = KafkaAdmin(KAFKA_ADMIN, broker.password, "SASL_PLAINTEXT")
    other = tmp_path / "other.crt"
    other.write_text(small_secrets.certificates(HERE)["beegrid-cluster-ca-cert"]["ca.crt"])
    for admin in (plain, KafkaAdmin(KAFKA_ADMIN, broker.password, "SASL_SSL", str(other))):
        with pytest.raises((KafkaException, TimeoutError)):
            connect_admin(broker.bootstrap, admin, timeout_s=5)


def test_each_server_shows_a_certificate_by_the_names_that_services_call_it(tmp_path: Path) -> None:
    made = small_secrets.certificates("kafka.district.cn")
    names = {
        "beegrid-kafka-server": ("beegrid-kafka-bootstrap", "beegrid-kafka-bootstrap.beegrid.svc", "kafka.district.cn"),
        "beegrid-postgres-server": ("beegrid-postgres-rw", "beegrid-postgres-rw.beegrid.svc"),
    }
    for secret, ca in (
        ("beegrid-kafka-server", "beegrid-cluster-ca-cert"),
        ("beegrid-postgres-server", "beegrid-postgres-ca"),
    ):
        pem = tmp_path / "server.pem"
        pem.write_text("".join(made[secret].values()))
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(pem)
        client = ssl.create_default_context(cadata=made[ca]["ca.crt"])
        for name in names[secret]:
            assert shaken(client, server, name) is None
        assert "Hostname mismatch" in str(shaken(client, server, "other.beegrid.svc"))
        stranger = ssl.create_default_context(cadata=small_secrets.certificates(HERE)[ca]["ca.crt"])
        assert "certificate verify failed" in str(shaken(stranger, server, names[secret][0]))


def shaken(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> ssl.SSLError | None:
    """A handshake in memory; why the client refuses it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error
    return None


@pytest.fixture(scope="module")
def postgres_port() -> Iterator[int]:
    """With all of the overlay's settings but TLS, which the server of tests is built without."""
    objects = yaml.safe_load_all((SMALL / "postgres.yaml").read_text())
    server = next(one for one in objects if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    settings = dict(word.split("=", 1) for word in server["args"] if word != "-c")
    assert settings.pop("ssl") == "on"
    settings = {name: value for name, value in settings.items() if not name.startswith("ssl_")}
    guard = Guard()
    try:
        file = guard.temp_folder("small-postgres", 0o711) / "pg_hba.conf"
        file.write_text((SMALL / "postgres/pg_hba.conf").read_text())
        file.chmod(0o644)
        yield start_postgres(guard, settings={**settings, "hba_file": str(file)}).port
    finally:
        guard.close()


def test_postgres_refuses_who_comes_without_tls(postgres_port: int) -> None:
    words = b"user\0postgres\0database\0postgres\0\0"
    hello = struct.pack("!ii", 8 + len(words), 196608) + words
    answers = {}
    for address in ("127.0.0.1", "127.0.0.2"):
        with socket.create_connection(("127.0.0.1", postgres_port), timeout=30, source_address=(address, 0)) as plain:
            plain.sendall(hello)
            answers[address] = plain.recv(1000)
    assert answers["127.0.0.1"][:1] == b"R"  # the probe's own address: asked for a password
    assert answers["127.0.0.2"][:1] == b"E"
    assert b"no pg_hba.conf entry" in answers["127.0.0.2"]
