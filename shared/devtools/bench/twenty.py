"""The start of twenty services: `python -m shared.devtools.bench.twenty [--more 12]`, as `make bench` asks.

Makes so many services beside those that there are (`make service`), in a copy of the tree that is thrown away, starts
that suite as `make up` does, after a warm install (all of it compiled), and prints how long it took and what it takes
at rest. Writes build/bench-twenty.json; exit status 1 where the start took longer than promised.
"""

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.cli.whole_files import whole_text
from shared.devtools.bench.resting import rest
from shared.devtools.gen.files import Generated, write
from shared.devtools.infra.errors import InfraError
from shared.devtools.installation import ROOT
from shared.devtools.new_service.__main__ import refused, rendered
from shared.provision.services import service_names

MORE = 12
START_S_MAX = 15.0
LONGEST_S = 900
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "build")
FOLDERS = ("services", "shared", "docs", "k8s", "ops")
FILES = ("Caddyfile", "docker-compose.yml", ".env.example", "README.md", "README.zh.md", "Makefile", "pyproject.toml")

# Of all that `make gen` writes what a start reads: documents of twenty services take longer than their start.
FRONT_DOOR = """
from shared.devtools.gen import deployment, files
files.write(files.ROOT, [deployment.generate(files.ROOT)])
"""


class NotMeasured(Exception):
    """The suite of the copy could not be made or started; the text has what was said."""


def grown(copy: Path, more: int) -> None:
    """Copy the tree and make so many services there. Raises NotMeasured."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=LEFT_OUT)
    for file in FILES:
        shutil.copy(ROOT / file, copy / file)
    for number in range(more):
        name = f"scratch{NUMBERS[number % len(NUMBERS)]}{number // len(NUMBERS) or ''}"
        if why := refused(ROOT, name):
            raise NotMeasured(why)
        write(copy, [Generated(dict(rendered(name, name)))])
    said(copy, "-c", FRONT_DOOR)
    for folder in ("services", "shared"):
        compileall.compile_dir(copy / folder, quiet=2)


def said(copy: Path, *words: str) -> str:
    """What Python prints in the copy, whose own code is found first. Raises NotMeasured."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False,
        timeout=LONGEST_S,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotMeasured(f"{' '.join(words)}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def here() -> dict[str, Any]:
    """Start and rest of the suite of the tree that this file is in. Raises InfraError."""
    with tempfile.TemporaryDirectory(prefix="beegrid-twenty-") as folder:
        found = rest(Path(folder))
    return {"services": len(service_names(ROOT)), **found}


def measured(more: int) -> dict[str, Any]:
    """The same of a copy with so many services more. Raises NotMeasured."""
    with tempfile.TemporaryDirectory(prefix="beegrid-twenty-tree-") as folder:
        copy = Path(folder) / "tree"
        grown(copy, more)
        found: dict[str, Any] = json.loads(said(copy, "-m", "shared.devtools.bench.twenty", "--here").splitlines()[-1])
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where the suite didn't start, or not within START_S_MAX."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", type=int, default=MORE, help=f"services beside those there are; default {MORE}")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-twenty.json")
    parser.add_argument("--here", action="store_true", help="measure this tree as it is, print JSON")
    options, console = parser.parse_args(arguments), Console()
    try:
        found = here() if options.here else measured(options.more)
    except (NotMeasured, InfraError) as error:
        console.print(f"{error}", style="red", markup=False)
        return 1
    if options.here:
        print(json.dumps(found))
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_text(options.out) as target:
        target.write(json.dumps(found, indent=1))
    console.print(
        f"{found['services']} services: started in {found['start_s']:.1f} s (≤ {START_S_MAX:.0f}), "
        f"{found['cpu_s']:.1f} s of CPU; idle {found['idle']['cores']:.3f} cores, "
        f"{found['idle']['pss_mib']:.0f} MiB proportional\n"
        f"written: {options.out}"
    )
    return 0 if found["start_s"] <= START_S_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
