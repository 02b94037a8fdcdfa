"""Rules about what services declare of themselves."""

import ast
import runpy
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from shared.devtools.house.source import Source, imported, service_folders
from shared.kit.about import About

DECLARATIONS = "shared.kit.about"


def abouts(root: Path) -> Iterator[str]:
    """A service's about.py is data, and no address at the front door belongs to two services."""
    found: dict[str, About] = {}
    for folder in service_folders(root):
        path = folder / "about.py"
        if not path.exists():
            continue  # the anatomy's rule says so
        source = Source(root, path)
        faults = list(_beside_data(source))
        yield from faults
        if not faults:
            found[folder.name] = said = runpy.run_path(str(path))["ABOUT"]
            yield from (source.at(1, words) for words in _wrong(said))
    for (one, first), (other, second) in combinations(found.items(), 2):
        for mine, theirs in ((a, b) for a in first.paths for b in second.paths):
            if meet(mine, theirs):
                yield f"services/{one}/about.py: {mine} of {one} and {theirs} of {other} are one address"


def _beside_data(source: Source) -> Iterator[str]:
    for line, name in imported(source.tree):
        if not name.startswith(f"{DECLARATIONS}."):
            yield source.at(line, f"imports {name}; it is data, made of {DECLARATIONS} alone")
    named = []
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.append(node.targets[0].id)
        elif not isinstance(node, ast.ImportFrom | ast.Expr):
            yield source.at(node.lineno, "is more than one ABOUT")
    if named != ["ABOUT"]:
        yield source.at(1, f"has {', '.join(named) or 'nothing'} where one ABOUT is wanted")


def _wrong(said: About) -> Iterator[str]:
    for word in ("zh", "en", "does_zh", "does_en", "limit"):
        if not (text := getattr(said, word)) or text.endswith((".", "。")) or "|" in text:
            yield f"{word} is empty, or ends with a full stop, or has a | in it: it goes into a table"
    if not said.paths or any(not path.startswith("/") or "*" in path[:-1] for path in said.paths):
        yield f"paths {said.paths} are not all /… or /…*"
    if not 1 <= said.size.pods_min <= said.size.pods_max:
        yield f"{said.size.pods_min} to {said.size.pods_max} pods"


def meet(one: str, other: str) -> bool:
    """Whether some address is taken by both, by Caddy's rule."""
    first, second = one.rstrip("*"), other.rstrip("*")
    return (
        first == second
        or (one.endswith("*") and second.startswith(first))
        or (other.endswith("*") and first.startswith(second))
    )
