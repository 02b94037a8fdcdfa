"""A company whose clients change riders over HTTP, signed, and journal every answer."""

import base64
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from shared.kit import clock
from shared.kit.auth import signed_headers
from tests.promises.support.journal import Journal, Operation, Result

TARGET = "/v1/riders:batch"
TIMEOUT_S = 3.0


def registered(url: str, token: str, code: str) -> bytes:
    """Register a company as the operator; its signing secret."""
    answer = httpx.post(
        f"{url}/v1/companies",
        json={"code": code, "name": "顺丰"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
    return base64.b64decode(answer.json()["key"]["secret"].removeprefix("whsec_"))


@dataclass
class Clients:
    """Threads that change riders until they are asked to stop, `per_second` changes together."""

    code: str
    secret: bytes
    urls: Sequence[str]
    keys: int
    per_second: float
    seed: int
    threads: int = 4
    batch: int = 10
    journal: Journal = field(default_factory=Journal)
    enough: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self._running = [threading.Thread(target=self._client, args=(n,)) for n in range(self.threads)]
        for thread in self._running:
            thread.start()

    def stop(self) -> None:
        """Let every client finish the request it is at."""
        self.enough.set()
        for thread in self._running:
            thread.join()

    def wait_accepted(self, changes: int, limit_s: float) -> None:
        """Until so many changes were answered with ok."""
        deadline_s = clock.monotonic_s() + limit_s
        while (count := self.journal.count(Result.OK)) < changes:
            assert clock.monotonic_s() < deadline_s, f"only {count} of {changes} accepted: {self.journal.summary()}"
            time.sleep(0.1)

    def _client(self, number: int) -> None:
        rng = random.Random(f"{self.seed}-{number}")
        every_s = self.batch * self.threads / self.per_second
        turn = 0
        with httpx.Client(timeout=TIMEOUT_S) as http:
            while not self.enough.is_set():
                started_s = clock.monotonic_s()
                turn += 1
                self._change(http, rng, f"骑手 {number}.{turn}")
                self.enough.wait(max(0.0, every_s - (clock.monotonic_s() - started_s)))

    def _change(self, http: httpx.Client, rng: random.Random, name: str) -> None:
        """One request: some riders get a new name; one more is refused, which must leave no trace."""
        numbers = rng.sample(range(self.keys), self.batch)
        riders = [{"external_id": f"r{n}", "name": name} for n in numbers] + [{"external_id": "blank", "name": " "}]
        body = json.dumps({"items": riders}).encode()
        headers = signed_headers(company=self.code, secret=self.secret, method="POST", target=TARGET, body=body)
        headers["Content-Type"] = "application/json"
        try:
            answer = http.post(rng.choice(self.urls) + TARGET, content=body, headers=headers)
        except httpx.ConnectError:
            self._note_all(Result.FAIL, "no connection")
        except httpx.HTTPError as error:
            self._note_all(Result.UNKNOWN, type(error).__name__)
        else:
            self._note_answer(answer)

    def _note_all(self, result: Result, detail: str) -> None:
        for _ in range(self.batch):
            self.journal.note(Operation(result, detail=detail))

    def _note_answer(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            # 5xx may come from a COMMIT whose answer was lost
            self._note_all(Result.UNKNOWN if answer.status_code >= 500 else Result.FAIL, answer.text[:80])
            return
        for item in answer.json()["items"]:
            if item["status"] in ("created", "changed"):
                self.journal.note(Operation(Result.OK, item["rider_id"], item["version"]))
            else:
                self.journal.note(Operation(Result.FAIL, detail=item["status"]))
