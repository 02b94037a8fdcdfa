"""Installations of this folder's own, each with a database, topics and photos of its own on the session's servers."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from shared.cli.backup.places import Places
from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.provision.postgres import other_database


@dataclass(frozen=True)
class Home:
    """One installation and what the operator's command knows of it."""

    installation: Installation
    photos: Path

    @property
    def places(self) -> Places:
        """Its servers."""
        made = self.installation
        url = other_database(made.infra.postgres_admin_url, made.name)
        return Places(url, made.cluster, self.photos.as_uri())


@pytest.fixture
def new_home(infra: Infra, tmp_path: Path) -> Iterator[Callable[[], Home]]:
    """Makes empty installations, which end with the test."""
    with contextlib.ExitStack() as stack:

        def make() -> Home:
            folder = tmp_path / secrets.token_hex(4)
            one = stack.enter_context(Installation.fresh(infra, folder, "b"))
            photos = folder / "photos"
            photos.mkdir()
            return Home(one, photos)

        yield make


@pytest.fixture
def quiet() -> Iterator[Progress]:
    """A progress that nobody sees."""
    with Progress(console=Console(quiet=True)) as progress:
        yield progress
