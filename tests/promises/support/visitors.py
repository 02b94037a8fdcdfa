"""Clients of three services over HTTP, who note every answer and how long it took."""

import json
import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.synthetic import reports
from tests.promises.support.journal import Journal, Operation, Result

COMPANY = "sf-express"
PATIENCE_S = 20.0
"""Longer than any answer may take, so that a late one is seen to be late."""
RIDERS = 20
CONSENT_AT = "2026-01-01T00:00:00Z"


def signed(http: httpx.Client, url: str, target: str, body: Any, secret: bytes) -> httpx.Response:
    """A company's POST."""
    content = json.dumps(body).encode()
    headers = signed_headers(company=COMPANY, secret=secret, method="POST", target=target, body=content)
    return http.post(url + target, content=content, headers={**headers, "Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: `status` 0 means that no answer came; `at_s` is the clock's monotonic time of its start.

    `why`: what a refusal said.
    """

    kind: str
    status: int
    took_s: float
    at_s: float
    retry_after: bool
    why: str = ""


@dataclass
class Visitors:
    """Threads that file reports, change riders and read, each at its own pace, until they are asked to stop."""

    riders: str
    intake: str
    routing: str
    secret: bytes
    token: str
    seed: int
    visits: list[Visit] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)
    _enough: threading.Event = field(default_factory=threading.Event)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))
    _running: list[Future[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin: about 30 reports, 4 changes, 10 reads and 2 probes a second."""
        turns = [(self._file, 0.1), (self._file, 0.1), (self._file, 0.1), (self._change, 0.25)]
        turns += [(self._read, 0.1), (self._probe, 0.5)]
        for n, (turn, every_s) in enumerate(turns):
            self._running.append(self._threads.submit(self._run, turn, every_s, random.Random(f"{self.seed}-{n}")))

    def stop(self) -> None:
        """Let every thread finish the request it is at. Raises what one of them has raised."""
        self._enough.set()
        self._threads.shutdown()
        for one in self._running:
            one.result()

    def since(self, at_s: float) -> list[Visit]:
        """Those that began then or later."""
        return [visit for visit in self.visits if visit.at_s >= at_s]

    def ready(self) -> bool:
        """Do all processes call themselves ready?"""
        services = (self.riders, self.intake, self.routing)
        return all(httpx.get(f"{url}/readyz", timeout=PATIENCE_S).status_code == 200 for url in services)

    def _run(self, turn: Any, every_s: float, rng: random.Random) -> None:
        with httpx.Client(timeout=PATIENCE_S) as http:
            number = 0
            while not self._enough.is_set():
                number += 1
                started_s = clock.monotonic_s()
                try:
                    answer: httpx.Response | None = turn(http, rng, number)
                except httpx.HTTPError:
                    answer = None
                took_s = clock.monotonic_s() - started_s
                kind = turn.__name__.removeprefix("_")
                self._note(kind, answer)
                status = answer.status_code if answer is not None else 0
                retry_after = answer is not None and "Retry-After" in answer.headers
                why = answer.text[:300] if answer is not None and status >= 400 else ""
                self.visits.append(Visit(kind, status, took_s, started_s, retry_after, why))
                self._enough.wait(max(0.0, every_s - took_s))

    def _file(self, http: httpx.Client, rng: random.Random, number: int) -> httpx.Response:
        name, rider = f"{rng.getrandbits(40):x}-{number}", f"r{rng.randrange(RIDERS)}"
        report = reports.body(name, rider, "part-01001", (120.3, 30.3), clock.now())
        return signed(http, self.intake, "/v1/reports", report, self.secret)

    def _change(self, http: httpx.Client, rng: random.Random, number: int) -> httpx.Response:
        changes = [
            {"external_id": f"r{n}", "name": f"骑手 {number}-{rng.getrandbits(20)}", "consent_at": CONSENT_AT}
            for n in rng.sample(range(RIDERS), 5)
        ]
        return signed(http, self.riders, "/v1/riders:batch", {"items": changes}, self.secret)

    def _read(self, http: httpx.Client, rng: random.Random, number: int) -> httpx.Response:
        url = rng.choice((f"{self.riders}/v1/companies/{COMPANY}", f"{self.routing}/v1/routing/unroutable"))
        return http.get(url, headers={"Authorization": f"Bearer {self.token}"})

    def _probe(self, http: httpx.Client, rng: random.Random, number: int) -> httpx.Response:
        return http.get(rng.choice((self.riders, self.intake, self.routing)) + "/readyz")

    def _note(self, kind: str, answer: httpx.Response | None) -> None:
        if kind == "file":
            if answer is not None and answer.status_code in (200, 201):
                self.journal.note(Operation(Result.OK, answer.json()["report_id"], 1))
            else:
                self.journal.note(Operation(Result.UNKNOWN))
        elif kind == "change" and answer is not None and answer.status_code == 200:
            for item in answer.json()["items"]:
                if item["status"] in ("created", "changed"):
                    self.journal.note(Operation(Result.OK, item["rider_id"], item["version"]))


def answer_problems(visits: list[Visit], most_s: float) -> list[str]:
    """Pure: what is wrong with the answers, wherever a dependency is away. A probe needs no Retry-After."""
    late = [visit for visit in visits if visit.took_s > most_s]
    bare = [visit for visit in visits if visit.status == 503 and not visit.retry_after and visit.kind != "probe"]
    other = Counter(
        visit.status for visit in visits if visit.status == 0 or (visit.status >= 400 and visit.status != 503)
    )
    found = [f"{len(late)} answers took longer than {most_s} s, e.g. {late[:2]}"] if late else []
    found += [f"{len(bare)} times 503 without Retry-After, e.g. {bare[:2]}"] if bare else []
    return found + ([f"neither served nor 503: {dict(other)}"] if other else [])


def summary(visits: list[Visit]) -> str:
    """One line: how many of which kind ended how, the slowest, and why the first was refused."""
    counts = Counter(f"{visit.kind} {visit.status}" for visit in visits)
    slowest_s = max((visit.took_s for visit in visits), default=0.0)
    why = next((visit.why for visit in visits if visit.why), "")
    return f"{dict(sorted(counts.items()))}, slowest {slowest_s:.1f} s{why and f'; {why}'}"
