"""docker-compose.yml: what compose itself accepts, every service in it, its settings, health, limits and secrets."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.compose_env import EXAMPLE, assignments, filled
from shared.devtools.infra.kafka import SETTINGS as LOCAL_KAFKA
from shared.devtools.kube.plan import DEV_IMAGE, IMAGE, TOOLS
from shared.devtools.kube_check import compose_use, front_door, given
from shared.devtools.kube_check.variables import check_container, missing_passwords
from shared.provision.services import service_names

Yaml = dict[str, Any]
COMPOSE = Path(sys.executable).with_name("docker-compose")
LONGEST_S = 60
LOOKS_SECRET = re.compile(r"(PASSWORD|SECRET|SEALING|_KEY|AUTH)", re.IGNORECASE)
ONE_SHOT = {"setup", "identity", "demo"}
FRONT_DOOR = "caddy"
# of an address with or without scheme, user and path; several are separated by commas
HOST = re.compile(r"(?:^|,|://)(?:[^@/,\s]*@)?([a-z][\w.-]*):\d+(?=$|[/,?])")
NOWHERE_ELSE = {"localhost"}
# The container's broker has more memory and more clients than a test's.
KAFKA_MAY_DIFFER = {
    "num.partitions",
    "offsets.topic.num.partitions",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.threads",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "listener.security.protocol.map",
}


class ComposeError(Exception):
    """Compose's own words."""


