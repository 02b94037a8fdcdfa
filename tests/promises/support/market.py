"""rewards and points, two processes each, one of them an hour ahead; offers, riders with points, and who kills them."""

import contextlib
import random
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import redis

from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT, Installation
from shared.devtools.suite import ServiceProcess, Suite
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.envelope import Envelope, to_headers
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from tests.promises.support.database import ask
from tests.promises.support.deaths import POINTS
from tests.promises.support.kafka import Raw, RawProducer, lag
from tests.promises.support.servers import revive
from tests.promises.support.witness import make_witness

SERVICES = ("rewards", "points")
HEARS = {"rewards": (ACCOUNT_CHANGED.name,), "points": (CASE_CHANGED.name, REDEMPTION_CHANGED.name)}
AHEAD_S = 3_600
TOKEN_S = 3 * AHEAD_S
"""Valid for the process whose clock is ahead, too."""
KIND = "part-01001"
BACK_WITHIN_S = 30.0
SHOWN = 3

SQL_STOCK = """
SELECT o.id::text, o.stock, o.free, o.held, o.sold,
       (SELECT count(*) FROM redemptions r WHERE r.offer_id = o.id AND r.state IN ('requested', 'issued')),
       (SELECT count(*) FROM redemptions r WHERE r.offer_id = o.id AND r.state = 'used')
FROM offers o
"""
# Whoever holds a voucher for the whole city finds a piece of it
SQL_STATIONS = """
SELECT o.free + o.held, o.sold, sum(s.there), sum(s.sold), min(s.there)
FROM offers o JOIN station_stock s ON s.offer_id = o.id WHERE o.citywide GROUP BY o.id
"""
# As often as it was taken, by whichever way, less what is named as a second time
SQL_OFFLINE = """
SELECT r.id::text, r.state FROM offline_takings t JOIN redemptions r ON r.id = t.redemption_id
WHERE t.outcome IN ('sold', 'double') AND r.state <> 'used'
"""
# A voucher waits for the open lists that have it, and for no other
SQL_KEPT = """
SELECT r.id::text, r.kept_until::text, max(l.closes_at)::text
FROM redemptions r LEFT JOIN offline_lists l ON l.settled_at IS NULL AND r.id = ANY(l.redemption_ids)
WHERE r.state = 'issued' GROUP BY r.id
HAVING CASE WHEN max(l.closes_at) IS NULL THEN r.kept_until > now()
            ELSE r.kept_until IS DISTINCT FROM max(l.closes_at) END
"""
SQL_LEDGER = {
    "a balance is not the sum of its entries": """
        WITH moved AS (
            SELECT rider_id, to_account AS account, amount FROM entries
            UNION ALL SELECT rider_id, from_account, -amount FROM entries
        ), sums AS (
            SELECT rider_id, coalesce(sum(amount) FILTER (WHERE account = 'pending'), 0) AS pending,
                   coalesce(sum(amount) FILTER (WHERE account = 'available'), 0) AS available,
                   coalesce(sum(amount) FILTER (WHERE account = 'reserved'), 0) AS reserved
            FROM moved GROUP BY rider_id
        )
        SELECT a.rider_id::text, a.pending, a.available, a.reserved FROM accounts a LEFT JOIN sums s USING (rider_id)
        WHERE (a.pending, a.available, a.reserved)
              <> (coalesce(s.pending, 0), coalesce(s.available, 0), coalesce(s.reserved, 0))
    """,
    "a balance is below 0": "SELECT rider_id::text FROM accounts WHERE least(pending, available, reserved) < 0",
    "a hold ended more than once": """
        SELECT hold_id::text, count(DISTINCT entry_id) FROM entries WHERE movement IN ('posted', 'voided')
        GROUP BY hold_id HAVING count(DISTINCT entry_id) > 1
    """,
}
# what an operator undid was paid and given back
SQL_REDEEMED = """
SELECT hold_id::text, sum(CASE to_account WHEN 'redeemed' THEN amount ELSE -amount END)::int FROM entries
WHERE 'redeemed' IN (from_account, to_account) GROUP BY hold_id
HAVING sum(CASE to_account WHEN 'redeemed' THEN amount ELSE -amount END) <> 0
"""
# What a counter without network may have taken waits until its list is settled
SQL_LATE = """
SELECT id::text, extract(epoch FROM ended_at - greatest(deadline_at, kept_until))::float8 FROM redemptions
WHERE state IN ('expired', 'cancelled')
  AND NOT ended_at - greatest(deadline_at, kept_until) BETWEEN interval '0' AND make_interval(secs => $1)
"""
SQL_TWICE = "SELECT rider_id::text, count(*) FROM redemptions GROUP BY rider_id HAVING count(*) > $1"
SQL_TIME_GOES_BY = """
UPDATE redemptions SET deadline_at = now() + interval '2 s',
                       kept_until = CASE WHEN kept_until IS NOT NULL THEN now() + interval '2 s' END
WHERE state = 'issued' RETURNING 1
"""
SQL_OPEN = "SELECT count(*) FROM redemptions WHERE state IN ('requested', 'issued')"


