"""Three services in a row, routing → cases → points, in as many processes as a test wishes; and who sends reports."""

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

import shapely
from confluent_kafka.admin import ConsumerGroupDescription

from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import ServiceProcess, Suite
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED
from shared.events.envelope import Envelope, to_headers
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.events.report_routed import REPORT_ROUTED
from shared.kit import clock
from shared.kit.ids import derived_id, new_id
from shared.provision.kafka import connect_admin
from shared.provision.postgres import owner_role
from tests.promises.support.database import ask
from tests.promises.support.delivery import arrivals, delivery_problems
from tests.promises.support.kafka import Raw, RawProducer, group_of, lag, read_topic
from tests.promises.support.witness import SQL_TOO_OFTEN, make_witness

SERVICES = ("routing", "cases", "points")
HEARS = {"routing": REPORT_RECEIVED.name, "cases": REPORT_ROUTED.name, "points": CASE_CHANGED.name}
PUBLISHES = {"routing": REPORT_ROUTED.name, "cases": CASE_CHANGED.name, "points": ACCOUNT_CHANGED.name}
GRID = "330114001001001"
SPOTS = 200
SHOWN = 3
SQL_MAP = """
WITH drawn AS (
    INSERT INTO area_versions (version_id, label, level, datum, state, version, created_at, created_by, activated_at)
    VALUES ($1, 'test', 'grid', 'wgs84', 'activated', 1, now(), 'test', now()) RETURNING version_id
), grid AS (
    INSERT INTO areas (version_id, code, level, name, parent_code, polygon, square_metres, fictional)
    SELECT version_id, $2, 'grid', 'test', NULL, $3, 1e10, true FROM drawn
)
INSERT INTO current_map (version_id) SELECT version_id FROM drawn RETURNING 1
"""
# Where each report must have left exactly one row, and the version of each aggregate that was published.
SQL_REPORTS = {
    "routing": "SELECT report_id::text FROM routes WHERE outcome = 'routed'",
    "cases": "SELECT report_id::text FROM case_reports",
    "points": "SELECT id::text FROM holds",
}
SQL_VERSIONS = {
    "routing": "SELECT report_id::text, version FROM routes",
    "cases": "SELECT case_id::text, version FROM cases",
    "points": "SELECT rider_id::text, version FROM accounts WHERE version > 0",
}


def report_event(report_id: UUID, spot: int) -> Raw:
    """A report at one of SPOTS places, each more than a kilometre from the others; a rider of its own."""
    now = clock.now()
    body = ReportReceived(
        report_id=report_id,
        rider_id=derived_id("rider", str(report_id)),
        company="sf-express",
        external_id=str(report_id),
        kind="part-01001",
        level="hazard",
        lng=120.05 + spot % 20 * 0.02,
        lat=30.05 + spot // 20 * 0.02,
        accuracy_m=5,
        text="",
        occurred_at=now,
        received_at=now,
    )
    envelope = Envelope(new_id(), REPORT_RECEIVED.name, "/beegrid/intake", str(report_id), 1, now)
    return Raw(REPORT_RECEIVED.name, str(report_id), body.model_dump_json().encode(), tuple(to_headers(envelope)))


