"""Promise 1: a 2xx means that the event reaches Kafka, and the versions of one aggregate arrive in order."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.riders import usecases
from services.riders.app import build
from services.riders.domain import Registered
from services.riders.usecases import NewKey
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import ServiceProcess, Suite
from shared.events.envelope import Envelope, to_headers
from shared.events.inbound_riders import RiderSubmission
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.publishing.relay import Relay
from shared.kit.service import Service
from tests.full import FULL
from tests.kit.messaging.conftest import running
from tests.promises.support.broken_relays import DeletesFirst, Unordered
from tests.promises.support.company import Clients, registered
from tests.promises.support.database import ask
from tests.promises.support.delivery import Arrival, arrivals, delivery_problems
from tests.promises.support.journal import Result
from tests.promises.support.kafka import Raw, RawProducer, read_topic
from tests.promises.support.nemesis import Nemesis, schedule
from tests.promises.support.servers import installed, revive, seed
from tests.support import settings_of

KEYS, CHANGES, PER_SECOND = (500, 20_000, 170) if FULL else (50, 900, 140)
FAULTS = {"kill": 9, "stop the leader": 1, "broker": 3, "postgres": 3} if FULL else {
    "kill": 1, "stop the leader": 1, "broker": 1, "postgres": 1,
}  # fmt: skip
QUIET_S = (4.0, 8.0) if FULL else (0.5, 1.5)
STOPPED_S = 30.0 if FULL else 4.0
DRAIN_S = 60.0
SQL_VERSIONS = "SELECT rider_id::text, version FROM riders WHERE company = $1"
# A frozen process keeps its connection, and with it the lock: cut, so that another relay leads while this one sleeps.
SQL_DEPOSE = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND application_name = 'riders-relay'
"""


