"""Migrations block no running service: squawk's rules hold for all of them, and bite."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT

SQUAWK = Path(sys.executable).parent / "squawk"


def squawk(*files: Path) -> subprocess.CompletedProcess[str]:
    """Lint files under the repository's configuration."""
    return subprocess.run(
        [SQUAWK, "--config", ROOT / ".squawk.toml", "--reporter", "gcc", *files],
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_migrations() -> None:
    files = sorted([*ROOT.glob("services/*/migrations/*.sql"), *ROOT.glob("shared/*/migrations/**/*.sql")])
    assert len(files) >= 10
    done = squawk(*files)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("CREATE INDEX riders_name ON riders (name);", "require-concurrent-index-creation"),
        ("ALTER TABLE riders ALTER COLUMN name SET NOT NULL;", "adding-not-nullable-field"),
        ("ALTER TABLE riders ADD COLUMN rank bigint NOT NULL;", "adding-required-field"),
        ("ALTER TABLE riders ALTER COLUMN kind TYPE varchar(20);", "changing-column-type"),
        ("ALTER TABLE riders RENAME COLUMN kind TO sort;", "renaming-column"),
        ("ALTER TABLE riders ADD CONSTRAINT named CHECK (name <> '');", "constraint-missing-not-valid"),
        ("DROP TABLE riders;", "ban-drop-table"),
    ],
)
def test_a_blocking_migration_is_found(tmp_path: Path, sql: str, rule: str) -> None:
    file = tmp_path / "0002_block.sql"
    file.write_text(f"-- Why: a seeded fault\n-- migrate:up\n{sql}\n-- migrate:down\n")
    done = squawk(file)
    assert done.returncode == 1
    assert rule in done.stdout
