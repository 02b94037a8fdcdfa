"""Rules about the words of names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.devtools.house.source import Source, sources

ODD = frozenset({"told", "untold", "tell", "tells", "telling", "teller", "anew", "mend", "mends", "mended", "mending"})
PLAIN = "published, notified, reported, shown, said, answered, again, repaired"
APART = "apart"
"""To tell two things apart is what everybody says: there is no plainer word."""
OF_OLD = {
    **{"dear": "expensive, costly", "dearer": "costs more", "shall": "is to, must", "anew": "again"},
    **{"him": "them", "himself": "themselves", "his": "their"},
    **{"reckon": "count", "reckons": "counts", "reckoned": "counted", "reckoning": "counting"},
}
"""What nobody writes to a colleague, or says of one sex what holds for people; with what to write instead."""
SPOKEN = re.compile(rf"(?i)(?<![\w\"'`.])(?:{'|'.join(OF_OLD)})(?![\w\"'`(])")
"""In quotes it is the word itself that is meant."""
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def plain_names(root: Path) -> Iterator[str]:
    """No name is made of "told", "tell", "anew" or "mend": to a reader a `told` may be printed, published, answered or
    heard, and a name must say which. No docstring or comment has a word of `OF_OLD`."""
    for source in sources(root, words=f"(?i){'|'.join(sorted(ODD))}"):
        for line, name in _made(source.tree):
            parts = {part.lower() for part in PARTS.findall(name)}
            if (odd := sorted(parts & ODD)) and APART not in parts:
                yield source.at(line, f"{name}: instead of {', '.join(odd)} the word for what happens ({PLAIN})")
    for source in sources(root, words=rf"(?i)\b(?:{'|'.join(OF_OLD)})\b"):
        for line, text in _read(source):
            for word in SPOKEN.findall(text):
                yield source.at(line, f"{word}: say it plainly ({OF_OLD[word.lower()]})")


def _read(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of what is there to be read: comments, docstrings, texts below attributes."""
    yield from source.comments.items()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.split("\n"), node.value.lineno)


def _made(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of whatever a file names itself; what it only uses was named elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, alias.asname) for alias in node.names if alias.asname)