@pytest.fixture(scope="module")
def home(mortal: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with the riders service only."""
    with installed(mortal, Path(tmp_path_factory.mktemp("promise1")), ["riders"]) as made:
        yield made


def arrived(home: Installation, company: str) -> list[Arrival]:
    """The company's part of the topic."""
    records = read_topic(home, RIDER_CHANGED.name)
    return arrivals([record for record in records if json.loads(record.value)["company"] == company])


def versions(home: Installation, company: str) -> dict[str, int]:
    """What the service's own table says."""
    return dict(ask(home.dsn("riders"), SQL_VERSIONS, company))  # type: ignore[arg-type]  # rows of two columns


def wait_published(home: Installation) -> None:
    """Until the outbox is empty."""
    deadline_s = clock.monotonic_s() + DRAIN_S
    while left := ask(home.dsn("riders"), "SELECT count(*) FROM outbox")[0][0]:
        assert clock.monotonic_s() < deadline_s, f"{left} events are still in the outbox {DRAIN_S} s after healing"
        time.sleep(0.2)


def leads(process: ServiceProcess) -> bool:
    """Whether this process relays."""
    return "beegrid_relay_leader 1.0" in httpx.get(f"{process.url}/metrics", timeout=5).text


def nemesis_for(home: Installation, pair: list[ServiceProcess], rng: random.Random) -> Nemesis:
    """Everything that the promise is held against."""
    infra = home.infra
    assert infra.kafka is not None
    assert infra.postgres is not None

    def kill() -> str:
        victim = rng.choice(pair)
        victim.kill()
        victim.start()
        return victim.spec.name

    def stop_the_leader() -> str:
        deadline_s = clock.monotonic_s() + 20
        while not (leading := [process for process in pair if leads(process)]):
            assert clock.monotonic_s() < deadline_s, "nobody leads"
            time.sleep(0.1)
        leading[0].pause()
        time.sleep(STOPPED_S / 2)
        deposed = ask(infra.postgres_admin_url, SQL_DEPOSE, *())
        time.sleep(STOPPED_S / 2)
        leading[0].resume()
        return f"{leading[0].spec.name}, deposed {len(deposed)}"

    def crash_postgres() -> None:
        infra.postgres.kill()
        infra.postgres.start()

    actions = {
        "kill": kill,
        "stop the leader": stop_the_leader,
        "broker": infra.kafka.restart,
        "postgres": crash_postgres,
    }
    return Nemesis(schedule(rng, FAULTS, QUIET_S), actions)


# --- the checker fails where it must --------------------------------------------------------------------------------


async def changed_by(home: Installation, company: str, relay: type[Relay], *, hasty: bool = False) -> list[str]:
    """Riders changed in this process with the given relay; what the checker says. `hasty`: one event is sent by hand
    and its transaction is then rolled back."""
    service = build(settings_of(home, "riders"))
    service.relay = relay(service.settings, service.name)
    accepted: set[tuple[str, int]] = set()
    async with running(service):
        sealer = Sealer(service.settings.sealing_key.get_secret_value())
        async with service.work() as work:
            assert isinstance(await usecases.create_company(work, sealer, company, "测试"), NewKey)
        for turn in range(20):
            accepted |= await change(service, company, f"第{turn}次")
        if hasty:
            with pytest.raises(RuntimeError):
                await change(service, company, "不算", hasty=RawProducer(home))
        await asyncio.to_thread(wait_published, home)
    found = await asyncio.to_thread(arrived, home, company)
    return delivery_problems(accepted, found, await asyncio.to_thread(versions, home, company))


async def change(service: Service, company: str, name: str, hasty: RawProducer | None = None) -> set[tuple[str, int]]:
    """Change ten riders three times each in one transaction."""
    submissions = [RiderSubmission(external_id=f"r{n % 10}", name=f"{name}.{n}") for n in range(30)]
    async with service.work() as work:
        outcomes = await usecases.register(work, [usecases.registration(company, one) for one in submissions])
        if hasty is not None:
            row = work.rows[0]
            headers = to_headers(
                Envelope(row.event_id, row.topic, f"/beegrid/{service.name}", row.key, row.version, row.occurred_at)
            )
            hasty.send_all([Raw(row.topic, row.key, row.payload, headers)])
            raise RuntimeError("rolled back after it was acknowledged")
    return {(str(one.rider_id), one.version) for one in outcomes if isinstance(one, Registered)}


def fresh(word: str) -> str:
    """A company of this run's own."""
    return f"{word}-{secrets.token_hex(3)}"


async def test_the_checker_finds_nothing_where_nothing_is_wrong(home: Installation) -> None:
    assert await changed_by(home, fresh("sound"), Relay) == []


async def test_the_checker_finds_what_a_relay_loses_that_deletes_before_it_sends(home: Installation) -> None:
    problems = await changed_by(home, fresh("loses"), DeletesFirst)
    assert [problem for problem in problems if problem.startswith("lost: acknowledged to a client")], problems


async def test_the_checker_finds_the_disorder_of_a_relay_without_order(home: Installation) -> None:
    problems = await changed_by(home, fresh("mixes"), Unordered)
    assert [problem for problem in problems if problem.startswith("out of order")], problems


async def test_the_checker_finds_an_event_of_a_transaction_that_was_rolled_back(home: Installation) -> None:
    problems = await changed_by(home, fresh("hasty"), Relay, hasty=True)
    assert [problem for problem in problems if problem.startswith("never committed")], problems


# --- the promise: last, for the broker remembers its static members for a while --------------------------------------


@pytest.mark.timeout(900)
def test_whatever_was_accepted_arrives_once_and_in_order(home: Installation, tmp_path: Path) -> None:
    chosen = seed()
    guard = home.infra.guard or Guard()
    suite = Suite(home, guard, tmp_path)
    pair = [suite.add("riders", name=f"riders-{n}") for n in range(2)]
    code = "sf-express"
    secret = registered(pair[0].url, suite.operator_token(), code)
    clients = Clients(code, secret, [process.url for process in pair], KEYS, PER_SECOND, chosen)
    nemesis = nemesis_for(home, pair, random.Random(chosen))
    clients.start()
    try:
        nemesis.run()
        clients.wait_accepted(CHANGES, CHANGES / PER_SECOND * 3 + 30)
    finally:
        clients.stop()
        for process in pair:
            revive(process)
    try:
        wait_published(home)
    finally:
        suite.stop()
    print("\n".join([*nemesis.done, clients.journal.summary()]))
    assert clients.journal.count(Result.OK) >= CHANGES
    assert delivery_problems(clients.journal.accepted(), arrived(home, code), versions(home, code)) == []
