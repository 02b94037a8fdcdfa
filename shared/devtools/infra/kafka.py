"""Apache Kafka, one KRaft node with SCRAM users and ACLs on."""

import hashlib
import logging
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from confluent_kafka import KafkaException

from shared.provision.kafka import KafkaAdmin, connect_admin

from .errors import InfraError
from .kafka_files import class_archive, classpath, find_java
from .paths import Access, cache_folder, load_access, log_and_access, made_once
from .ports import answers, free_port
from .process import ManagedProcess, ServerSpec
from .watchdog import Guard

log = logging.getLogger(__name__)

ADMIN = "admin"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "CLIENTS",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": (
        "CLIENTS:SASL_PLAINTEXT,PROXIED:SASL_PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:SASL_PLAINTEXT"
    ),
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    # SCRAM users live in the controller's own log, so the controller itself can't use them.
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{ADMIN}",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "message.max.bytes": str(6 * 1024 * 1024),
    "replica.fetch.max.bytes": str(6 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
    # Half of the default heap otherwise.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.cleaner.threads": "1",
    # A broker that comes back after a crash must wait until its former session has run out (9 s by default).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
JVM = [
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
BRIEF = ["-XX:TieredStopAtLevel=1"]
"""Compile once and quickly: the second compiler takes a tenth of all cores for its first minutes, and pays only in a
broker that works for longer."""
LOG = [
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
]


class Kafka(ManagedProcess):
    """One Kafka broker. Clients use SASL_PLAINTEXT with SCRAM-SHA-512; `admin_user` is a super user.

    `proxied_port`: where a proxy finds the listener that advertises the proxy's address; None where there is none.
    `secure_port`: of the listener with TLS, 0 where there is none.
    """

    secure_port = 0

    def __init__(
        self, spec: ServerSpec, guard: Guard, port: int, password: str, proxied_port: int | None = None
    ) -> None:
        super().__init__(spec, guard)
        self.port = port
        self.proxied_port = proxied_port
        self.bootstrap = f"127.0.0.1:{port}"
        self.admin_user = ADMIN
        self.admin_password = password


def start_kafka(
    guard: Guard,
    state: Path | None = None,
    heap_mib: int = 512,
    proxy_port: int | None = None,
    *,
    brief: bool | None = None,
    chain: Path | None = None,
) -> Kafka:
    """Starts Kafka and returns when it answers the admin user (2–4 s; the first time ever 20–60 s for the jars).

    Without `state` the log vanishes with the run; with `state` log, ports and password stay. `proxy_port`: of a proxy
    on this machine; clients that come through it get its address, and so never leave it. `brief`: whether it lives
    for minutes only (None: where it keeps no state), and so compiles quickly once. `chain`: PEM of a key and its
    certificate, for one more listener with TLS, which reads it at each start. Raises InfraError.
    """
    java, jars = find_java(), classpath()
    archive = class_archive(java, jars)
    if not archive.exists():
        _make_archive(guard, java, jars, archive)
    classes = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
    log_file, access = log_and_access("kafka", guard.folder, state, 2)
    if state is None:
        home = guard.temp_folder("kafka")
        access.password = _copy_template(home, java, jars)
    else:
        home = state.resolve() / "kafka"
        home.mkdir(mode=0o700, exist_ok=True)
    port = access.ports[0]
    proxied = None if proxy_port is None else (free_port(), proxy_port)
    properties = _write_properties(home, access, proxied)
    secure_port = _listen_with_tls(properties, chain) if chain else 0
    if not (home / "log" / "meta.properties").exists():
        _format(java, jars, properties, access.password)
    flags = BRIEF if (state is None if brief is None else brief) else []
    machine = [java, f"-Xmx{heap_mib}m", f"-Xms{heap_mib // 2}m", *flags, *classes]
    spec = _spec("kafka", home, log_file, port, access.password, [*machine, *_arguments(home, jars)])
    server = Kafka(spec, guard, port, access.password, proxied[0] if proxied else None)
    server.secure_port = secure_port
    server.start()
    return server


def _listen_with_tls(properties: Path, chain: Path) -> int:
    """Add one more listener; returns its port."""
    port, name = free_port(), "listener.name.secure"
    lines = [
        f"{line},SECURE://127.0.0.1:{port}" if line.startswith(("listeners=", "advertised.listeners=")) else line
        for line in properties.read_text().splitlines()
    ]
    own = {
        f"{name}.ssl.keystore.type": "PEM",
        f"{name}.ssl.keystore.location": str(chain),
        f"{name}.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
    }
    properties.write_text("\n".join([*lines, *(f"{key}={value}" for key, value in own.items())]) + "\n")
    return port


def _spec(name: str, home: Path, log_file: Path, port: int, password: str, argv: Sequence[str]) -> ServerSpec:
    return ServerSpec(
        name=name,
        argv=argv,
        home=home,
        log=log_file,
        ready=lambda _pid: _ready(port, password),
        ready_timeout_s=120,
    )


def _arguments(home: Path, jars: str) -> list[str]:
    return [*JVM, *LOG, f"-Djava.io.tmpdir={home}", "-cp", jars, "kafka.Kafka", str(home / "server.properties")]


def _make_archive(guard: Guard, java: str, jars: str, archive: Path) -> None:
    """Runs a broker once that archives its loaded classes: later starts take 2.5 s less processor time.

    Only an acceleration: a failure is logged and nothing else, another launcher that makes it now isn't waited for.
    """
    with archive.with_suffix(".lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError:
            return
        log.info("preparing Kafka's class archive, once for each version of Kafka and Java")
        home = guard.temp_folder("kafka-archive")
        access = load_access(None, 2)
        access.password = _copy_template(home, java, jars)
        _write_properties(home, access)
        draft = home / "classes.jsa"
        argv = [java, f"-XX:ArchiveClassesAtExit={draft}", *_arguments(home, jars)]
        spec = _spec("kafka-archive", home, guard.folder / "kafka-archive.log", access.ports[0], access.password, argv)
        broker = Kafka(replace(spec, grace_s=120), guard, access.ports[0], access.password)
        try:
            broker.start()
            broker.stop()
            finished = archive.with_suffix(".new")
            shutil.copyfile(draft, finished)
            finished.replace(archive)
        except (InfraError, OSError) as error:
            log.warning("no class archive for Kafka: %s", error)
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _copy_template(home: Path, java: str, jars: str) -> str:
    """Copies cached formatted storage (made at the first call) to `home/log`; returns the admin user's password."""

    def make(draft: Path) -> None:
        access = load_access(None, 2)
        properties = draft / "server.properties"
        properties.write_text(_properties(draft / "log", access))
        _format(java, jars, properties, access.password)
        properties.unlink()
        (draft / "password").write_text(access.password)

    key = hashlib.sha256(f"{jars}{sorted(SETTINGS.items())}".encode()).hexdigest()[:12]
    template = made_once(cache_folder("kafka") / f"storage-{key}", make)
    shutil.copytree(template / "log", home / "log")
    return (template / "password").read_text()


def _write_properties(home: Path, access: Access, proxied: tuple[int, int] | None = None) -> Path:
    file = home / "server.properties"
    file.touch(mode=0o600)
    file.write_text(_properties(home / "log", access, proxied))
    return file


def _properties(log_folder: Path, access: Access, proxied: tuple[int, int] | None = None) -> str:
    """`proxied`: port of the further listener, and the port that it advertises."""
    (port, controller_port), password = access.ports, access.password
    controller = f"127.0.0.1:{controller_port}"
    listening, advertised = (f",PROXIED://127.0.0.1:{number}" if proxied else "" for number in proxied or (0, 0))
    own = {
        "log.dirs": str(log_folder),
        "listeners": f"CLIENTS://127.0.0.1:{port}{listening},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port}{advertised}",
        "listener.name.proxied.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
        "controller.quorum.voters": f"1@{controller}",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": (
            f'{SCRAM} required username="{ADMIN}" password="{password}";'
        ),
        "listener.name.controller.plain.sasl.jaas.config": (
            f'{PLAIN} required username="{ADMIN}" password="{password}" user_{ADMIN}="{password}";'
        ),
    }
    return "".join(f"{name}={value}\n" for name, value in {**SETTINGS, **own}.items())


def _format(java: str, jars: str, properties: Path, password: str) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    words = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", *JVM, "-cp", jars, "kafka.tools.StorageTool"]
    user = f"SCRAM-SHA-512=[name={ADMIN},password={password}]"
    tool = ["format", f"--cluster-id={cluster}", "-c", str(properties), "--add-scram", user]
    done = subprocess.run([java, *words, *tool], capture_output=True, text=True, check=False, cwd=properties.parent)
    if done.returncode != 0:
        raise InfraError(f"Kafka's storage can't be formatted: {(done.stderr or done.stdout).strip()}")


def _ready(port: int, password: str) -> bool:
    answers(port)
    try:
        connect_admin(f"127.0.0.1:{port}", KafkaAdmin(ADMIN, password), timeout_s=5)
    except KafkaException as error:
        raise ConnectionError(str(error)) from error
    return True
