"""riders → intake → routing, each a process that reaches Kafka, Postgres and Redis only through proxies."""

import dataclasses
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import psutil
import redis

from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import ServiceProcess, Suite
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.report_received import REPORT_RECEIVED
from shared.events.report_routed import REPORT_ROUTED
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit import clock
from tests.promises.support.company import registered
from tests.promises.support.database import ask
from tests.promises.support.delivery import arrivals, delivery_problems
from tests.promises.support.kafka import lag, progress, read_topic
from tests.promises.support.proxy import Mode, Proxy
from tests.promises.support.visitors import COMPANY, CONSENT_AT, RIDERS, Visitors, signed
from tests.promises.support.witness import SQL_TOO_OFTEN, make_witness

SERVICES = ("riders", "intake", "routing")
HEARS = {"intake": (COMPANY_CHANGED.name, RIDER_CHANGED.name), "routing": (REPORT_RECEIVED.name,)}
SHOWN = 3
LOG_LINES = 200
MIB = 1024 * 1024
SQL_VERSIONS = {
    RIDER_CHANGED.name: ("riders", "SELECT rider_id::text, version FROM riders"),
    REPORT_RECEIVED.name: ("intake", "SELECT report_id::text, 1 FROM reports"),
    REPORT_ROUTED.name: ("routing", "SELECT report_id::text, version FROM routes"),
}


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    account = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{proxy.port}"))


