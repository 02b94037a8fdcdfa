"""Photos between the object store and the folder: objects are named by ids and never change."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.cli.backup.manifest import FileFacts
from shared.cli.client import CliError

FOLDER = "photos"


class Photos:
    """The object store at intake's address. Every method raises CliError where it doesn't answer."""

    def __init__(self, url: str) -> None:
        try:
            self._store: ObjectStore = (
                LocalStore.from_url(url, mkdir=True) if url.startswith("file://") else from_url(url)
            )
        except (BaseError, OSError, ValueError) as error:
            raise _away(error) from error

    def names(self) -> list[str]:
        """The paths of all objects."""
        try:
            return sorted(str(one["path"]) for page in obstore.list(self._store) for one in page)
        except (BaseError, OSError) as error:
            raise _away(error) from error

    def fetch(self, names: Sequence[str], folder: Path, on_done: Callable[[], None]) -> Iterator[tuple[str, FileFacts]]:
        """Copy objects into the folder; (path below it, facts) of each. One that was purged meanwhile is left out."""
        for name in names:
            try:
                content = bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError:
                on_done()
                continue  # only what no report uses is ever purged
            except (BaseError, OSError) as error:
                raise _away(error) from error
            path = f"{FOLDER}/{PurePosixPath(name)}"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            on_done()
            yield path, FileFacts(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))

    def store(self, paths: Sequence[str], folder: Path, on_done: Callable[[], None]) -> None:
        """Copy the folder's photos into the store; one that is there already is written again."""
        for path in paths:
            try:
                obstore.put(self._store, path.removeprefix(f"{FOLDER}/"), (folder / path).read_bytes())
            except (BaseError, OSError) as error:
                raise _away(error) from error
            on_done()

    def differing(self, expected: dict[str, FileFacts]) -> list[str]:
        """Paths below the folder whose object is not what the manifest says."""
        found = []
        for path, facts in expected.items():
            try:
                content = bytes(obstore.get(self._store, path.removeprefix(f"{FOLDER}/")).bytes())
            except FileNotFoundError:
                found.append(path)
                continue
            except (BaseError, OSError) as error:
                raise _away(error) from error
            if hashlib.sha256(content).hexdigest() != facts.sha256:
                found.append(path)
        return found


def _away(error: Exception) -> CliError:
    return CliError(
        "照片库没有应答 / The object store doesn't answer",
        f"{type(error).__name__}: {str(error)[:200]}",
        hint="look at BEEGRID_PHOTO_STORE_URL and its AWS_* variables",
    )
