"""A copy of the code in which a test may do harm."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT

Seed = Callable[[str, str], Path]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The house's code, without data, caches and tests."""
    ignore = shutil.ignore_patterns("__pycache__", "*.csv", "*.json", "node_modules", "data", "build")
    for folder in ("services", "shared"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    return tmp_path


@pytest.fixture
def seed(house: Path) -> Seed:
    """Append text to a file of the copy, which is made where it isn't there."""

    def write(name: str, text: str) -> Path:
        path = house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
        return path

    return write
