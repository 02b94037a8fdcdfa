"""What the rules look at: parsed files, and violations as lines that an editor can jump to."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CODE = ("services", "shared", "tests")


@dataclass(frozen=True)
class Source:
    """One Python file below a root."""

    root: Path
    path: Path

    @cached_property
    def text(self) -> str:
        """The file's text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def name(self) -> str:
        """Path below the root, with slashes."""
        return self.path.relative_to(self.root).as_posix()

    @cached_property
    def comments(self) -> dict[int, str]:
        """Comments by line number."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def docstrings(self) -> set[int]:
        """Line numbers on which a docstring, or the text below an attribute, begins."""
        return {
            node.value.lineno
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        }

    @cached_property
    def names(self) -> dict[str, str]:
        """Local name → full name of what the file imports."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {a.asname: a.name for a in node.names if a.asname}
                names |= {(top := a.name.partition(".")[0]): top for a in node.names if not a.asname}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        return names

    def full(self, node: ast.expr) -> str:
        """The full name of something imported, or of a part of it; empty for anything else."""
        head, _, rest = dotted(node).partition(".")
        return ".".join(part for part in (self.names.get(head, ""), rest) if part)

    @property
    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    @property
    def texts(self) -> Iterator[ast.Constant]:
        """Every text that isn't a docstring."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno not in self.docstrings:
                yield node

    def at(self, line: int, words: str) -> str:
        """A violation."""
        return f"{self.name}:{line}: {words}"


def sources(root: Path, *folders: str, words: str = "") -> Iterator[Source]:
    """Python files below the folders (or all of the house), in order; only those whose text has a match of `words`.

    Parsing is what takes the time: a rule that concerns few files names a word that none of them can do without.
    """
    for folder in folders or CODE:
        for path in sorted((root / folder).rglob("*.py")):
            source = Source(root, path)
            if "build" not in path.relative_to(root).parts and (not words or re.search(words, source.text)):
                yield source


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, also those inside others: a walk that looks at statements alone."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            below = getattr(node, part, ())
            left += below if isinstance(below, list) else ()


def service_folders(root: Path) -> list[Path]:
    """Folders of services that hold code."""
    return sorted(path for path in (root / "services").glob("*") if path.is_dir() and any(path.glob("*.py")))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)
