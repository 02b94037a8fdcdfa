"""Promise 2: an event takes effect once, however often it is delivered and wherever the consumer dies."""

import contextlib
import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import ServiceProcess, Suite
from shared.events.case_changed import CASE_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit import clock
from tests.full import FULL
from tests.promises.support.case_stream import events, thrice
from tests.promises.support.database import ask
from tests.promises.support.deaths import DYING, POINTS
from tests.promises.support.kafka import RawProducer, rewind, wait_consumed
from tests.promises.support.points_state import State, differences, ledger_problems, state_hash, state_of
from tests.promises.support.servers import installed, seed
from tests.promises.support.witness import make_witness

EVENTS, DEATHS = (5_000, 12) if FULL else (400, 3)
BATCH = 40
TOPICS = (CASE_CHANGED.name, RIDER_CHANGED.name)
LIMIT_S = 120.0 if FULL else 40.0


class Home:
    """An installation with the points service only, and its process."""

    def __init__(self, installation: Installation, logs: Path) -> None:
        self.installation = installation
        self.logs = logs
        self.suite = Suite(installation, installation.infra.guard or Guard(), logs)
        self.numbers = itertools.count(1)
        make_witness(installation, "points")

    def process(self, **wishes: str) -> ServiceProcess:
        """The service, started by the launcher; a static member, so that its next life takes over at once."""
        number = f"points-{next(self.numbers)}"
        extra = {
            "BEEGRID_KAFKA_INSTANCE_ID": "points",
            "BEEGRID_BATCH_RECORDS_MAX": str(BATCH),
            **{f"FAULTS_{name.upper()}": wish for name, wish in wishes.items()},
        }
        process = self.suite.prepare("points", number, extra)
        process.spec.argv = [sys.executable, "-m", "tests.promises.support.points_launcher"]
        return process

    def drain(self) -> State:
        """Wait until all is consumed and published."""
        wait_consumed(self.installation, "points", TOPICS, LIMIT_S)
        deadline_s = clock.monotonic_s() + LIMIT_S
        while ask(self.installation.dsn("points"), "SELECT count(*) FROM outbox")[0][0]:
            assert clock.monotonic_s() < deadline_s, "the outbox doesn't get empty"
            time.sleep(0.1)
        return state_of(self.installation)

    def live_until_death(self, point: str, batch: int) -> None:
        """One life of the service."""
        process = self.process(die=f"{point}:{batch}")
        with contextlib.suppress(InfraError):  # it may die before it was asked whether it is ready
            process.start()
        deadline_s = clock.monotonic_s() + LIMIT_S
        while process.running:
            assert clock.monotonic_s() < deadline_s, f"never came to {point}, batch {batch}\n{process.log_tail()}"
            time.sleep(0.05)
        process.forget()
        assert f"{DYING} {point}" in process.spec.log.read_text(), process.log_tail()


@pytest.fixture(scope="module")
def undisturbed(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Where each event is delivered once and nobody dies."""
    folder = Path(tmp_path_factory.mktemp("undisturbed"))
    with installed(mortal, folder, ["points"]) as made:
        yield Home(made, folder)


@pytest.fixture(scope="module")
def disturbed(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Where everything goes wrong."""
    folder = Path(tmp_path_factory.mktemp("disturbed"))
    with installed(mortal, folder, ["points"]) as made:
        yield Home(made, folder)


@pytest.mark.timeout(900)
def test_three_deliveries_deaths_and_a_replay_end_in_the_fault_free_state(undisturbed: Home, disturbed: Home) -> None:
    chosen = seed()
    rng = random.Random(chosen)
    stream = events(chosen, EVENTS)
    RawProducer(undisturbed.installation).send_all(stream)
    RawProducer(disturbed.installation).send_all(thrice(stream, rng))

    process = undisturbed.process()
    process.start()
    expected = undisturbed.drain()
    process.kill()
    assert all(count == 1 for _, count in expected["times each event took effect"])
    assert len(expected["times each event took effect"]) == EVENTS
    assert expected["dead letters"], "the stream has refused events"

    for n in range(DEATHS):
        disturbed.live_until_death(list(POINTS)[n % len(POINTS)], rng.randint(1, 4))
    process = disturbed.process()
    process.start()
    after_deaths = disturbed.drain()
    process.stop()
    assert differences(after_deaths, expected) == []

    for topic in TOPICS:
        rewind(disturbed.installation, "points", topic)
    process = disturbed.process()
    process.start()
    after_replay = disturbed.drain()
    process.kill()
    assert differences(after_replay, expected) == []
    assert state_hash(after_replay) == state_hash(expected)
    assert ledger_problems(disturbed.installation) == []


@pytest.mark.timeout(300)
def test_the_hash_differs_where_the_inbox_is_switched_off(undisturbed: Home) -> None:
    """Without an inbox the first delivery is as right as ever; the second shows it."""
    stream = events(1, 60)
    producer = RawProducer(undisturbed.installation)
    process = undisturbed.process(inbox="off")
    process.start()
    producer.send_all(stream)
    once = undisturbed.drain()
    producer.send_all(stream)
    twice = undisturbed.drain()
    process.kill()
    assert state_hash(once) != state_hash(twice)
    assert {line.split(":")[0] for line in differences(once, twice)} >= {"times each event took effect", "dead letters"}
