"""The container engine of this machine, by its own programs: `docker` and Compose."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from shared.devtools.installation import ROOT

PROJECT = "beegrid"
PROJECT_LABEL, SERVICE_LABEL = "com.docker.compose.project", "com.docker.compose.service"
LEAST_ENGINE, LEAST_COMPOSE = (25, 0), (2, 26)
"""Engine 25 is the first with `start_interval`; nobody has tried an older Compose."""
ANSWER_S = 60
NUMBERS = re.compile(r"(\d+)\.(\d+)")


class EngineError(Exception):
    """A program of the engine failed; the text has its last words."""


def run(
    words: Sequence[str],
    *,
    root: Path = ROOT,
    timeout_s: float = ANSWER_S,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> str:
    """What a program prints. `given`: what it reads.

    Raises:
        EngineError: it failed, isn't there or took too long.
    """
    try:
        done = subprocess.run(
            words, cwd=root, input=given, capture_output=True, text=True, check=False, timeout=timeout_s,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{' '.join(words[:4])}: {error}") from error
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise EngineError(f"{' '.join(words[:6])}: {' / '.join(last)}")
    return done.stdout


def docker(*words: str, timeout_s: float = ANSWER_S) -> str:
    """As `run`, of `docker`."""
    return run(["docker", *words], timeout_s=timeout_s)


@cache
def compose_words() -> tuple[str, ...]:
    """Compose as the engine's plugin, else the program that the lock file brings."""
    if shutil.which("docker"):
        try:
            docker("compose", "version")
        except EngineError:
            pass
        else:
            return ("docker", "compose")
    return (str(Path(sys.executable).with_name("docker-compose")),)


def compose(
    *words: str,
    root: Path = ROOT,
    timeout_s: float = 600,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> str:
    """As `run`, of Compose with the project's file."""
    return run([*compose_words(), *words], root=root, timeout_s=timeout_s, environment=environment, given=given)


def absent() -> str:
    """Why no engine can be had; empty where one answers."""
    if not shutil.which("docker"):
        return "there is no program `docker`"
    try:
        docker("info", "--format", "{{.ServerVersion}}", timeout_s=10)
    except EngineError as error:
        return str(error)
    return ""


def too_old() -> list[str]:
    """One sentence for each program that is older than what docker-compose.yml needs."""
    found = {
        "Docker Engine": (docker("version", "--format", "{{.Server.Version}}"), LEAST_ENGINE),
        "Docker Compose": (compose("version", "--short"), LEAST_COMPOSE),
    }
    return [
        f"{name} {version.strip()} is too old: docker-compose.yml needs {'.'.join(map(str, least))} or newer"
        for name, (version, least) in found.items()
        if numbers(version) < least
    ]


def numbers(version: str) -> tuple[int, int]:
    """The first two numbers of a version, (0, 0) where it has none."""
    match = NUMBERS.search(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def project() -> str:
    """The name that containers and volumes have in front."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT


def volumes() -> set[str]:
    """Names of the project's volumes, as docker-compose.yml has them."""
    listed = docker("volume", "ls", "--filter", f"label={PROJECT_LABEL}={project()}", "--format", "{{.Name}}")
    return {name.removeprefix(f"{project()}_") for name in listed.split()}


def containers(service: str, *, everything: bool = False) -> list[str]:
    """Ids of a service's containers, the oldest first; those that have ended too with `everything`."""
    filters = [f"label={PROJECT_LABEL}={project()}", f"label={SERVICE_LABEL}={service}"]
    words = [word for one in filters for word in ("--filter", one)]
    listed = docker("ps", "--quiet", "--no-trunc", *(["--all"] if everything else []), *words)
    return sorted(listed.split(), key=lambda one: str(inspect(one)["Created"]))


def inspect(container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


def resolved(root: Path = ROOT) -> dict[str, Any]:
    """docker-compose.yml as this shell and .env fill it in."""
    found: dict[str, Any] = json.loads(compose("config", "--format", "json", root=root))
    return found
