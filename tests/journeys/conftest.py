"""The whole suite, every service a process of its own behind the front door, with the demo city in force."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.devtools.demo.target import target_of
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite, local_settings
from shared.synthetic import opening
from shared.synthetic.door import Door
from shared.synthetic.people import Company

COMPANY = "suda"


@pytest.fixture(scope="package")
def own_installation(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of the journeys' own: running services would work on what other tests put into their tables."""
    with Installation.fresh(infra, tmp_path_factory.mktemp("journeys"), "j") as made:
        yield made


@pytest.fixture(scope="package")
def suite(own_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """All services of that installation, and Caddy."""
    installation = own_installation
    folder = Path(tmp_path_factory.mktemp("suite"))
    guard = installation.infra.guard or Guard()
    overrides = {
        **local_settings(folder),
        "BEEGRID_SENDER_POLL_S": "0.1",
        "BEEGRID_ERASURE_SETTLE_S": "1",
        "BEEGRID_PEAK_HOURS": "",
    }
    made = Suite(installation, guard, folder, overrides=overrides)
    try:
        made.start(installation.services)
        made.open_front_door(free_port())
        yield made
    finally:
        made.stop()
        if installation.infra.guard is None:
            guard.close()


@pytest.fixture(autouse=True)
def nothing_died(suite: Suite) -> Iterator[None]:
    """A journey ends with every process that it began with, or names the one that died and shows its log."""
    yield
    suite.check()


@dataclass
class Town:
    """The suite with a city and one company in it."""

    door: Door
    company: Company
    suite: Suite


@pytest.fixture(scope="package")
async def town(suite: Suite) -> AsyncIterator[Town]:
    """The demo city, one registered company with its key and its Kafka user."""
    door = Door(target_of(suite))
    try:
        await opening.import_city(door)
        await opening.let_time_be_short(door)
        [company] = await opening.register_companies(door, ((COMPANY, "速达快递", "courier", 20),))
        await opening.register_riders(door, [company], lambda _: None)
        yield Town(door, company, suite)
    finally:
        await door.close()
