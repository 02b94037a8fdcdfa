"""One set of servers for all fault tests: they may be killed, and are healed before each file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.devtools.infra.suite import Infra
from tests.faults.support.market import Market
from tests.faults.support.proxy import Proxy
from tests.faults.support.servers import heal, installed, own_servers


@pytest.fixture(scope="session")
def own_infra_and_proxy() -> Iterator[tuple[Infra, Proxy]]:
    """Postgres, Kafka and Valkey that nobody else uses; a proxy through which Kafka can be reached too."""
    with own_servers() as made:
        yield made


@pytest.fixture(scope="session")
def own_infra(own_infra_and_proxy: tuple[Infra, Proxy]) -> Infra:
    """The servers alone."""
    return own_infra_and_proxy[0]


@pytest.fixture(scope="module")
def mortal(own_infra: Infra) -> Infra:
    """The same servers, alive."""
    heal(own_infra)
    return own_infra


@pytest.fixture
def market(mortal: Infra, tmp_path: Path) -> Iterator[Market]:
    """A fresh installation of rewards and points; nothing runs yet."""
    with installed(mortal, tmp_path / "state", ["rewards", "points"]) as home:
        made = Market(home, tmp_path)
        try:
            yield made
        finally:
            made.close()