@dataclass
class Reports:
    """A thread that sends reports at a steady rate until it is asked to stop."""

    home: Installation
    per_second: float
    seed: int
    sent: set[str] = field(default_factory=set)
    _enough: threading.Event = field(default_factory=threading.Event)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _running: Future[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._running = self._thread.submit(self._run)

    def stop(self) -> set[str]:
        """End; the ids of all that the broker has taken. Raises what sending has raised."""
        self._enough.set()
        self._thread.shutdown()
        if self._running is not None:
            self._running.result()
        return self.sent

    def _run(self) -> None:
        rng, producer = random.Random(self.seed), RawProducer(self.home)
        started_s = clock.monotonic_s()
        futures = []
        while not self._enough.wait(max(0.0, started_s + len(futures) / self.per_second - clock.monotonic_s())):
            report_id = derived_id("report", str(self.seed), str(len(futures)))
            futures.append((str(report_id), producer.send(report_event(report_id, rng.randrange(SPOTS)))))
        producer.flush()
        for report_id, future in futures:
            future.result(0)
            self.sent.add(str(report_id))


class Line:
    """An installation with these services; `replicas` are the running processes of each."""

    def __init__(self, home: Installation, logs: Path, services: Sequence[str] = SERVICES) -> None:
        self.home = home
        self.services = tuple(services)
        self.suite = Suite(home, home.infra.guard or Guard(), logs)
        self.replicas: dict[str, list[ServiceProcess]] = {service: [] for service in services}
        self._lives = 0
        for service in services:
            make_witness(home, service)
        box = shapely.to_wkb(shapely.box(120, 30, 120.5, 30.5))
        ask(home.dsn("routing", owner_role), SQL_MAP, new_id(), GRID, box)

    def prepare(self, service: str, *, static: bool = True, **wishes: str) -> ServiceProcess:
        """One more process of a service, not yet started. `static`: a member of its group under a name of its own."""
        self._lives += 1
        name = f"{service}-{self._lives}"
        extra = {f"FAULTS_{wish.upper()}": value for wish, value in wishes.items()}
        process = self.suite.prepare(service, name, {**extra, "BEEGRID_KAFKA_INSTANCE_ID": name if static else ""})
        process.spec.argv = [sys.executable, "-m", "tests.promises.support.witness_launcher", service]
        return process

    def start(self, *services: str, static: bool = True, **wishes: str) -> list[ServiceProcess]:
        """Start one more process of each of these services, side by side."""
        made = [self.prepare(service, static=static, **wishes) for service in services]
        with ThreadPoolExecutor(max_workers=4) as threads:
            for done in [threads.submit(process.start) for process in made]:
                done.result()
        for process in made:
            self.replicas[process.service].append(process)
        return made

    def stop(self, processes: Sequence[ServiceProcess]) -> float:
        """SIGTERM to these, side by side; seconds until the last is gone."""
        started_s = clock.monotonic_s()
        with ThreadPoolExecutor(max_workers=4) as threads:
            list(threads.map(ServiceProcess.stop, processes))
        for process in processes:
            self.replicas[process.service].remove(process)
        return clock.monotonic_s() - started_s

    def lag(self) -> int:
        """Records of all three topics that nobody has settled."""
        return sum(lag(self.home, service, HEARS[service]) for service in self.services)

    def wait_lag(self, most: int, limit_s: float) -> float:
        """Wait until at most so many records wait; seconds that took."""
        started_s = clock.monotonic_s()
        while (left := self.lag()) > most:
            waited_s = clock.monotonic_s() - started_s
            assert waited_s < limit_s, f"{left} records wait {waited_s:.0f} s after the change"
            time.sleep(0.2)
        return clock.monotonic_s() - started_s

    def members(self, service: str) -> dict[str, int]:
        """Partitions of each member of the service's group, by static name, else by the broker's name for it."""
        group = group_of(self.home, service, HEARS[service])
        cluster = self.home.cluster
        admin = connect_admin(cluster.bootstrap, cluster.admin)
        described: ConsumerGroupDescription = admin.describe_consumer_groups([group])[group].result(20)
        return {
            member.group_instance_id or member.member_id: len(member.assignment.topic_partitions)
            for member in described.members
        }

    def drain(self, limit_s: float) -> None:
        """Wait until all is consumed and all outboxes are empty, from the first service to the last."""
        deadline_s = clock.monotonic_s() + limit_s
        for service in self.services:
            _until_none(partial(lag, self.home, service, HEARS[service]), f"{service} hasn't consumed", deadline_s)
            _until_none(partial(self._unpublished, service), f"{service} hasn't published", deadline_s)

    def _unpublished(self, service: str) -> int:
        count: int = ask(self.home.dsn(service), "SELECT count(*) FROM outbox")[0][0]
        return count

    def problems(self, sent: set[str]) -> list[str]:
        """What is lost, double or out of order between the reports that were sent and the last service's tables."""
        found: list[str] = []
        published = sent
        for service in self.services:
            dsn = self.home.dsn(service)
            rows = [row[0] for row in ask(dsn, SQL_REPORTS[service])]
            found += effect_problems(service, sent, rows, ask(dsn, SQL_TOO_OFTEN))
            heard = ask(dsn, "SELECT count(DISTINCT event_id) FROM witness")[0][0]
            if heard != len(published):
                found.append(f"{service}: {heard} events took effect, {len(published)} were published")
            if letters := ask(dsn, "SELECT status, code, detail FROM dead_letters"):
                found.append(f"{service}: {len(letters)} dead letters, e.g. {letters[:SHOWN]}")
            arrived = arrivals(read_topic(self.home, PUBLISHES[service]))
            versions = dict(ask(dsn, SQL_VERSIONS[service]))
            found += [f"{service}: {problem}" for problem in delivery_problems(set(), arrived, versions)]
            published = {arrival.event_id for arrival in arrived}
        return found


def effect_problems(
    service: str, sent: set[str], rows: Sequence[str], too_often: Sequence[tuple[str, int]]
) -> list[str]:
    """Pure: reports without an effect, effects without a report, events that took effect more than once."""
    problems = {
        "lost": sorted(sent - set(rows)),
        "double": sorted({row for row in rows if rows.count(row) > 1}) if len(set(rows)) < len(rows) else [],
        "never sent": sorted(set(rows) - sent),
        "took effect more than once": list(too_often),
    }
    return [f"{service}: {what}: {len(n)}, e.g. {n[:SHOWN]}" for what, n in problems.items() if n]


def _until_none(left: Callable[[], int], what: str, deadline_s: float) -> None:
    while n := left():
        assert clock.monotonic_s() < deadline_s, f"{what}: {n}"
        time.sleep(0.1)
