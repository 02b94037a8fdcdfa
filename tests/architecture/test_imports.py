"""The import contracts of pyproject.toml hold, and each of them bites."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

from shared.devtools.gen.files import ROOT


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the code below a root."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=root,
        env={"PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_house_keeps_its_import_contracts() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


VIOLATIONS = [
    ("shared/kit/ids.py", "from services.riders import domain", "services stand on what they know"),
    ("shared/kit/ids.py", "from shared.known import domain", "services stand on what they know"),
    ("shared/known/domain.py", "from services.cases import domain", "services stand on what they know"),
    ("shared/known/domain.py", "import shared.devtools.gen", "nothing that runs in production"),
    ("shared/known/riders.py", "import fastapi", "know no HTTP"),
    ("shared/events/topic.py", "from shared.kit import ids", "services stand on what they know"),
    ("services/riders/usecases.py", "from services.cases import domain", "services know nothing of each other"),
    ("services/riders/domain.py", "from services.riders import store", "everything points towards the domain"),
    ("services/riders/store.py", "from services.riders import usecases", "everything points towards the domain"),
    ("services/riders/usecases.py", "from services.riders import api", "everything points towards the domain"),
    ("services/riders/usecases.py", "import shared.devtools.gen", "nothing that runs in production"),
    ("shared/devtools/__init__.py", "from services.riders import domain", "tools know services only"),
    ("shared/kit/messaging/kafka.py", "import faststream", "FastStream comes in by one file"),
    ("services/riders/app.py", "import faststream", "FastStream comes in by one file"),
    ("services/riders/app.py", "import shared.provision.services", "nothing that runs in production"),
    ("shared/cli/numbers.py", "from shared.devtools import suite", "tools stand on the operator's commands"),
    ("shared/synthetic/pace.py", "from shared.cli import client", "tools stand on the operator's commands"),
    ("shared/provision/services.py", "from shared.synthetic import pace", "tools stand on the operator's commands"),
    ("services/riders/api.py", "import asyncpg", "reach the database through the store"),
]


def test_every_violation_is_found(house: Path) -> None:
    # one run for all of them: building the import graph is what takes the time
    for name, line, _ in VIOLATIONS:
        with (house / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    done = lint_imports(house)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = broken_imports(done.stdout)
    for name, line, contract in VIOLATIONS:
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        target = line.removeprefix("from ").removeprefix("import ").replace(" import ", ".")
        assert any(contract in title and (module, target) in pairs for title, pairs in broken.items()), (line, broken)


def broken_imports(text: str) -> dict[str, set[tuple[str, str]]]:
    """Imports that break a contract, by its name: below the summary each has a title and a line of dashes."""
    found: dict[str, set[tuple[str, str]]] = {}
    title = ""
    lines = text.partition("Broken contracts")[2].splitlines()
    for line, below in itertools.pairwise(lines):
        if below and set(below) == {"-"}:
            title = line
        elif pair := re.search(r"(\S+) -> (\S+)", line):
            found.setdefault(title, set()).add((pair[1], pair[2]))
    return found
