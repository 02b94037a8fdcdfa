"""Rules about what lies where."""

import re
from collections.abc import Iterator
from pathlib import Path

from shared.devtools.house.source import service_folders

README_LINES_MAX = 30
ADR_LINES_MAX = 60
MAKEFILE_LINES_MAX = 60
REQUIRED = ("README.md", "__init__.py", "__main__.py", "about.py", "app.py")
DRAWERS = re.compile(r"^(?:utils?|helpers?|common|misc|base|services?|managers?|models?)$")
MIGRATION = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
LAYERS = ("api", "usecases", "domain", "store")
GONE = {"handlers": "a topic's records go to a use case: service.consumes(TOPIC, use_case)"}


def anatomy(root: Path) -> Iterator[str]:
    """Every service has the same parts under the same names, and no drawer for odds and ends."""
    for folder in service_folders(root):
        name = folder.relative_to(root).as_posix()
        yield from (f"{name}: {part} is missing" for part in REQUIRED if not (folder / part).exists())
        if not any((folder / f"{layer}.py").exists() or (folder / layer).is_dir() for layer in ("api", "usecases")):
            yield f"{name}: neither api nor usecases: nothing reaches it"
        yield from (f"{name}/{part}.py: {why}" for part, why in GONE.items() if (folder / f"{part}.py").exists())
        for layer in LAYERS:
            if (folder / f"{layer}.py").exists() and (folder / layer).is_dir():
                yield f"{name}: {layer} is a file and a folder"
        for path in sorted(folder.rglob("*")):
            if path.suffix in ("", ".py") and DRAWERS.match(path.stem) and "__pycache__" not in path.parts:
                yield f"{path.relative_to(root).as_posix()}: a drawer for odds and ends; name it after what it is"


def migrations(root: Path) -> Iterator[str]:
    """Migrations are numbered without gaps and say in their first line why they exist; they only go forward."""
    shared = {root / "shared/kit/migrations", *(root / "shared/known/migrations").glob("*/")}
    for folder in sorted([*(root / "services").glob("*/migrations"), *shared]):
        files = sorted(folder.glob("*.sql"))
        for path in files:
            where = path.relative_to(root).as_posix()
            text = path.read_text(encoding="utf-8")
            if folder not in shared and not MIGRATION.match(path.name):
                yield f"{where}: not named NNNN_words.sql"
            if not re.match(r"-- \S+ \S+", text):
                yield f"{where}: the first line doesn't say why"
            if "-- migrate:up" not in text or "-- migrate:down" not in text:
                yield f"{where}: lacks `-- migrate:up` or `-- migrate:down`"
            down = text.partition("-- migrate:down")[2]
            if any(line.strip() and not line.lstrip().startswith("--") for line in down.splitlines()):
                yield f"{where}: has a way back; a later migration corrects"
        numbers = [int(path.name[:4]) for path in files if MIGRATION.match(path.name)]
        if folder not in shared and numbers != list(range(1, len(numbers) + 1)):
            yield f"{folder.relative_to(root).as_posix()}: numbers {numbers} are not 1..{len(numbers)}"


def _longer(root: Path, path: Path, most: int) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").count("\n")
    if lines > most:
        yield f"{path.relative_to(root).as_posix()}: {lines} lines, more than {most}"


def short_pages(root: Path) -> Iterator[str]:
    """Pages that are only useful when short: a service's README, a decision, the Makefile."""
    for folder in service_folders(root):
        if (folder / "README.md").exists():
            yield from _longer(root, folder / "README.md", README_LINES_MAX)
    for path in sorted((root / "docs/adr").glob("*.md")):
        yield from _longer(root, path, ADR_LINES_MAX)
        if not re.match(r"^\d{4}-[a-z0-9-]+\.md$", path.name):
            yield f"{path.relative_to(root).as_posix()}: not named NNNN-words.md"
        if "## Alternatives" not in path.read_text(encoding="utf-8"):
            yield f"{path.relative_to(root).as_posix()}: names no alternatives"
    if (root / "Makefile").exists():
        yield from _longer(root, root / "Makefile", MAKEFILE_LINES_MAX)