def resolved(root: Path, env: str) -> Yaml:
    """The file with anchors, defaults and the secrets of `env`, the text of a .env, filled in.

    Raises:
        ComposeError: compose refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="beegrid-compose-") as folder:
        file = Path(folder) / "env"
        file.write_text(env, encoding="utf-8")
        words = [str(COMPOSE), "--project-directory", str(root), "--env-file", str(file)]
        words += ["-f", str(root / "docker-compose.yml"), "--profile", "*", "config"]
        # an environment of its own: a variable of the caller would hide a missing name
        done = subprocess.run(
            [*words, "--format", "json"], capture_output=True, text=True, check=False, timeout=LONGEST_S, env={}
        )
    if done.returncode != 0:
        raise ComposeError(done.stderr.strip())
    found: Yaml = json.loads(done.stdout)
    return found


def check(root: Path) -> list[str]:
    """All findings; one sentence each."""
    env = filled((root / EXAMPLE).read_text(encoding="utf-8"), "")
    try:
        whole = resolved(root, env)
    except ComposeError as error:
        return [f"docker-compose.yml: {error}"]
    parts = whole["services"]
    return [
        *complete(parts),
        *settings(parts),
        *trusting(parts, whole["networks"]),
        *careful(parts),
        *tools(parts),
        *bare_secrets(root),
        *given.declared(),
        *given.of_compose(parts, assignments(env)),
        *same_broker(root, parts.get("kafka", {})),
        *near(parts),
        *at_home(parts),
        *front_door.check(root),
        *compose_use.check(root, parts, whole.get("volumes") or {}),
    ]


def _image(part: Yaml) -> str:
    return str(part["image"]).rpartition("/")[2].partition(":")[0]


def _ours(part: Yaml) -> bool:
    return _image(part) in (IMAGE, DEV_IMAGE)


def tools(parts: dict[str, Yaml]) -> Iterator[str]:
    """The image with tools is for what runs one of them, and the other one has none."""
    for name, part in parts.items():
        runs = (part.get("command") or [""])[0].startswith(TOOLS)
        if runs != (_image(part) == DEV_IMAGE):
            yield f"compose: {name} runs {'a tool' if runs else 'no tool'} on {_image(part)}"
        elif _ours(part) and part["build"]["target"] != ("dev" if runs else "production"):
            yield f"compose: {name}: {_image(part)} is built from {part['build']['target']}"


def complete(parts: dict[str, Yaml]) -> Iterator[str]:
    """Every service of the registry, running itself, and the front door knows all of them."""
    for name in service_names():
        if name not in parts:
            yield f"compose: no service {name}"
        elif parts[name].get("command") != [f"services.{name}"]:
            yield f"compose: {name} must run services.{name}"
        elif name not in parts.get("caddy", {}).get("depends_on", {}):
            yield f"compose: caddy must wait for {name}"


def settings(parts: dict[str, Yaml]) -> Iterator[str]:
    """Variables of our own containers exist, and required ones are set."""
    for name, part in parts.items():
        if not _ours(part):
            continue
        values = {key: str(value) for key, value in (part.get("environment") or {}).items()}
        command = [] if part.get("entrypoint") == ["beegrid"] else part.get("command") or []
        yield from check_container(f"compose: {name}", command, values)
        if part.get("command") == ["shared.provision.setup"]:
            yield from (f"compose: {name}: required {missing} isn't set" for missing in missing_passwords(values))


def trusting(parts: dict[str, Yaml], networks: dict[str, Yaml]) -> Iterator[str]:
    """Services believe the front door's own address, which no other container can get, and nobody else's."""
    own = {name: of.get("ipv4_address") for name, of in (parts[FRONT_DOOR].get("networks") or {}).items() if of}
    for name, part in parts.items():
        believed = (part.get("environment") or {}).get("BEEGRID_TRUSTED_PROXIES")
        if believed is not None and believed not in own.values():
            yield f"compose: {name} believes {believed}, and the front door is {', '.join(map(str, own.values()))}"
    for name, address in own.items():
        others = [ip_network(pool["ip_range"]) for pool in networks[name]["ipam"]["config"] if "ip_range" in pool]
        if not others or any(ip_address(address) in one for one in others):
            yield f"compose: network {name} may give {address}, which is the front door's, to another container"


def careful(parts: dict[str, Yaml]) -> Iterator[str]:
    """Limits, health, pinned images, no root in our own containers; whoever waits, waits for health."""
    for name, part in parts.items():
        limits = part.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= limits.keys():
            yield f"compose: {name}: no limits of cpus and memory"
        tag = part["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield f"compose: {name}: the image needs a version"
        if _ours(part) and (not part.get("read_only") or part.get("cap_drop") != ["ALL"]):
            yield f"compose: {name}: must be read_only and drop ALL capabilities"
        for other, how in (part.get("depends_on") or {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            if how["condition"] != wanted:
                yield f"compose: {name} must wait for {other} until {wanted}"
            if wanted == "service_healthy" and "healthcheck" not in parts[other]:
                yield f"compose: {other} has no healthcheck, and {name} waits for it"


def bare_secrets(root: Path) -> Iterator[str]:
    """Secrets come from .env without a default; .env.example has none either."""
    text = (root / "docker-compose.yml").read_text(encoding="utf-8")
    for name, value in _variables(yaml.safe_load(text)):
        required = re.search(r"\$\{\w+:\?", value)
        if LOOKS_SECRET.search(name) and not required and not value.startswith(("/", "file:")):
            yield f"compose: {name} must come from .env, as ${{NAME:?…}}"
    for line in (root / EXAMPLE).read_text(encoding="utf-8").splitlines():
        name, found, value = line.partition("=")
        if found and not line.startswith("#") and value.strip():
            yield f"{EXAMPLE}: {name} must be empty: `make env` invents it"


def _variables(node: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("environment", "x-kit") and isinstance(value, dict):
            yield from ((name, str(text)) for name, text in value.items() if name != "<<")
        else:
            yield from _variables(value)


def near(parts: dict[str, Yaml]) -> Iterator[str]:
    """Every host that a variable names is there, on a shared network; our own containers wait for its health."""
    for name, part in parts.items():
        hosts = {
            host: variable
            for variable, value in (part.get("environment") or {}).items()
            for host in HOST.findall(str(value))
            if host not in NOWHERE_ELSE | {name}
        }
        for host, variable in hosts.items():
            other = parts.get(host)
            if other is None:
                if "." not in host:
                    yield f"compose: {name}: {variable} names {host}, and there is no such service"
            elif not (part.get("networks") or {}).keys() & (other.get("networks") or {}).keys():
                yield f"compose: {name} shares no network with {host}, which {variable} names"
            elif _ours(part) and "healthcheck" in other and host not in (part.get("depends_on") or {}):
                yield f"compose: {name} must wait for {host}, which {variable} names"


def at_home(parts: dict[str, Yaml]) -> Iterator[str]:
    """Only the front door may be published beyond this machine."""
    for name, part in parts.items():
        for port in part.get("ports") or []:
            if name != FRONT_DOOR and port.get("host_ip") != "127.0.0.1":
                yield f"compose: {name}: port {port['target']} must be bound to 127.0.0.1"


def same_broker(root: Path, part: Yaml) -> Iterator[str]:
    """The container's broker keeps the rules that tests prove on the local one."""
    lines = (root / "ops/kafka/server.properties").read_text(encoding="utf-8").splitlines()
    present = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name, value in LOCAL_KAFKA.items():
        if name not in KAFKA_MAY_DIFFER and present.get(name) != value:
            yield f"ops/kafka/server.properties: {name} is {present.get(name)}, on the local broker {value}"
    for port in part.get("ports") or []:
        if f":{port['target']}" not in re.findall(r":\d+", present["listeners"]):
            yield f"ops/kafka/server.properties: no listener on port {port['target']}, which is published"
    plain = (root / "ops/objects/garage.toml").read_text(encoding="utf-8")
    if (root / "k8s/components/object-store/garage.toml").read_text(encoding="utf-8") != plain:
        yield "k8s/components/object-store/garage.toml differs from ops/objects/garage.toml"
