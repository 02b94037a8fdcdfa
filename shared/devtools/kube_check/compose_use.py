"""docker-compose.yml as people use it: ports, profiles, mounts, logs that end, cheap health checks."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.containers.engine import LEAST_COMPOSE, LEAST_ENGINE
from shared.devtools.containers.preflight import READ_BY_CONTAINERS, REMEMBERED

Yaml = dict[str, Any]
PROFILES = {"prometheus": "monitoring", "grafana": "monitoring", "jaeger": "monitoring", "toolbox": "tools"}
PROBE = ["-I", "-S", "/opt/beegrid/probe.py"]
# Of the image; without a mount of ours each would be a volume without a name, one more at every start.
OF_KAFKA = ("/etc/kafka/secrets", "/mnt/shared/config", "/tmp")  # noqa: S108 a container's
ADMINISTERS = {
    "BEEGRID_URL",
    "BEEGRID_TOKEN",
    "BEEGRID_POSTGRES_ADMIN_URL",
    "BEEGRID_KAFKA_BOOTSTRAP",
    "BEEGRID_KAFKA_PUBLIC",
    "BEEGRID_KAFKA_ADMIN_USER",
    "BEEGRID_KAFKA_ADMIN_PASSWORD",
    "BEEGRID_PHOTO_STORE_URL",
}
READMES = ("README.md", "README.zh.md")
CHATTY = re.compile(r"\b(info|debug|trace)\b")


def check(root: Path, parts: Mapping[str, Yaml], volumes: Mapping[str, Any]) -> list[str]:
    """All findings; `parts` and `volumes`: of the resolved file, with every profile."""
    raw: Yaml = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return [
        *movable(raw),
        *profiles(parts),
        *mounted(root, parts),
        *probed(parts),
        *kafka_log(root, parts["kafka"]),
        *tended(parts, volumes),
        *versions(root),
    ]


def movable(raw: Mapping[str, Yaml]) -> Iterator[str]:
    """Each published port can be another one by a variable."""
    for name, part in raw.items():
        for port in part.get("ports") or []:
            if "${" not in str(port).rpartition(":")[0]:
                yield f"compose: {name}: the published port {port} must come from a variable, with a default"


def profiles(parts: Mapping[str, Yaml]) -> Iterator[str]:
    """What the suite can do without starts where it is asked for."""
    for name, wanted in PROFILES.items():
        if parts.get(name, {}).get("profiles") != [wanted]:
            yield f"compose: {name} must be of the profile {wanted}"
    for name, part in parts.items():
        waits = {other for other in part.get("depends_on") or {} if parts[other].get("profiles")}
        if waits and not part.get("profiles"):
            yield f"compose: {name} waits for {', '.join(sorted(waits))}, which only a profile starts"


def mounted(root: Path, parts: Mapping[str, Yaml]) -> Iterator[str]:
    """Files of the checkout are among those that `make env` makes readable for containers."""
    allowed = [root / name for name in READ_BY_CONTAINERS]
    for name, part in parts.items():
        for mount in part.get("volumes") or []:
            source = Path(mount.get("source") or "")
            if mount["type"] == "bind" and not any(source.is_relative_to(one) for one in allowed):
                yield f"compose: {name} reads {source.name}, which a checkout under umask 077 keeps from it"


def probed(parts: Mapping[str, Yaml]) -> Iterator[str]:
    """Our own probe runs by its file, without packages; image.py looks at the Dockerfile's."""
    for name, part in parts.items():
        test = [str(word) for word in part.get("healthcheck", {}).get("test") or []]
        if "probe" in " ".join(test) and test[2:5] != PROBE:
            yield f"compose: {name}: its probe loads packages: python {' '.join(PROBE)}"


def kafka_log(root: Path, part: Yaml) -> Iterator[str]:
    """Kafka writes its data and nothing else: all it says goes to the container's log, which is bounded."""
    mounts = {str(one).partition(":")[0] for one in part.get("tmpfs") or []}
    if not part.get("read_only"):
        yield "compose: kafka: must be read_only: its logs would grow in the container's layer without end"
    for folder in OF_KAFKA:
        if folder not in mounts:
            yield f"compose: kafka: {folder} must be a tmpfs"
    start = (root / "ops/kafka/start.sh").read_text(encoding="utf-8")
    extra = re.search(r"EXTRA_ARGS=(\S+(?: [^\"\n]*)?)", start)
    if extra is None or "loggc" in extra[1]:
        yield "ops/kafka/start.sh: EXTRA_ARGS must leave -loggc out: it writes files beside the data"
    if "-Dlog4j2.configurationFile=file:/opt/beegrid/log4j2.properties" not in start:
        yield "ops/kafka/start.sh: KAFKA_LOG4J_OPTS must name log4j2.properties: the image's writes a file an hour"
    log = (root / "ops/kafka/log4j2.properties").read_text(encoding="utf-8")
    kinds = set(re.findall(r"^appender\.\w+\.type *= *(\w+)", log, re.MULTILINE))
    if kinds != {"Console"}:
        yield f"ops/kafka/log4j2.properties: only Console may be written to, not {', '.join(sorted(kinds))}"


def tended(parts: Mapping[str, Yaml], volumes: Mapping[str, Any]) -> Iterator[str]:
    """The toolbox has what commands need, the demo knows where the door is, Garage doesn't write a line a request."""
    lacking = ADMINISTERS - (parts.get("toolbox", {}).get("environment") or {}).keys()
    if lacking:
        yield f"compose: toolbox lacks {', '.join(sorted(lacking))}"
    door = parts["caddy"]["ports"][0]
    published = str((parts["demo"].get("environment") or {}).get("BEEGRID_PUBLISHED"))
    if published != f"{door.get('host_ip')}:{door['published']}":
        yield f"compose: demo says {published}, and the front door is published at {door['published']}"
    level = str((parts["objects"].get("environment") or {}).get("RUST_LOG", "info"))
    if CHATTY.search(level):
        yield f"compose: objects: RUST_LOG={level} writes a line a request"
    for secret, volume in REMEMBERED.items():
        if volume not in volumes:
            yield f"shared/devtools/containers/preflight.py: {secret} is said to be remembered by no volume {volume}"


def versions(root: Path) -> Iterator[str]:
    """Both READMEs and the file itself say which engine and Compose are needed, as `make env` checks them."""
    least = (str(LEAST_ENGINE[0]), ".".join(map(str, LEAST_COMPOSE)))
    for name in (*READMES, "docker-compose.yml"):
        text = (root / name).read_text(encoding="utf-8")
        if not re.search(rf"Engine (?:≥ )?{least[0]}\b.*Compose (?:≥ )?{re.escape(least[1])}\b", text):
            yield f"{name}: must say Docker Engine {least[0]} and Compose {least[1]}"