class Behind:
    """The running services. `home` is the same installation reached directly, for whoever judges."""

    def __init__(self, home: Installation, kafka: Proxy, logs: Path) -> None:
        infra = home.infra
        assert infra.postgres is not None and infra.valkey is not None, "these servers are our own"
        self.home = home
        self.proxies = {"kafka": kafka, "postgres": Proxy(infra.postgres.port), "redis": Proxy(infra.valkey.port)}
        far: Infra = dataclasses.replace(
            infra,
            postgres_admin_url=_through(infra.postgres_admin_url, self.proxies["postgres"]),
            kafka_bootstrap=f"127.0.0.1:{kafka.port}",
            redis_url=_through(infra.redis_url, self.proxies["redis"]),
        )
        self.suite = Suite(home.through(far), infra.guard or Guard(), logs)
        for service in SERVICES:
            make_witness(home, service)

    def start(self, **plants: str) -> None:
        """Start them side by side; `plants`: service → the defect that it has."""
        processes = [self.suite.prepare(service) for service in SERVICES]
        for process in processes:
            process.spec.argv = [sys.executable, "-m", "tests.promises.support.witness_launcher", process.service]
            process.spec.env = {**process.spec.env, "FAULTS_PLANT": plants.get(process.service, "")}
        with ThreadPoolExecutor(max_workers=4) as threads:
            for done in [threads.submit(process.start) for process in processes]:
                done.result()

    def stop(self) -> None:
        """All services, then the proxies made here."""
        for proxy in self.proxies.values():
            proxy.set(Mode.PASS)
        self.suite.stop()
        for name in ("postgres", "redis"):
            self.proxies[name].close()

    def process(self, service: str) -> ServiceProcess:
        """The one process of a service."""
        return self.suite.services[service]

    def visitors(self, seed: int) -> Visitors:
        """A company with its riders, known to intake; its clients haven't begun yet."""
        riders, intake = self.process("riders").url, self.process("intake").url
        token = self.suite.operator_token()
        secret = registered(riders, token, COMPANY)
        body: dict[str, Any] = {
            "items": [{"external_id": f"r{n}", "name": "骑手", "consent_at": CONSENT_AT} for n in range(RIDERS)]
        }
        deadline_s = clock.monotonic_s() + 30
        answer = signed(httpx.Client(timeout=10), riders, "/v1/riders:batch", body, secret)
        assert answer.status_code == 200, answer.text
        known = "SELECT (SELECT count(*) FROM known_riders WHERE consent) + (SELECT count(*) FROM known_companies)"
        while ask(self.home.dsn("intake"), known)[0][0] < RIDERS + 1:
            self.suite.check()
            assert clock.monotonic_s() < deadline_s, "intake doesn't hear of the riders"
            time.sleep(0.1)
        return Visitors(riders, intake, self.process("routing").url, secret, token, seed)

    def flush_redis(self) -> None:
        """FLUSHALL, directly."""
        redis.Redis.from_url(self.home.infra.redis_url).flushall()

    def rss_bytes(self) -> dict[str, int]:
        """Resident memory of each process."""
        return {name: psutil.Process(process.pid).memory_info().rss for name, process in self.suite.services.items()}

    def drain(self, limit_s: float, most: int = 0) -> float:
        """Wait until at most so many events wait in outboxes and topics; seconds that took.

        While clients go on there is always something on its way: then `most` is a second or two of theirs.
        """
        started_s = clock.monotonic_s()
        calm = 0
        while calm < 2:  # what leaves an outbox while the topics are looked at is seen the second time
            left = self._left()
            calm = calm + 1 if sum(left.values()) <= most else 0
            waited_s = clock.monotonic_s() - started_s
            assert waited_s < limit_s, f"{waited_s:.0f} s after healing: {left}\n{self._stuck(left)}"
            time.sleep(0.1)
        return clock.monotonic_s() - started_s

    def _left(self) -> dict[str, int]:
        try:
            return self._counted()
        except asyncpg.TooManyConnectionsError:
            return {"connections": sys.maxsize}  # those that came through the hole give theirs back one after the other

    def _stuck(self, left: dict[str, int]) -> str:
        """How far each group has come where something waits, and what its service has logged last."""
        found = []
        for service, topics in HEARS.items():
            for topic in [one for one in topics if left.get(one)]:
                found.append(f"{topic} by partition, end and committed: {progress(self.home, service, topic)}")
            if any(left.get(one) for one in (*topics, f"{service} outbox")):
                found.append(self.process(service).log_tail(LOG_LINES))
        return "\n".join(found)

    def _counted(self) -> dict[str, int]:
        left = {f"{s} outbox": ask(self.home.dsn(s), "SELECT count(*) FROM outbox")[0][0] for s in SERVICES}
        return left | {topic: lag(self.home, s, topic) for s, topics in HEARS.items() for topic in topics}

    def problems(self, visitors: Visitors) -> list[str]:
        """What the answers, the tables and the topics contradict each other in."""
        accepted = visitors.journal.accepted()
        found: list[str] = []
        for topic, (service, sql) in SQL_VERSIONS.items():
            versions = {key: int(version) for key, version in ask(self.home.dsn(service), sql)}
            accepted_there = {(key, version) for key, version in accepted if key in versions}
            arrived = arrivals(read_topic(self.home, topic))
            found += [f"{topic}: {problem}" for problem in delivery_problems(accepted_there, arrived, versions)]
        reports = {row[0] for row in ask(self.home.dsn("intake"), "SELECT report_id::text FROM reports")}
        routed = {row[0] for row in ask(self.home.dsn("routing"), "SELECT report_id::text FROM routes")}
        riders = dict(ask(self.home.dsn("riders"), "SELECT rider_id::text, version FROM riders"))
        known = dict(ask(self.home.dsn("intake"), "SELECT rider_id::text, version FROM known_riders"))
        sets = {
            "answered with 2xx and in no table": {key for key, _ in accepted} - reports - riders.keys(),
            "accepted and not routed": reports - routed,
            "routed and never accepted": routed - reports,
            "riders as intake doesn't know them": {key for key in riders if riders[key] != known.get(key)},
        }
        found += [f"{what}: {len(n)}, e.g. {sorted(n)[:SHOWN]}" for what, n in sets.items() if n]
        for service in HEARS:
            if double := ask(self.home.dsn(service), SQL_TOO_OFTEN):
                found.append(f"{service}: events that took effect more than once: {double[:SHOWN]}")
            if letters := ask(self.home.dsn(service), "SELECT status, code, detail FROM dead_letters"):
                found.append(f"{service}: dead letters of an outage: {letters[:SHOWN]}")
        return found


def memory_problems(before: dict[str, int], after: dict[str, int], growth_mib_max: int) -> list[str]:
    """Pure: processes that have grown by more than they may; sizes in bytes."""
    grown = {name: (after[name] - size) // MIB for name, size in before.items()}
    return [f"{name} has grown by {mib} MiB" for name, mib in grown.items() if mib > growth_mib_max]
