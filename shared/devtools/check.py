"""`make check`: all that can be said of the sources without running the suite; each failure names what to do."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from shared.devtools.installation import ROOT
from shared.kit import clock

BIN = Path(sys.executable).parent
LONGEST_S = 600


@dataclass(frozen=True)
class Check:
    """One command. `repair`: what to do when it fails."""

    name: str
    words: Sequence[str]
    repair: str


def checks() -> list[Check]:
    """All checks; those that take longest first."""
    migrations = sorted(str(path) for path in ROOT.glob("services/*/migrations/*.sql"))
    migrations += sorted(str(path) for path in ROOT.glob("shared/*/migrations/**/*.sql"))
    strict = ["--strict"] if os.environ.get("CI") and shutil.which("node") else []
    module = [sys.executable, "-m"]
    return [
        Check("types", ["mypy"], "repair the types"),
        Check("generated files", [*module, "shared.devtools.gen", "--check", "--strict"], "make gen, then commit"),
        Check("AsyncAPI", [*module, "shared.devtools.gen.validate", *strict], "repair shared/devtools/gen/asyncapi.py"),
        Check("breaking schemas", [*module, "shared.devtools.compat"], "add a V2 beside the V1, never change a V1"),
        Check("released migrations", [*module, "shared.devtools.releases"], "leave it as it was, add a new migration"),
        Check("clients", [*module, "shared.devtools.clients"], "make clients, then commit tests/clients/passed.json"),
        Check("alerts, dashboards", [*module, "shared.devtools.rules_check"], "each line names file, alert and fault"),
        Check(
            "manifests", [*module, "shared.devtools.kube_check", "manifests"], "each line names overlay, object, rule"
        ),
        Check(
            "control plane", [*module, "shared.devtools.kube_check", "live"], "each line names overlay, object, change"
        ),
        Check(
            "compose", [*module, "shared.devtools.kube_check", "compose"], "each line names the service and the rule"
        ),
        Check("image", [*module, "shared.devtools.kube_check", "image"], "repair the Dockerfile or the lock file"),
        Check("checkov", [*module, "shared.devtools.kube_check.checkov"], "repair, or give a reason in SKIPPED"),
        Check("layers", ["lint-imports", "--no-logo"], "see [tool.importlinter] in pyproject.toml"),
        Check("house rules", [*module, "shared.devtools.house"], "each line names file, line and rule"),
        Check("migrations", ["squawk", *migrations], "see .squawk.toml for the reasons"),
        Check("dependencies", ["deptry", "."], "see [tool.deptry] in pyproject.toml"),
        Check("style", ["ruff", "check", "."], "ruff check --fix ."),
        Check("format", ["ruff", "format", "--check", "."], "ruff format ."),
    ]


def run(check: Check) -> tuple[Check, float, subprocess.CompletedProcess[str]]:
    """Run one check with the environment's own programs."""
    began_s = clock.monotonic_s()
    words = list(check.words)
    if not Path(words[0]).is_absolute():
        words[0] = str(BIN / words[0])
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:  # the others' results count all the same
        done = subprocess.CompletedProcess(words, 1, "", f"took longer than {LONGEST_S} s: is the machine busy?")
    return check, clock.monotonic_s() - began_s, done


def skipped(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What a check that has passed could not look at, in its own words: `skipped: …` and the lines below it."""
    found: list[str] = []
    inside = False
    for line in done.stderr.splitlines():
        inside = line.startswith("skipped:") or (inside and line.startswith("  "))
        if inside:
            found.append(line)
    return found


def main() -> int:
    """Exit status 1 when any check fails."""
    known = {check.name: check for check in checks()}
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.check", description=__doc__)
    # no `choices`: Python 3.11 compares the empty list with them where no name is given
    parser.add_argument("name", nargs="*", help=f"only these of: {'; '.join(known)}")
    names: list[str] = parser.parse_args().name
    if unknown := sorted(set(names) - known.keys()):
        parser.error(f"no check is called {unknown[0]!r}; there are: {'; '.join(known)}")
    chosen = [known[name] for name in names] or list(known.values())
    console = Console()
    failed = []
    with ThreadPoolExecutor(max_workers=2) as threads:
        for check, seconds, done in threads.map(run, chosen):
            good = done.returncode == 0
            console.print(f"{'[green]✓' if good else '[red]✗'}[/] {check.name}  [dim]{seconds:.1f} s")
            if good:
                for line in skipped(done):
                    console.print(f"  {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
            else:
                failed.append(check.name)
                console.print((done.stdout + done.stderr)[-6000:].rstrip(), markup=False, highlight=False)
                console.print(f"  → {check.repair}", markup=False)
    console.print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed", markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
