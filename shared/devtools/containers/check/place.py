"""A checkout of its own, made under umask 077, with a project, images and ports of its own: nothing else is touched."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.devtools.containers import engine
from shared.devtools.containers.engine import EngineError, run
from shared.devtools.infra.ports import free_port
from shared.devtools.installation import ROOT

PROJECT = "beegrid-check"
SUBNET = "172.31.251"
REPORTS, RATE = 2_000, 100


class Fault(Exception):
    """What was promised isn't so."""


def must(holds: bool, words: str) -> None:
    """Raises Fault with these words where it doesn't hold."""
    if not holds:
        raise Fault(words)


@dataclass
class Place:
    """The checkout in `folder`, and the ports at which its suite is published."""

    folder: Path
    door: int
    ports: dict[str, int]
    environment: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Of the front door."""
        return f"http://127.0.0.1:{self.door}"

    def compose(
        self, *words: str, timeout_s: float = 900, environment: Mapping[str, str] | None = None, given: str = ""
    ) -> str:
        """What Compose prints. Raises EngineError."""
        variables = {**self.environment, **(environment or {})}
        return engine.compose(*words, root=self.folder, timeout_s=timeout_s, environment=variables, given=given)

    def tool(self, module: str, *words: str, timeout_s: float = 900) -> str:
        """What one of the project's own modules prints. Raises EngineError."""
        return run(
            [sys.executable, "-m", module, *words], root=self.folder, timeout_s=timeout_s, environment=self.environment
        )

    def beegrid(self, *words: str, token: str = "", timeout_s: float = 900) -> str:
        """What a command in the toolbox prints. Raises EngineError."""
        given = {"BEEGRID_TOKEN": token, "COLUMNS": "200"}
        return self.compose("run", "--rm", "-T", "toolbox", *words, environment=given, timeout_s=timeout_s)

    def token(self) -> str:
        """An operator's."""
        words = ["shared.devtools.identity", "/var/lib/beegrid/issuer", "--token", "operator"]
        return self.compose("run", "--rm", "-T", "identity", *words).strip().splitlines()[-1]

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of a service's containers, those that have ended included."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        return [engine.inspect(one) for one in ids]

    def health(self) -> dict[str, str]:
        """Of each container that has a health check."""
        states: dict[str, str] = {}
        for one in self.compose("ps", "--all", "--quiet").split():
            facts = engine.inspect(one)
            if health := facts["State"].get("Health"):
                states[facts["Name"].lstrip("/")] = health["Status"]
        return states

    def secrets(self) -> dict[str, str]:
        """Of .env."""
        lines = (self.folder / ".env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@contextlib.contextmanager
def made(keep: bool = False) -> Iterator[Place]:
    """A place; at the end its containers, volumes and folder are gone, unless they are kept."""
    folder = Path(tempfile.mkdtemp(prefix="beegrid-compose-check-"))
    names = ("BEEGRID_KAFKA_PUBLIC_PORT", "BEEGRID_PROMETHEUS_PORT", "BEEGRID_GRAFANA_PORT", "BEEGRID_JAEGER_PORT")
    ports, door = {name: free_port() for name in names}, free_port()
    settings = {
        **{name: str(port) for name, port in ports.items()},
        "BEEGRID_PUBLISH": f"127.0.0.1:{door}",
        "BEEGRID_EDGE_SUBNET": f"{SUBNET}.0/24",
        "BEEGRID_EDGE_CADDY": f"{SUBNET}.2",
        "BEEGRID_EDGE_OTHERS": f"{SUBNET}.128/25",
        "BEEGRID_IMAGE": "beegrid:check",
        "BEEGRID_DEV_IMAGE": "beegrid-dev:check",
        "REPORTS": str(REPORTS),
        "RATE": str(RATE),
    }
    environment = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "COMPOSE_PROFILES": "",
        "PYTHONPATH": str(folder),
        "COMPOSE_PROGRESS": "quiet",
    }
    place = Place(folder, door, ports, environment)
    try:
        _check_out(folder)
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        yield place
    finally:
        if keep:
            print(f"kept: {folder}, project {PROJECT}")
        else:
            with contextlib.suppress(EngineError):
                place.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
            shutil.rmtree(folder, ignore_errors=True)


def _check_out(folder: Path) -> None:
    """All files that git knows or would take, readable by their owner alone."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"])
    before = os.umask(0o077)
    try:
        for name in filter(None, listed.split("\0")):
            source, target = ROOT / name, folder / name
            if not source.is_file() or source.is_symlink():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(0o700 if os.access(source, os.X_OK) else 0o600)
    finally:
        os.umask(before)
