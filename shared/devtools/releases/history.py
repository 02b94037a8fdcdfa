"""Which release came before, what was in it, and whether its migrations are still what they were.

A release is a tag `v<major>.<minor>.<patch>`. From the first one on a migration that was in a release is never changed,
renamed or removed, and a new one gets a higher number: databases out there have run it. Before it, while no database is
anybody's, migrations may be written over.
"""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

RELEASE_TAGS = "v[0-9]*"
RELEASE = re.compile(r"^v\d+\.\d+\.\d+$")
MIGRATION = re.compile(r"^(?:services/[^/]+|shared/[^/]+)/migrations/(?:[^/]+/)?(?P<number>\d+)[^/]*\.sql$")
ENVIRONMENT = "BEEGRID_RELEASE"


class NoHistory(Exception):
    """There is no repository here, or not the commit that was named; the text says which."""


def git(root: Path, *words: str) -> bytes:
    """What git says. Raises NoHistory."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)  # noqa: S607 git is found on the PATH like everywhere
    except FileNotFoundError as error:
        raise NoHistory("git isn't installed") from error
    if done.returncode:
        raise NoHistory(done.stderr.decode().strip() or f"git {' '.join(words)} failed")
    return done.stdout


def last_release(root: Path) -> str | None:
    """The release before this tree: the nearest tag below HEAD, or at it where the tree has changes of its own.

    BEEGRID_RELEASE names another commit. None before the first release. Raises NoHistory.
    """
    if named := os.environ.get(ENVIRONMENT):
        git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
        return named
    git(root, "rev-parse", "--verify", "HEAD")
    here = _tags(root, "tag", "--points-at", "HEAD", "--list", RELEASE_TAGS)
    unchanged = not git(root, "status", "--porcelain", "--untracked-files=all", "--", "services", "shared").strip()
    for tag in _tags(root, "tag", "--merged", "HEAD", "--list", RELEASE_TAGS, "--sort=-version:refname"):
        if not (unchanged and tag in here):
            return tag
    return None


def _tags(root: Path, *words: str) -> list[str]:
    return [tag for tag in git(root, *words).decode().split() if RELEASE.match(tag)]


def migrations_at(root: Path, ref: str) -> dict[str, bytes]:
    """The migrations of a commit by path. Raises NoHistory."""
    listed = git(root, "ls-tree", "-r", "--name-only", ref, "--", "services", "shared").decode().splitlines()
    return {path: git(root, "show", f"{ref}:{path}") for path in listed if MIGRATION.match(path)}


def migrations_now(root: Path) -> dict[str, bytes]:
    """Those of the working tree by path."""
    files = (file for folder in ("services", "shared") for file in (root / folder).glob("*/migrations/**/*.sql"))
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(files)}


def rewritten(then: dict[str, bytes], now: dict[str, bytes]) -> Iterator[str]:
    """Released migrations that are no longer what they were, and new ones that would run before released ones."""
    newest: dict[str, str] = {}
    for path, text in sorted(then.items()):
        if path not in now:
            yield f"{path}: was released and is gone: databases have run it, and new ones would not"
        elif now[path] != text:
            yield f"{path}: was released and has changed: write a new migration instead"
        folder, number = path.rpartition("/")[0], _number(path)
        newest[folder] = max(newest.get(folder, ""), number)
    for path in sorted(now.keys() - then.keys()):
        last = newest.get(path.rpartition("/")[0])
        if last is not None and _number(path) <= last:  # as dbmate orders them: as text
            yield f"{path}: is new, and its number isn't above {last}, which was released"


def _number(path: str) -> str:
    found = MIGRATION.match(path)
    assert found is not None, f"{path} is no migration"
    return found["number"]


def check(root: Path) -> tuple[str | None, list[str]]:
    """The release that was compared with, and findings. Raises NoHistory."""
    release = last_release(root)
    if release is None:
        return None, []
    return release, list(rewritten(migrations_at(root, release), migrations_now(root)))


def unpack(root: Path, ref: str, target: Path, *folders: str) -> None:
    """A commit's files below a folder. Raises NoHistory."""
    packed = git(root, "archive", "--format=tar", ref, *folders)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(target, filter="data")
