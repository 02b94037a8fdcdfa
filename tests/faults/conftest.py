"""One set of servers for all fault tests: they may be killed, and are healed before each file."""

from collections.abc import Iterator

import pytest

from shared.devtools.infra.suite import Infra
from tests.faults.support.servers import heal, own_servers


@pytest.fixture(scope="session")
def own_infra() -> Iterator[Infra]:
    """Postgres, Kafka and Valkey that nobody else uses."""
    with own_servers() as infra:
        yield infra


@pytest.fixture(scope="module")
def mortal(own_infra: Infra) -> Infra:
    """The same servers, alive."""
    heal(own_infra)
    return own_infra
