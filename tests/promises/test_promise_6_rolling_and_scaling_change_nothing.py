"""Promise 6: rolling restarts and scaling lose nothing, double nothing, and are caught up with within a minute."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shared.devtools.infra.suite import Infra
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock
from tests.full import FULL
from tests.promises.support.database import ask
from tests.promises.support.kafka import lag
from tests.promises.support.line import HEARS, SERVICES, Line, Reports
from tests.promises.support.servers import installed, seed

RESTARTS, PER_SECOND = (10, 50.0) if FULL else (2, 50.0)
CAUGHT_UP_S = 60.0
"""The promise's own limit, at every size."""
CAUGHT_UP = int(PER_SECOND * len(SERVICES))
"""Records of all three topics that may wait while everything is well: one second of the load."""
PARTITIONS = 6
MANY = 4 if FULL else 2
SLOW_S = 0.6


@contextmanager
def line(infra: Infra, folder: Path, services: tuple[str, ...]) -> Iterator[Line]:
    """A fresh installation; its processes end with the block."""
    with installed(infra, folder / "state", services) as home:
        made = Line(home, folder, services)
        try:
            yield made
        finally:
            made.suite.stop()


@pytest.fixture
def short(mortal: Infra, tmp_path: Path) -> Iterator[Line]:
    """The first service only."""
    with line(mortal, tmp_path, ("routing",)) as made:
        yield made


@pytest.mark.timeout(1_200)
def test_restarts_and_scaling_lose_and_double_nothing(mortal: Infra, tmp_path: Path) -> None:
    chosen = seed()
    rng = random.Random(chosen)
    with line(mortal, tmp_path, SERVICES) as suite:
        suite.start(*SERVICES)
        reports = Reports(suite.home, PER_SECOND, chosen)
        reports.start()
        try:
            for n in range(RESTARTS):
                service = SERVICES[n % len(SERVICES)] if FULL else rng.choice(SERVICES)
                [process] = suite.replicas[service]
                suite.stop([process])
                process.start()
                suite.replicas[service].append(process)
                print(f"{service} restarted, caught up in {suite.wait_lag(CAUGHT_UP, CAUGHT_UP_S):.1f} s")
            scaled(suite, rng.choice(SERVICES))
        finally:
            sent = reports.stop()
        suite.drain(CAUGHT_UP_S)
        assert len(sent) > RESTARTS * PER_SECOND
        assert suite.problems(sent) == []


def scaled(suite: Line, service: str) -> None:
    """One process becomes many and one again, both ways of membership at full size."""
    for static in (False, True) if FULL else (False,):
        added = suite.start(*[service] * (MANY - 1), static=static)
        # the first process has a name of its own in any case
        named = suite.replicas[service] if static else suite.replicas[service][:1]
        names = {f"{process.spec.name}.{HEARS[service]}" for process in named}
        shares = shared_among(suite, service, MANY)
        assert sum(shares.values()) == PARTITIONS
        assert min(shares.values()) >= 1, f"somebody has nothing to do: {shares}"
        assert names <= shares.keys(), "the names that the processes were given are not their names in the group"
        print(f"{service} ×{MANY}, caught up in {suite.wait_lag(CAUGHT_UP, CAUGHT_UP_S):.1f} s: {shares}")
        suite.stop(added)
        print(f"{service} ×1, caught up in {suite.wait_lag(CAUGHT_UP, CAUGHT_UP_S):.1f} s")


def shared_among(suite: Line, service: str, members: int) -> dict[str, int]:
    """The group's members, once it has so many and the partitions are given out."""
    deadline_s = clock.monotonic_s() + CAUGHT_UP_S
    while len(shares := suite.members(service)) != members or sum(shares.values()) != PARTITIONS:
        assert clock.monotonic_s() < deadline_s, f"not {members} members with all partitions: {shares}"
        time.sleep(0.2)
    return shares


def test_sigterm_ends_readiness_first_and_the_batch_at_hand_is_finished(short: Line) -> None:
    """What orchestrators rely on, step by step, on one process whose every batch takes a while."""
    process = short.prepare("routing", slow_s=str(SLOW_S))
    process.spec.env = {**process.spec.env, "BEEGRID_DRAIN_S": "1.5", "BEEGRID_BATCH_RECORDS_MAX": "10"}
    process.start()
    short.replicas["routing"].append(process)
    reports = Reports(short.home, PER_SECOND, seed())
    reports.start()
    try:
        while not effects(short):
            time.sleep(0.05)
        seen: Counter[str] = Counter()
        with watching(process.url, seen):
            took_s = short.stop([process])
    finally:
        sent = reports.stop()
    assert seen["unready and alive"] >= 3, f"it wasn't unready before it stopped to answer: {seen}"
    assert seen["ready after unready"] == 0
    assert took_s < process.spec.grace_s - 5, f"it left after {took_s:.1f} s: killed rather than finished"
    settled = len(sent) - lag(short.home, "routing", REPORT_RECEIVED.name)
    assert 0 < settled < len(sent), "it was stopped in the middle of its work"
    assert effects(short) == settled, "effects without a committed offset would come again, or offsets without effects"
    process.spec.env = {**process.spec.env, "FAULTS_SLOW_S": "0"}
    # the same name in the group: nobody waits until the broker has forgotten the former member
    process.start()
    short.replicas["routing"].append(process)
    short.drain(CAUGHT_UP_S)
    assert short.problems(sent) == []


@contextmanager
def watching(url: str, seen: Counter[str]) -> Iterator[None]:
    """Ask a process twenty times a second whether it is ready and whether it lives, while the block runs."""
    done = threading.Event()

    def watch() -> None:
        unready = False
        with httpx.Client(timeout=1) as http:
            while not done.wait(0.05):
                try:
                    ready, alive = (http.get(url + path).status_code == 200 for path in ("/readyz", "/livez"))
                except httpx.HTTPError:
                    seen["no answer"] += 1
                    continue
                unready = unready or not ready
                seen["unready and alive"] += not ready and alive
                seen["ready after unready"] += ready and unready

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def effects(suite: Line) -> int:
    """Events that took effect in routing."""
    count: int = ask(suite.home.dsn("routing"), "SELECT count(*) FROM witness")[0][0]
    return count


# --- the checker fails where it must --------------------------------------------------------------------------------


@pytest.mark.parametrize(("plant", "seen"), [("acknowledges-first", "lost"), ("never-commits", "more than once")])
def test_the_checker_sees_a_careless_restart(short: Line, plant: str, seen: str) -> None:
    [process] = short.start("routing", plant=plant, slow_s=str(SLOW_S))
    reports = Reports(short.home, 200.0, seed())
    reports.start()
    try:
        while effects(short) < 100:
            time.sleep(0.05)
        short.stop([process])
    finally:
        sent = reports.stop()
    process.start()
    if plant == "acknowledges-first":
        short.drain(CAUGHT_UP_S)
    else:
        wait_effects(short, len(sent) + 100)
    problems = short.problems(sent)
    assert [problem for problem in problems if seen in problem], problems


def wait_effects(suite: Line, count: int) -> None:
    """Until so many effects are there."""
    deadline_s = clock.monotonic_s() + 30
    while (n := effects(suite)) < count:
        assert clock.monotonic_s() < deadline_s, f"{n} effects of {count}"
        time.sleep(0.1)
