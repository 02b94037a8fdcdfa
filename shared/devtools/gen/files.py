"""What a generator hands back, and how it is written or compared. Nothing here depends on time or machine."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LEFT_OVER = "left over"
"""What is said of a file that a generator no longer makes: the end of its line."""


@dataclass(frozen=True)
class Generated:
    """Files of one generator: relative path → text."""

    files: Mapping[str, str]
    owned: tuple[str, ...] = ()
    """Glob patterns that this generator owns alone: a file there that it didn't make is left over."""
    kept: frozenset[str] = frozenset()
    """Owned paths that could not be made now and are left as they are."""
    skipped: tuple[str, ...] = field(default=())
    """What could not be made, with the reason."""


def as_json(value: Any) -> str:
    """JSON for a file in the repository: two spaces, Chinese as it is, keys in the given order."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def table(head: str, rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; `head`: its first line, `| this | that |`."""
    under = "|---" * (head.count("|") - 1) + "|"
    return "".join(f"{line}\n" for line in (head, under, *(f"| {' | '.join(map(str, row))} |" for row in rows)))


def leftovers(root: Path, generated: Generated) -> list[str]:
    """Owned files that are no longer made."""
    found = {path.relative_to(root).as_posix() for pattern in generated.owned for path in root.glob(pattern)}
    return sorted(found - set(generated.files) - generated.kept)


def differences(root: Path, results: Sequence[Generated]) -> list[str]:
    """One line per file that isn't what it should be."""
    found = []
    for generated in results:
        for name, text in generated.files.items():
            path = root / name
            if not path.exists():
                found.append(f"{name}: missing")
            elif path.read_text(encoding="utf-8") != text:
                found.append(f"{name}: differs")
        found += [f"{name}: {LEFT_OVER}" for name in leftovers(root, generated)]
    return sorted(found)


def write(root: Path, results: Sequence[Generated]) -> list[str]:
    """Bring the tree up to date and name the files that changed."""
    changed = differences(root, results)
    for generated in results:
        for name, text in generated.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
        for name in leftovers(root, generated):
            (root / name).unlink()
    return changed
