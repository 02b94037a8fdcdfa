"""Generators and compilers of other languages, below build/clients: nothing outside of it is written."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.devtools.gen.files import ROOT

HERE = ROOT / "build/clients"
PROGRAMS = Path(__file__).with_name("programs")
DOCUMENT = ROOT / "docs/openapi.json"
GENERATOR = "org.openapitools:openapi-generator-cli:7.17.0"
"""The jar for Go and Java; TypeScript and Python have the generators that most people take there."""
TIMEOUT_S = 900
MAVEN = ("mvn", "-q", "-B", "-Dstyle.color=never", f"-Dmaven.repo.local={HERE / 'm2'}")


def needs(*names: str) -> None:
    """Skips where a tool is missing, by its name."""
    if missing := [name for name in names if shutil.which(name) is None]:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def run(command: Sequence[str | Path], folder: Path) -> str:
    """What a command prints; its own words where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def _environment() -> Mapping[str, str]:
    caches = {
        "npm_config_cache": "npm", "PIP_CACHE_DIR": "pip", "GOPATH": "go",
        "GOCACHE": "go-build", "GOMODCACHE": "go-mod",
    }  # fmt: skip
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BEEGRID_", "PYTEST"))},
        **{name: str(HERE / folder) for name, folder in caches.items()},
        "GOFLAGS": "-mod=mod -modcacherw", "npm_config_update_notifier": "false",
    }  # fmt: skip


def fresh(name: str, *kept: str) -> Path:
    """An empty folder for one language, but for what was installed there."""
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    for one in folder.iterdir():
        if one.name not in kept:
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    return folder


def generated(language: str, folder: Path, **options: str) -> Path:
    """A client by openapi-generator."""
    needs("java", "mvn")
    jar = HERE / "openapi-generator.jar"
    if not jar.exists():
        HERE.mkdir(parents=True, exist_ok=True)
        copy = [f"-Dartifact={GENERATOR}", f"-DoutputDirectory={HERE}", "-Dmdep.stripVersion=true"]
        run([*MAVEN, "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", *copy], HERE)
        (HERE / "openapi-generator-cli.jar").rename(jar)
    listed = ",".join(f"{name}={value}" for name, value in options.items())
    run(
        ["java", "-jar", jar, "generate", "-i", DOCUMENT, "-g", language, "-o", folder, "-p", listed,
         "--global-property", "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"],
        HERE,
    )  # fmt: skip
    return folder


def read(printed: str) -> Any:
    """The line of JSON that a program ends with."""
    return json.loads(re.findall(r"\{.*\}", printed)[-1])  # Maven puts a terminal's colours around it
