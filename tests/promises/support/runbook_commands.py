"""The commands of docs/runbooks, typed one after the other where an operator types them: beside a running suite."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.installation import ROOT
from shared.devtools.suite import FRONT_DOOR_PORT
from tests.promises.support.watched import Watched

# Programs that a machine may lack.
OTHERS = frozenset({"psql", "openssl"})
# The page itself says that a suite without TLS shows no series.
# Nothing to show where the cause is not there.
QUIET = frozenset({"CertificateExpiring", "DeadLettersOverBound"})
SAYS_SOMETHING = (".venv/", "curl", "ls", "tail")
LIMIT_S = 60
# The true answer to a replay here, where nobody repairs the records.
STILL_FAILING = "StillFailing"


@dataclass(frozen=True)
class Command:
    """One line of one page, with names put in for its <places>."""

    page: str
    line: str


def commands(names: Mapping[str, str], front_door: str) -> Iterator[Command]:
    """Each command once, except those for Kubernetes. A place that `names` lacks stays as it is, and fails."""
    seen = set()
    for file in sorted((ROOT / "docs/runbooks").glob("*.md")):
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.strip()
            program = words.split(" ")[0]
            if not line.startswith("    ") or words in seen or program == "kubectl":
                continue
            seen.add(words)
            if program in OTHERS and shutil.which(program) is None:
                continue
            filled = words
            for place in re.findall(r"<(\w+)>", words):
                filled = filled.replace(f"<{place}>", names.get(f"{file.stem} {place}") or names[place])
            yield Command(file.stem, filled.replace(f"http://127.0.0.1:{FRONT_DOOR_PORT}", front_door))


def desk(watched: Watched, folder: Path) -> Path:
    """A folder that looks to an operator like the repository with a suite running from it."""
    own = folder / ".beegrid"
    own.mkdir(parents=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (own / "logs").symlink_to(watched.suite.logs)
    (own / "identity").symlink_to(watched.home.folder / "identity")
    watched.suite.write_address(own / "suite.json")
    return folder


def fault_of(command: Command, folder: Path, admin_url: str) -> str | None:
    """What is wrong with how a command ends: its status, an error message, silence, or a refusal of the suite."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ADMIN_URL": admin_url, "COLUMNS": "200"}
    done = subprocess.run(
        ["bash", "-c", command.line], cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=LIMIT_S,
    )  # fmt: skip
    place = f"{command.page}: {command.line}"
    if done.returncode and STILL_FAILING not in done.stdout:
        return f"{place}: status {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
    if done.stderr:
        return f"{place}: {done.stderr[-300:]}"
    if not done.stdout and command.page not in QUIET and command.line.startswith(SAYS_SOMETHING):
        return f"{place}: says nothing"
    return f"{place}: {done.stdout[:300]}" if '"/problems/' in done.stdout else None
