"""Real servers once per test session, and an isolated installation of the suite on them."""

import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

if sys.dont_write_bytecode:
    # Who calls has forbidden it: each worker, and each process that a test starts, would compile the house again.
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    sys.dont_write_bytecode = False
if "PYTEST_XDIST_WORKER" in os.environ:
    # A terminal's width, from which the operator's command would take its own while it is imported below.
    os.environ.pop("COLUMNS", None)

from shared.devtools.infra.suite import Infra, start_infra
from shared.devtools.installation import Installation
from shared.kit.collector import collect_seldom
from shared.kit.postgres.db import Pool, prepare_connection

PoolFor = Callable[[str], Awaitable[Pool]]

collect_seldom()  # what is imported from here on is the whole house

MANY_PROCESSES = {"promises": "faults", "alerts": "faults", "journeys": "journeys"}
"""Folders whose tests start services by the handful, and their group: more such files at once would only measure each
other."""

LONG = ("tests/tools/infra/test_new_service.py", "tests/doors/rights/test_rights.py")
"""Files of a minute and more: begun last, one worker would still be at them when the other has nothing left."""

SHARING = ("tests/doors/strangers/",)
"""Folders whose files share what is slow to set up: they stay together."""


def _starts_many(place: str) -> bool:
    folder, *rest = place.split("/")[1:]
    return folder in MANY_PROCESSES and len(rest) == 1


def group_of(place: str) -> str:
    """The group of a test file, by its path from the project's root: one group, one worker."""
    if _starts_many(place):
        return MANY_PROCESSES[place.split("/")[1]]
    return next((one for one in SHARING if place.startswith(one)), place)


class ByFile(LoadScopeScheduling):
    """A file's tests share a worker and what the file sets up; what starts many processes shares one as well."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.split("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, so that no worker is left with it at the end."""
    places = {item.nodeid: item.nodeid.split("::")[0] for item in items}
    items.sort(key=lambda item: (not _starts_many(places[item.nodeid]), places[item.nodeid] not in LONG))


@pytest.fixture(scope="session")
def infra() -> Iterator[Infra]:
    """Postgres, Kafka and Valkey, started for this session or taken from the environment."""
    with start_infra(postgres_settings={"fsync": "off"}, brief=True) as running:
        yield running


@pytest.fixture(scope="session")
def installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A database, topic prefix, users and Redis number of this run's own, migrated and provisioned."""
    folder: Path = tmp_path_factory.mktemp("installation")
    with Installation.fresh(infra, folder, "t", redis_number=secrets.randbelow(15) + 1) as made:
        yield made


@pytest.fixture(scope="session")
async def pool_for(installation: Installation) -> AsyncIterator[PoolFor]:
    """Pools under the services' own roles."""
    pools: dict[str, Pool] = {}

    async def pool_of(service: str) -> Pool:
        if service not in pools:
            pools[service] = await asyncpg.create_pool(
                installation.dsn(service), min_size=1, max_size=8, init=prepare_connection
            )
        return pools[service]

    async with contextlib.AsyncExitStack() as stack:
        yield pool_of
        for pool in pools.values():
            stack.push_async_callback(pool.close)


@pytest.fixture(scope="session")
def own_infra_and_proxy() -> Iterator[tuple[Infra, Any]]:
    """Postgres, Kafka and Valkey that only tests of faults use, whom they may kill; a proxy that leads to Kafka too."""
    from tests.promises.support.servers import own_servers  # only where it is asked for: it brings everything else

    with own_servers() as made:
        yield made


@pytest.fixture(scope="session")
def own_infra(own_infra_and_proxy: tuple[Infra, Any]) -> Infra:
    """The servers alone."""
    return own_infra_and_proxy[0]


@pytest.fixture(scope="module")
def mortal(own_infra: Infra) -> Infra:
    """The same servers, alive: healed before each file."""
    from tests.promises.support.servers import heal

    heal(own_infra)
    return own_infra
