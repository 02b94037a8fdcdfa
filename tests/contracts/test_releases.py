"""A release leaves its ground to the one before: migrations stay as they were, and its code works on the new schema."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.devtools.releases import history, schema
from shared.devtools.releases.__main__ import BEFORE_THE_FIRST, main
from shared.kit.postgres.schema import VERSION
from shared.known.tables import migration_folders
from shared.provision.migrate import migrate
from shared.provision.postgres import owner_role

FIRST = "services/riders/migrations/0001_riders.sql"
SECOND = "services/riders/migrations/0002_names.sql"
THIRD = "services/riders/migrations/0003_more.sql"
KIT = "shared/kit/migrations/0000_messaging.sql"
GROUPED = "shared/known/migrations/riders/00007_known.sql"


def git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-C", root, "-c", "user.name=x", "-c", "user.email=x@example.org", *words],
        check=True,
        capture_output=True,
    )


def write(root: Path, path: str, text: str = "-- migrate:up\n") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two migrations of a service and shared ones, committed; no release."""
    monkeypatch.delenv(history.ENVIRONMENT, raising=False)
    monkeypatch.delenv("CI", raising=False)
    git(tmp_path, "init", "-q")
    for path in (FIRST, SECOND, KIT, GROUPED):
        write(tmp_path, path)
    commit(tmp_path)
    return tmp_path


def commit(root: Path, tag: str = "") -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x", "--allow-empty")
    if tag:
        git(root, "tag", tag)


def test_before_the_first_release_migrations_may_be_written_over(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(house, "tag", "v-next")
    git(house, "tag", "v1.0.0-rc1")
    write(house, FIRST, "-- another\n")
    assert history.check(house) == (None, [])
    assert main(["--root", str(house)]) == 0
    assert BEFORE_THE_FIRST in capsys.readouterr().out


def changed(root: Path) -> None:
    write(root, FIRST, "-- another\n")


def renamed(root: Path) -> None:
    (root / SECOND).rename(root / "services/riders/migrations/0002_called.sql")


def shared_one_changed(root: Path) -> None:
    write(root, GROUPED, "-- another\n")


def gone(root: Path) -> None:
    (root / KIT).unlink()


def squeezed_in(root: Path) -> None:
    write(root, "services/riders/migrations/00015_between.sql")


@pytest.mark.parametrize(
    ("harm", "findings"),
    [
        (changed, [f"{FIRST}: was released and has changed"]),
        (shared_one_changed, [f"{GROUPED}: was released and has changed"]),
        (gone, [f"{KIT}: was released and is gone"]),
        (renamed, [f"{SECOND}: was released and is gone", "0002_called.sql: is new, and its number isn't above 0002"]),
        (squeezed_in, ["00015_between.sql: is new, and its number isn't above 0002"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_released_migration_stays_as_it_was(house: Path, harm: Callable[[Path], None], findings: list[str]) -> None:
    git(house, "tag", "v1.0.0")
    harm(house)
    release, found = history.check(house)
    assert release == "v1.0.0"
    assert len(found) == len(findings)
    assert all(any(words in line for line in found) for words in findings), found
    assert main(["--root", str(house)]) == 1


def test_new_migrations_and_new_services_may_come(house: Path) -> None:
    git(house, "tag", "v1.0.0")
    write(house, THIRD)
    write(house, "services/stations/migrations/0001_stations.sql")
    assert history.check(house) == ("v1.0.0", [])


def test_a_release_is_compared_with_the_one_before_it(house: Path) -> None:
    commit(house, "v1.9.0")
    write(house, THIRD)
    commit(house, "v1.10.0")
    assert history.last_release(house) == "v1.9.0"  # the tree is v1.10.0 itself
    write(house, THIRD, "-- changed\n")
    assert history.last_release(house) == "v1.10.0"
    commit(house)
    assert history.last_release(house) == "v1.10.0"
    assert len(history.check(house)[1]) == 1


def test_where_there_is_no_history_it_says_so_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("CI", raising=False)
    assert main(["--root", str(tmp_path)]) == 0
    assert "skipped: nothing to compare with" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    assert main(["--root", str(tmp_path)]) == 1


@pytest.fixture(scope="module")
def former() -> schema.Statements:
    """What the last release runs; before the first one, what the last commit does: then only the check is checked."""
    try:
        release = history.last_release(ROOT) or "HEAD"
        return schema.statements_of(ROOT, release)
    except history.NoHistory as error:
        pytest.skip(f"nothing to compare with: {error}")


@pytest.fixture
def expanded(infra: Infra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation on this tree's schema, which a test may change; without topics."""
    monkeypatch.setattr(Installation, "set_up_kafka", lambda _: None)
    with Installation.fresh(infra, tmp_path, "r") as made:
        yield made


async def test_the_former_release_works_on_this_schema(former: schema.Statements, installation: Installation) -> None:
    assert sum(len(statements) for statements in former.values()) > 300
    assert await schema.faults(installation, former) == []


TOO_EARLY = {
    "a column that is gone": (
        "cases",
        "ALTER TABLE inbox RENAME COLUMN event_id TO id",
        'UndefinedColumnError: column "event_id"',
    ),
    "a table that is gone": ("points", "ALTER TABLE entries RENAME TO lines", 'relation "entries" does not exist'),
    "a value that it doesn't give": (
        "routing",
        "ALTER TABLE dead_letters ADD COLUMN blame text NOT NULL DEFAULT ''; "
        "ALTER TABLE dead_letters ALTER COLUMN blame DROP DEFAULT",
        "dead_letters.blame must have a value now",
    ),
    "a right that it has lost": ("tracking", "REVOKE INSERT ON outbox FROM {app}", "InsufficientPrivilegeError"),
}


@pytest.mark.parametrize("what", TOO_EARLY)
async def test_what_is_contracted_too_early_is_found(
    former: schema.Statements, expanded: Installation, what: str
) -> None:
    service, sql, finding = TOO_EARLY[what]
    owner = await asyncpg.connect(expanded.dsn(service, owner_role))
    app = expanded.dsn(service).split("//")[1].split(":")[0]
    await owner.execute(sql.format(app=app))
    await owner.close()
    found = await schema.faults(expanded, {service: former[service]})
    assert any(finding in line for line in found), found
    assert all(line.startswith(f"{service}: ") for line in found)


def test_the_former_releases_set_up_changes_nothing_on_a_newer_schema(expanded: Installation, tmp_path: Path) -> None:
    """A rollback runs it once more: it has all of its migrations, and leaves those alone that it doesn't know."""
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "9999_more.sql").write_text(
        "-- migrate:up\nCREATE TABLE more (id bigint PRIMARY KEY);\n-- migrate:down\n", encoding="utf-8"
    )
    owner, folders = expanded.dsn("riders", owner_role), migration_folders("riders")
    assert migrate(owner, "riders", [*folders, newer]) == ["9999"]
    assert migrate(owner, "riders", folders) == []
    assert all(VERSION.match(file.name) for folder in folders for file in folder.glob("*.sql"))
