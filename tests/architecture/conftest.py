"""Houses and manifests in which a test may do harm: copies of this one's, and a small one that keeps every rule."""

import copy
import shutil
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check.render import Yaml, whole

ABOUT = '''"""What others need to know."""

from shared.kit.about import About

ABOUT = About("骑手", "riders", "知道骑手", "knows riders", ("/v1/riders*",), limit="none")
'''
MIGRATION = "-- Why: somebody needs it.\n-- migrate:up\n-- migrate:down\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The house's code, without data, caches and tests."""
    ignore = shutil.ignore_patterns("__pycache__", "*.csv", "*.json", "node_modules", "data", "build")
    for folder in ("services", "shared"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """One service and a bit of everything else: enough for a rule to bite, and quickly read."""
    service = tmp_path / "services/riders"
    for name in ("__init__", "__main__", "app", "api", "usecases", "domain", "store"):
        write(service / f"{name}.py", f'"""The {name}."""\n')
    write(service / "README.md", "# riders\n")
    write(service / "about.py", ABOUT)
    write(service / "migrations/0001_riders.sql", MIGRATION)
    for name in ("shared/kit/ids.py", "shared/kit/clock.py", "shared/events/topic.py", "shared/events/common.py"):
        write(tmp_path / name, '"""A part."""\n')
    write(tmp_path / "tests/test_part.py", '"""A test."""\n')
    return tmp_path


def write(path: Path, text: str) -> None:
    """Append to a file, which is made where it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture(scope="session")
def rendered() -> dict[str, list[Yaml]]:
    return {name: objects() for name, objects in whole(ROOT)}


@pytest.fixture
def kind(rendered: dict[str, list[Yaml]]) -> list[Yaml]:
    return copy.deepcopy(rendered["kind"])


@pytest.fixture
def production(rendered: dict[str, list[Yaml]]) -> list[Yaml]:
    return copy.deepcopy(rendered["production"])


@pytest.fixture
def one_node_s(rendered: dict[str, list[Yaml]]) -> list[Yaml]:
    return copy.deepcopy(rendered["small"])


@pytest.fixture
def toolbox(rendered: dict[str, list[Yaml]]) -> list[Yaml]:
    return copy.deepcopy(rendered["production with toolbox"])
