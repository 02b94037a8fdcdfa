"""What would go wrong minutes after `docker compose up`, looked for before anything starts."""

import errno
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.containers import engine

READ_BY_CONTAINERS = ("Caddyfile", "ops")
VARIABLE = re.compile(r"\$\{(\w+)")

REMEMBERED = {
    "POSTGRES_PASSWORD": "postgres",
    "KAFKA_CLUSTER_ID": "kafka",
    "KAFKA_ADMIN_PASSWORD": "kafka",
    "SEALING_KEY": "postgres",
    "PHOTO_STORE_KEY_ID": "objects",
    "PHOTO_STORE_SECRET": "objects",
    "GRAFANA_ADMIN_PASSWORD": "grafana",
}
"""Secrets that a volume was made with: another one in .env doesn't change it. All others are set at each start."""
LOST = {
    "POSTGRES_PASSWORD": "nobody administers the database: set-up, backup and restore stop",
    "KAFKA_CLUSTER_ID": "Kafka refuses its own data and doesn't start",
    "KAFKA_ADMIN_PASSWORD": "Kafka's administrator is locked out, and with it the broker itself",
    "SEALING_KEY": "no company's key, webhook or link can be opened: all of them need new ones",
    "PHOTO_STORE_KEY_ID": "intake can neither read nor keep photos",
    "PHOTO_STORE_SECRET": "intake can neither read nor keep photos",
    "GRAFANA_ADMIN_PASSWORD": "Grafana goes on with the former password",
}


def forgotten(known: Mapping[str, str], volumes: set[str]) -> list[str]:
    """Secrets without a value although a volume was made with one, each with what a new one would cost."""
    return [
        f"{name}: the volume {volume} was made with another one; with a new one {LOST[name]}"
        for name, volume in REMEMBERED.items()
        if volume in volumes and not known.get(name)
    ]


def taken(parts: Mapping[str, Any], raw: Mapping[str, Any], held: set[int]) -> Iterator[str]:
    """Ports that somebody else listens on, each with the variable that names another one.

    `parts`: the services of the resolved file; `raw`: of the file as it is written; `held`: ports of this very project.
    """
    for name, part in parts.items():
        for number, port in enumerate(part.get("ports") or []):
            published = int(port.get("published") or 0)
            address = str(port.get("host_ip") or "0.0.0.0")  # noqa: S104 it is asked for, not served
            if published and published not in held and _is_taken(address, published):
                variables = VARIABLE.findall(str(raw[name]["ports"][number]))
                yield f"port {published} of {name} is taken by another program: set {variables[-1]} in .env"


def _is_taken(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((address, port))
        except OSError as error:  # any other error is the engine's to complain of: it has other rights
            return error.errno == errno.EADDRINUSE
    return False


def ports(root: Path) -> list[str]:
    """As `taken`, of the file at hand; none where the engine is another machine's."""
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith(("unix:", "npipe:")):
        return []
    raw = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    own = f"label={engine.PROJECT_LABEL}={engine.project()}"
    listed = engine.docker("ps", "--filter", own, "--format", "{{.Ports}}")
    held = {int(port) for port in re.findall(r":(\d+)->", listed)}
    return list(taken(engine.resolved(root)["services"], raw, held))


def readable(root: Path) -> list[str]:
    """Let everybody read what containers read as other users: a checkout under umask 077 lets nobody. Returns which."""
    changed = []
    for name in READ_BY_CONTAINERS:
        for path in (root / name, *(root / name).rglob("*")):
            mode = path.stat().st_mode & 0o777
            wanted = mode | (0o055 if path.is_dir() else 0o044)
            if mode != wanted:
                path.chmod(wanted)
                changed.append(str(path.relative_to(root)))
    return changed
