"""The Dockerfile: hadolint, what its last stage may not have, and its own install steps, run in a clean folder."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.devtools.kube_check.compose_use import PROBE
from shared.provision.services import service_names

HADOLINT = Path(sys.executable).with_name("hadolint")
LONGEST_S = 300
BUILD_TOOLS = re.compile(r"\b(gcc|g\+\+|build-essential|apt-get|curl|uv) ")
# Of the caller's environment everything else is kept: proxies, certificates, package indexes.
OWN = ("PYTHON", "VIRTUAL_ENV", "BEEGRID_", "UV_PROJECT", "UV_PYTHON", "UV_CACHE")
OF_COMPOSE = ("shared.devtools.demo.__main__", "shared.devtools.identity")
PROJECT = ("pyproject.toml", "uv.lock", "README.md", "shared", "services")


def check(root: Path) -> list[str]:
    """Findings of the file alone, and if there are none, of the installation."""
    return [*linted(root), *last_stage(root)] or list(installs(root))


def linted(root: Path) -> Iterator[str]:
    """Hadolint's words."""
    done = subprocess.run(
        [str(HADOLINT), "--no-color", str(root / "Dockerfile")], capture_output=True, text=True, check=False, timeout=60
    )
    yield from (line for line in (done.stdout + done.stderr).splitlines() if line.strip())


def instructions(root: Path) -> list[str]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [
        line for line in (root / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    return [line.strip() for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines() if line.strip()]


def production(found: Sequence[str]) -> list[str]:
    """The instructions of the last stage, after those of the stages of this file that it stands on."""
    starts = [number for number, line in enumerate(found) if line.startswith("FROM ")]
    stages = [list(found[start:end]) for start, end in zip(starts, [*starts[1:], len(found)], strict=True)]
    named = {stage[0].split()[-1]: stage for stage in stages}
    whole = stages[-1]
    while (below := named.get(whole[0].split()[1])) is not None:
        whole = below + whole[1:]
    return whole


def last_stage(root: Path) -> Iterator[str]:
    """A numbered user without rights, a health check, labels, no compiler and no installer."""
    found = instructions(root)
    last = production(found)
    for line in found:
        tag = line.split()[1].partition(":")[2] if line.startswith("FROM ") else "-"
        own = line.startswith("FROM ") and any(other.endswith(f" AS {line.split()[1]}") for other in found)
        if tag in ("", "latest") and not own:
            yield f"Dockerfile: {line}: the image needs a version"
    users = [line.split()[1] for line in last if line.startswith("USER ")]
    if not users or not re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1]):
        yield "Dockerfile: the last USER must be a number that isn't root"
    yield from _probe(root)
    for line in found:
        if "uv sync" in line and "--no-install-project" not in line and "--refresh-package beegrid" not in line:
            yield f"Dockerfile: may take an earlier build's wheel of ours out of uv's cache: {line[-60:]}"
    for word in ("HEALTHCHECK", "LABEL", "STOPSIGNAL SIGTERM", "ENTRYPOINT"):
        if not any(line.startswith(word) for line in last):
            yield f"Dockerfile: no {word}"
    for line in last:
        if line.startswith("COPY ") and "devtools" in line:
            yield f"Dockerfile: the last stage has tools: {line[:60]}"
        if line.startswith("RUN ") and BUILD_TOOLS.search(line):
            yield f"Dockerfile: the last stage installs something: {line[:60]}"


def _probe(root: Path) -> Iterator[str]:
    """Its health check costs no imports, and no front end is fetched to read the file."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    if ", ".join(f'"{word}"' for word in PROBE) not in text:
        yield f"Dockerfile: its probe loads packages: python {' '.join(PROBE)}"
    if text.startswith("# syntax"):
        yield "Dockerfile: `# syntax=` fetches a front end that nothing here needs: closed networks can't"


def steps(root: Path) -> list[str]:
    """The uv commands of the Dockerfile, without their cache mounts."""
    runs = [line for line in instructions(root) if line.startswith("RUN ") and " uv " in f" {line} "]
    return [re.sub(r"^RUN (--mount=\S+ )*", "", line) for line in runs]


def installs(root: Path) -> Iterator[str]:
    """Run the steps as another user, without a compiler, and import every service from what they have made."""
    uv = shutil.which("uv") or str(root / ".tools/bin/uv")
    if not Path(uv).exists():
        yield "image: no uv to run the Dockerfile's steps with: make install"
        return
    with tempfile.TemporaryDirectory(prefix="beegrid-image-") as name:
        folder = Path(name)
        source, made = folder / "src", folder / "opt"
        python = made / "beegrid/bin/python"
        _copy(root, source)
        shutil.copy(uv, folder / "uv")
        made.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        environment = {
            **inherited,
            # not the caller's: what lies in a home folder, another user can't read
            "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_PROJECT_ENVIRONMENT": str(made / "beegrid"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "copy",
            "CC": "/bin/false",
            "CXX": "/bin/false",
        }
        somebody = _somebody(folder, environment)
        if somebody is None:
            environment["UV_PYTHON"] = sys.executable
        for step in [*steps(root), _imports(root, python), *_tools(source, python)]:
            done = subprocess.run(
                ["/bin/sh", "-ec", step], cwd=source if "uv " in step else made, env=environment, user=somebody,
                group=somebody, extra_groups=[] if somebody is not None else None,
                capture_output=True, text=True, check=False, timeout=LONGEST_S,
            )  # fmt: skip
            if done.returncode != 0:
                yield f"image: {step[:80]}: {(done.stderr or done.stdout)[-1500:].strip()}"
                return


def _copy(root: Path, target: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in PROJECT:
        if (root / name).is_dir():
            shutil.copytree(root / name, target / name, ignore=ignore)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(root / name, target / name)


def _somebody(folder: Path, environment: dict[str, str]) -> int | None:
    """The number of a user without rights, to whom the folder now belongs.

    None where we aren't root, or that user has no Python that is new enough.
    """
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody").pw_uid
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody, nobody)
    words = [str(folder / "uv"), "python", "find", "--project", str(folder / "src")]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, env=environment, cwd=folder,
        user=nobody, group=nobody, extra_groups=[],
    )  # fmt: skip
    if done.returncode != 0:
        print(f"as the present user, since nobody else has a Python here: {done.stderr.strip()}", file=sys.stderr)
        return None
    return nobody


def _tools(source: Path, python: Path) -> list[str]:
    """What the stage `dev` adds, and what compose then runs."""
    where = f"$({python} -P -c 'import shared; print(shared.__path__[0])')"
    return [f"cp -r {source}/shared/devtools {where}/", f"{python} -P -c 'import {', '.join(OF_COMPOSE)}'"]


def _imports(root: Path, python: Path) -> str:
    """Every service's wiring, every command of a job, every migration; no tools, nothing from the sources' folder."""
    modules = [f"services.{name}.app" for name in service_names(root)]
    modules += ["shared.provision.setup", "shared.provision.await_schema", "shared.cli.main", "shared.kit.probe"]
    lines = [f"import {module}" for module in modules]
    lines += [
        "from shared.provision.await_schema import wanted_versions",
        "from shared.provision.services import ROOT",
        "assert 'site-packages' in str(ROOT), ROOT",
        "from importlib.util import find_spec",
        "assert find_spec('shared.devtools') is None, 'the image has tools'",
        *(f"assert len(wanted_versions({name!r})) > 1" for name in service_names(root)),
    ]
    return f'{python} -P -c "{"; ".join(lines)}"'
