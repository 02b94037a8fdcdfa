"""What fault tests share besides the servers that may be killed (tests/conftest.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.devtools.infra.suite import Infra
from tests.promises.support.market import Market
from tests.promises.support.servers import installed


@pytest.fixture
def market(mortal: Infra, tmp_path: Path) -> Iterator[Market]:
    """A fresh installation of rewards and points; nothing runs yet."""
    with installed(mortal, tmp_path / "state", ["rewards", "points"]) as home:
        made = Market(home, tmp_path)
        try:
            yield made
        finally:
            made.close()
