"""Rules about what the commands show."""

from collections.abc import Iterator
from pathlib import Path

from shared.devtools.house.source import imported, sources

SCREEN_FILE = "shared/cli/screen.py"
RAW = frozenset({"rich.console.Console", "rich.table.Table", "rich.print", "rich.markup.escape"})
# whole modules, and what they have: Table.grid, Console and so on would be reached through them
RAW_MODULES = frozenset({"rich", "rich.console", "rich.table", "rich.markup"})


def screens(root: Path) -> Iterator[str]:
    """Commands show others' words through shared/cli/screen.py: rich's own tables and consoles read them as markup."""
    for source in sources(root, "shared/cli"):
        if source.name == SCREEN_FILE:
            continue
        for line, name in imported(source.tree):
            if name in RAW or name in RAW_MODULES or name.rpartition(".")[0] in RAW_MODULES - {"rich"}:
                yield source.at(line, f"{name} in a command; take Cells, Screen and shown of {SCREEN_FILE}")
