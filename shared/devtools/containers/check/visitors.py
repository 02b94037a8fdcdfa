"""Requests at the front door, one after another, while something happens to the suite."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from shared.kit import clock

PAUSE_S = 0.05
PATIENCE_S = 20.0
# One address of each service. Without a token all of them say 401, which only the service itself says.
ADDRESSES = {
    "riders": "/v1/riders/1",
    "intake": "/v1/reports/1",
    "routing": "/v1/areas",
    "cases": "/v1/cases",
    "points": "/v1/points/entries",
    "rewards": "/v1/vouchers",
    "notifications": "/v1/inbox",
    "tracking": "/city",
}


@dataclass
class Seen:
    """What was answered: how often each status, how many were broken off, the slowest answer in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    refused: list[str] = field(default_factory=list)

    @property
    def all(self) -> int:
        """Requests."""
        return self.statuses.total() + self.broken.total()

    @property
    def failed(self) -> int:
        """Those that no service answered."""
        return sum(count for status, count in self.statuses.items() if status >= 500) + self.broken.total()

    def __str__(self) -> str:
        kinds = {str(kind): count for kind, count in (*self.statuses.items(), *self.broken.items())}
        return f"{self.failed} of {self.all} requests failed {kinds}, slowest {self.slowest_s:.1f} s"


@contextmanager
def visiting(url: str, services: Sequence[str], method: str = "GET") -> Iterator[Seen]:
    """Requests go on for as long as the block runs; after it all are counted."""
    seen, ended = Seen(), threading.Event()

    def visit(path: str) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
            while not ended.wait(PAUSE_S):
                began_s = clock.monotonic_s()
                try:
                    answer = client.request(method, path)
                except httpx.HTTPError as error:
                    seen.broken[type(error).__name__] += 1
                    continue
                finally:
                    seen.slowest_s = max(seen.slowest_s, clock.monotonic_s() - began_s)
                seen.statuses[answer.status_code] += 1
                if answer.status_code >= 500:
                    seen.refused.append(f"{answer.headers.get('content-type', '')} {answer.text[:200]}")

    threads = [threading.Thread(target=visit, args=(ADDRESSES[name],), daemon=True) for name in services]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE_S + 5)
