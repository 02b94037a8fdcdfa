"""One set of real servers for this folder: always our own, also when the environment names others."""

from collections.abc import Iterator

import pytest

from shared.devtools.infra import suite
from shared.devtools.infra.suite import Infra, start_infra


@pytest.fixture(scope="session")
def own_infra() -> Iterator[Infra]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (suite.POSTGRES_ADMIN_URL, suite.KAFKA_BOOTSTRAP, suite.REDIS_URL):
            patch.delenv(name, raising=False)
        with start_infra() as infra:
            yield infra
