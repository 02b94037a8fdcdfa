"""The table of services in README.md and README.zh.md, from what each declares."""

from pathlib import Path

from shared.devtools.gen.files import Generated
from shared.devtools.gen.regions import filled
from shared.provision.services import about, in_place


def _table(root: Path, *, chinese: bool) -> str:
    head = ("服务", "名称", "做什么") if chinese else ("service", "", "what it does")
    rows = [
        (
            f"[{name}](services/{name}/README.md)",
            about(name).zh,
            about(name).does_zh if chinese else about(name).does_en,
        )
        for name in in_place(root)
    ]
    # Markdown takes a comment right above a table for a part of it
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * 3, *rows)) + "\n"


def generate(root: Path) -> Generated:
    """Both pages, with the table between its marks."""
    pages = {"README.md": _table(root, chinese=False), "README.zh.md": _table(root, chinese=True)}
    return Generated(
        files={
            name: filled((root / name).read_text(encoding="utf-8"), {"services": table}, name)
            for name, table in pages.items()
        }
    )
