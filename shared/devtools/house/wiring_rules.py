"""Rules about how a service is put together: app.py is a table of contents, and nothing else wires."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared.devtools.house.source import Source, dotted, service_folders, sources

SERVICE = "shared.kit.service.Service"
READING = "shared.kit.service.Reading"
SECOND = frozenset({"work", "reading", "pool", "pool_of"})
"""What of a service is another connection."""
POOL_FILE = "shared/kit/postgres/db.py"
STATEMENTS = frozenset(
    {"copy_records_to_table", "execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval"}
)
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def wiring(root: Path) -> Iterator[str]:
    """app.py has one function, `build`, without loops and functions of its own: what is heard, served and done by the
    clock stands there, line by line, and the work itself in use cases. No service has a class of its own for that."""
    for folder in service_folders(root):
        if (path := folder / "app.py").exists():
            yield from _beside_contents(Source(root, path))
    for source in sources(root, "services"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and any(source.full(base) == SERVICE for base in node.bases):
                yield source.at(node.lineno, f"{node.name} is a class of Service: provide what its routes need")


def _beside_contents(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, _DEFINITIONS) and getattr(node, "name", "") != "build":
            name = getattr(node, "name", "a lambda")
            yield source.at(node.lineno, f"{name} beside build(): logic belongs in use cases")
        elif isinstance(node, _LOOPS):
            yield source.at(node.lineno, "a loop: what comes again says service.every or service.repeats")


def one_connection(root: Path) -> Iterator[str]:
    """A route that is given a connection takes no second one: in a pool of two, two such routes wait for each other."""
    for source in sources(root, "services"):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if any(one.annotation is not None and source.full(one.annotation) == READING for one in arguments):
                yield from (
                    source.at(part.lineno, f"{node.name} has a reading connection and takes another by .{part.attr}")
                    for part in ast.walk(node)
                    if isinstance(part, ast.Attribute) and part.attr in SECOND
                )


def pooled(root: Path) -> Iterator[str]:
    """Connections are lent by `begun` and `reading` alone: whoever asks the pool itself waits without a limit, or fails
    on a connection that was dead already."""
    for source in sources(root, "services", "shared/kit", "shared/known"):
        if source.name == POOL_FILE:
            continue
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            done, lender = node.func.attr, node.func.value
            name = dotted(lender.func if isinstance(lender, ast.Call) else lender).rpartition(".")[2]
            if done == "acquire" or (name.strip("_") in ("pool", "pool_of") and done in STATEMENTS):
                yield source.at(node.lineno, f".{done} of a pool; take begun or reading of {POOL_FILE}")