class Market:
    """The running services. Addresses are chosen again for every request, as behind a balancer."""

    def __init__(self, home: Installation, logs: Path) -> None:
        self.home = home
        self.suite = Suite(home, home.infra.guard or Guard(), logs)
        self.processes: dict[str, list[ServiceProcess]] = {service: [] for service in SERVICES}
        self.merchant_token = ""
        self.citywide = ""
        """The offer whose vouchers are good at every station, once they are opened."""
        self.station_tokens: list[str] = []
        self._producer = RawProducer(home)
        self._code = _code()
        for service in SERVICES:
            make_witness(home, service)

    def start(self, **plants: str) -> None:
        """Two processes of each; `plants`: service → its defect."""
        for service in SERVICES:
            for n in range(2):
                ahead = {"BEEGRID_CLOCK_OFFSET_S": str(AHEAD_S)} if n == 1 else {}
                extra = {"BEEGRID_SWEEP_EVERY_S": "1", "FAULTS_PLANT": plants.get(service, ""), **ahead}
                process = self.suite.prepare(service, f"{service}-{n}", extra)
                process.spec.argv = [sys.executable, "-m", "tests.promises.support.witness_launcher", service]
                self.processes[service].append(process)
        with ThreadPoolExecutor(max_workers=4) as threads:
            for done in [threads.submit(process.start) for two in self.processes.values() for process in two]:
                done.result()

    def url(self, service: str, rng: random.Random) -> str:
        """Of any process of the service."""
        return rng.choice(self.processes[service]).url

    def token(self, sub: str, role: str, **claims: Any) -> dict[str, str]:
        """The header of somebody who is logged in."""
        token = self.home.identity.token(sub, "测试", [role], ttl_s=TOKEN_S, **claims)
        return {"Authorization": f"Bearer {token}"}

    def _made(self, path: str, body: Any, verb: str = "POST") -> str:
        """What an operator makes; its id."""
        headers = {**self.token("operator", "operator"), "Idempotency-Key": str(new_id())}
        url = self.processes["rewards"][0].url + path
        answer = httpx.request(verb, url, json=body, headers=headers, timeout=10)
        assert answer.status_code in (201, 204), answer.text
        return str(answer.json()["id"]) if answer.status_code == 201 else ""

    def open_stations(self, price: int, *pieces: int) -> str:
        """An offer for the whole city, and stations with so many pieces of it; its id."""
        now = clock.now()
        span = {"valid_from": str(now - timedelta(hours=1)), "valid_until": str(now + timedelta(days=1))}
        owner = self._made("/v1/merchants", {"name": "市驿站办", "address": "学源街 2 号"})
        offer = {"merchant_id": owner, "name": "水", "price": price, "stock": 0, "citywide": True, "voucher_minutes": 5}
        self.citywide = self._made("/v1/offers", {**offer, **span})
        for number, stock in enumerate(pieces):
            name = {"name": f"驿站 {number}", "address": f"{number} 号", "kind": "station"}
            station = self._made("/v1/merchants", name)
            self._made(f"/v1/offers/{self.citywide}/stations/{station}", {"stock": stock}, "PUT")
            token = self.token(f"station-{number}", "merchant", merchant_id=station)
            self.station_tokens.append(token["Authorization"])
        return self.citywide

    def open_shop(self, offers: int, price: int, stock: int) -> list[str]:
        """A merchant with so many offers; their ids."""
        made = self._made
        merchant = made("/v1/merchants", {"name": "驿站", "address": "学源街 1 号"})
        self.merchant_token = self.token("counter", "merchant", merchant_id=merchant)["Authorization"]
        now = clock.now()
        span = {"valid_from": str(now - timedelta(hours=1)), "valid_until": str(now + timedelta(days=1))}
        offer = {"merchant_id": merchant, "price": price, "stock": stock, "voucher_minutes": 1, **span}
        return [made("/v1/offers", {"name": f"礼物 {n}", **offer}) for n in range(offers)]

    def earn(self, rider_id: UUID, case_id: UUID | None = None) -> None:
        """Publish a case with one report of the rider, of any day, so that no cap is met; one case twice is one."""
        case_id = case_id or new_id()
        at = clock.now() - timedelta(days=case_id.int % 700)
        report = CaseReport(report_id=case_id, rider_id=rider_id, company="sf-express", ordinal=1)
        steps = (("opened", "open", report, at), ("closed", "closed", None, clock.now()))
        for version, (transition, state, brought, changed_at) in enumerate(steps, 1):
            body = CaseChanged.model_validate(
                {
                    "case_id": case_id,
                    "state": state,
                    "transition": transition,
                    "kind": KIND,
                    "level": "hazard",
                    "grid_code": "330114001001001",
                    "department": None,
                    "lng": 120.4,
                    "lat": 30.3,
                    "report": brought,
                    "report_count": 1,
                    "changed_at": changed_at,
                    "opened_at": at,
                    "due_at": clock.now(),
                }
            )
            envelope = Envelope(new_id(), CASE_CHANGED.name, "/beegrid/cases", str(case_id), version, changed_at)
            self._producer.send(
                Raw(CASE_CHANGED.name, str(case_id), body.model_dump_json().encode(), tuple(to_headers(envelope)))
            )

    def flush(self) -> None:
        """Wait until the broker has all that was published."""
        self._producer.flush()

    def close(self) -> None:
        """End all processes, and the producer's threads."""
        self.suite.stop()
        del self._producer

    # --- faults -----------------------------------------------------------------------------------------------------

    def kill(self, rng: random.Random) -> str:
        """SIGKILL any process, at any moment; it comes back."""
        victim = rng.choice([process for two in self.processes.values() for process in two])
        victim.kill()
        self._start(victim)
        return victim.spec.name

    def _start(self, victim: ServiceProcess) -> None:
        """Raises AssertionError where it would be another program than that which this database was made for."""
        assert _code() == self._code, "the code was changed while the test ran: nothing can be said of this run"
        victim.start()

    def die_at_a_step(self, rng: random.Random) -> str:
        """Let a process live until it comes to an exact point, and then come back."""
        victim = rng.choice([process for two in self.processes.values() for process in two])
        point = f"{rng.choice(sorted(POINTS))}:{rng.randint(1, 5)}"
        healthy = victim.spec.env
        victim.kill()
        victim.spec.env = {**healthy, "FAULTS_DIE": point}
        try:
            with contextlib.suppress(InfraError):  # it may die before it was asked whether it is ready
                self._start(victim)
            deadline_s = clock.monotonic_s() + 10
            while victim.running and clock.monotonic_s() < deadline_s:
                time.sleep(0.05)
        finally:
            victim.spec.env = healthy
        died = not victim.running
        victim.kill()
        self._start(victim)
        return f"{victim.spec.name} {point}{'' if died else ', not reached'}"

    def flush_redis(self) -> None:
        """FLUSHALL."""
        redis.Redis.from_url(self.home.infra.redis_url).flushall()

    # --- what must hold ---------------------------------------------------------------------------------------------

    def drain(self, limit_s: float) -> None:
        """Wait until nothing is on its way between the two."""
        for process in [process for two in self.processes.values() for process in two]:
            revive(process)
        deadline_s = clock.monotonic_s() + limit_s
        quiet = 0
        while quiet < 2:
            left = {s: ask(self.home.dsn(s), "SELECT count(*) FROM outbox")[0][0] for s in SERVICES}
            left |= {topic: lag(self.home, s, topic) for s, topics in HEARS.items() for topic in topics}
            quiet = 0 if any(left.values()) else quiet + 1
            assert clock.monotonic_s() < deadline_s, f"still on the way: {left}"

    def let_time_go_by(self) -> None:
        """Vouchers that nobody has used end; wait until their stock is back. Minutes shortened to seconds."""
        ask(self.home.dsn("rewards"), SQL_TIME_GOES_BY, *())
        deadline_s = clock.monotonic_s() + BACK_WITHIN_S + 10
        while left := ask(self.home.dsn("rewards"), SQL_OPEN)[0][0]:
            assert clock.monotonic_s() < deadline_s, f"{left} pieces are still held"
            time.sleep(0.2)

    def stock_problems(self) -> list[str]:
        """Pieces that are nowhere, or twice; in one snapshot, so at any moment."""
        rows = ask(self.home.dsn("rewards"), SQL_STOCK)
        return [
            f"free + held + sold = {free} + {held} + {sold} of {stock}, redemptions: {open_} open, {used} used"
            for _, stock, free, held, sold, open_, used in rows
            if free + held + sold != stock or (held, sold) != (open_, used) or min(free, held, sold) < 0
        ] + [
            f"stations have {there} and sold {there_sold}, the offer {left} and {sold}"
            for left, sold, there, there_sold, least in ask(self.home.dsn("rewards"), SQL_STATIONS)
            if (left, sold) != (there, there_sold) or least < 0
        ]

    def list_problems(self) -> list[str]:
        """Vouchers that wait for a list which nobody has any more, or don't wait for one; at any moment of a sale."""
        return [
            f"kept until {kept}, open lists close at {closes}: {id_}"
            for id_, kept, closes in ask(self.home.dsn("rewards"), SQL_KEPT)
        ]

    def ledger_problems(self) -> list[str]:
        """What is wrong with the ledger by itself, and with vouchers against it. After `drain`."""
        points, rewards = self.home.dsn("points"), self.home.dsn("rewards")
        found = [f"{what}: {rows[:SHOWN]}" for what, sql in SQL_LEDGER.items() if (rows := ask(points, sql))]
        used = set(ask(rewards, "SELECT id::text, price FROM redemptions WHERE state = 'used'"))
        if (paid := set(ask(points, SQL_REDEEMED))) != used:
            found.append(f"used vouchers and posted points differ: {sorted(used ^ paid)[:SHOWN]}")
        if lost := ask(rewards, SQL_OFFLINE):
            found.append(f"taken without network, and not used: {lost[:SHOWN]}")
        if late := ask(rewards, SQL_LATE, BACK_WITHIN_S):
            found.append(f"stock came back too early or too late: {late[:SHOWN]}")
        for service in SERVICES:
            if letters := ask(self.home.dsn(service), "SELECT status, code, detail FROM dead_letters"):
                found.append(f"{service}: dead letters: {letters[:SHOWN]}")
        return found

    def entries_are_safe(self) -> None:
        """The service's own role can't change what has happened."""
        for sql in ("UPDATE entries SET amount = 1 RETURNING 1", "DELETE FROM entries RETURNING 1"):
            try:
                ask(self.home.dsn("points"), sql, *())
            except asyncpg.InsufficientPrivilegeError:
                continue
            raise AssertionError(f"allowed: {sql}")


class Watch:
    """Looks at the stock all the time; `problems` are those of any moment."""

    def __init__(self, market: Market) -> None:
        self.problems: set[str] = set()
        self.looks = 0
        self._market = market
        self._done = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._looking: Future[None] | None = None

    def __enter__(self) -> "Watch":
        self._looking = self._thread.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.shutdown()
        assert self._looking is not None, "entered before"
        self._looking.result()

    def _run(self) -> None:
        while not self._done.wait(0.02):
            self.problems.update(self._market.stock_problems() + self._market.list_problems())
            self.looks += 1


def _code() -> int:
    """When a file of the services, or of what they share, was written last, in nanoseconds."""
    files = (file for folder in ("services", "shared") for file in (ROOT / folder).rglob("*"))
    return max(file.stat().st_mtime_ns for file in files if file.suffix in (".py", ".sql"))


def in_threads(count: int, run: Any, items: Sequence[Any]) -> None:
    """Call `run(item)` for each, so many at a time; raises what any of them raises."""
    with ThreadPoolExecutor(max_workers=count) as threads:
        for done in [threads.submit(run, item) for item in items]:
            done.result()
