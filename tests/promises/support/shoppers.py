"""Riders at a market: they redeem, some twice, some with another wish, look at their points, use vouchers or don't."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from shared.kit import clock
from shared.kit.ids import new_id
from tests.promises.support.market import Market
from tests.promises.support.stations import OfflineStation

PATIENCE_S = 60.0
REPEATED = 0.25
"""Share of operations that come with a key that was used before."""


@dataclass
class Shoppers:
    """What all clients share. `ends` counts how visits and operations ended; `problems` are broken promises."""

    market: Market
    offers: Sequence[str]
    seed: int
    walk_away: float = 0.3
    retry: float = 0.2
    pace_s: float = 0.0
    """Time between two visits of one thread, on average: so that there is something to disturb all the time."""
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    offline: OfflineStation | None = None
    """The station without network, where there is one."""

    def visit(self, rider_id: UUID) -> None:
        """One rider's way to one gift; every request is repeated with its key until it is answered."""
        rng = random.Random(f"{self.seed}-{rider_id}")
        person, key = self.market.token(str(rider_id), "rider"), str(new_id())
        time.sleep(rng.uniform(0, 2 * self.pace_s))
        with httpx.Client(timeout=10) as http:
            client = _Client(self, http, rng, person)
            offer = rng.choice(self.offers)
            first = client.redeem(offer, key)
            if rng.random() < self.retry:
                client.again(offer, key, first)
            if first.status_code != 201:
                self.ends[first.json()["code"]] += 1
                return
            redemption = client.answered(first.json()["redemption_id"])
            client.look_at_points(rider_id)
            if redemption["state"] != "issued":
                self.ends[f"{redemption['state']} {redemption['reason']}"] += 1
            elif rng.random() < self.walk_away:
                self.ends["walked away"] += 1
            else:
                self.ends[client.use(redemption["code"], offer)] += 1

    def settle(self) -> None:
        """The station without network says all that it took; its outcomes are among the ends."""
        assert self.offline is not None, "there is such a station"
        with httpx.Client(timeout=10) as http:
            self.offline.settle(_Client(self, http, random.Random(self.seed), {}).counter)
        self.ends.update({f"offline {outcome}": number for outcome, number in self.offline.ends.items()})
        self.problems += self.offline.problems

    def spend(self, number: int, riders: Sequence[UUID], operations: int) -> None:
        """One client's operations for its riders: earning, redeeming, using, taking back, looking."""
        rng = random.Random(f"{self.seed}-{number}")
        with httpx.Client(timeout=10) as http:
            shelves = {
                rider: _Shelf(_Client(self, http, rng, self.market.token(str(rider), "rider"))) for rider in riders
            }
            for _ in range(operations):
                rider = rng.choice(list(riders))
                self._one(rng, rider, shelves[rider])

    def _one(self, rng: random.Random, rider: UUID, shelf: "_Shelf") -> None:
        what = rng.choices(("earn", "redeem", "use", "take back", "look"), (25, 35, 20, 5, 15))[0]
        repeated = rng.random() < REPEATED
        self.ends[what] += 1
        if what == "earn":
            case_id = rng.choice(shelf.cases) if repeated and shelf.cases else new_id()
            shelf.cases.append(case_id)
            self.market.earn(rider, case_id)
        elif what == "take back" and shelf.cases:
            shelf.client.take_back(rng.choice(shelf.cases))
        elif what == "use" and shelf.redemptions:
            redemption = shelf.client.answered(shelf.redemptions[-1])
            if redemption["state"] == "issued":
                self.ends[shelf.client.use(redemption["code"])] += 1
        elif what == "redeem" and repeated and shelf.kept:
            offer, key, answer = rng.choice(shelf.kept)
            shelf.client.again(offer, key, answer)
        elif what == "redeem":
            offer, key = rng.choice(self.offers), str(new_id())
            answer = shelf.client.redeem(offer, key)
            if answer.status_code == 201:
                shelf.kept.append((offer, key, answer))
                shelf.redemptions.append(answer.json()["redemption_id"])
        else:
            shelf.client.look_at_points(rider)


@dataclass
class _Client:
    """Requests of one person."""

    all: Shoppers
    http: httpx.Client
    rng: random.Random
    person: dict[str, str]

    def redeem(self, offer: str, key: str) -> httpx.Response:
        """A definite answer."""
        return self._ask("rewards", "POST", f"/v1/offers/{offer}/redeem", {**self.person, "Idempotency-Key": key})

    def again(self, offer: str, key: str, first: httpx.Response) -> None:
        """The same key: the same answer. With another wish: 409."""
        if first.status_code != 201:
            return  # a refusal isn't kept: what is free now may have changed
        second = self.redeem(offer, key)
        if (second.status_code, second.content) != (first.status_code, first.content):
            self.all.problems.append(f"key used again: {first.status_code} {first.text}, then {second.text}")
        other = next((one for one in self.all.offers if one != offer), None)
        if other is not None:
            third = self.redeem(other, key)
            self.all.ends["key with another wish"] += 1
            if third.status_code != 409 or third.json()["code"] != "idempotency_conflict":
                self.all.problems.append(f"key with another wish: {third.status_code} {third.text}")

    def answered(self, redemption_id: str) -> dict[str, Any]:
        """The redemption as its rider sees it, once points have answered."""
        deadline_s = clock.monotonic_s() + PATIENCE_S
        while True:
            found: dict[str, Any] = self._ask("rewards", "GET", f"/v1/redemptions/{redemption_id}", self.person).json()
            if found["state"] != "requested":
                return found
            if clock.monotonic_s() > deadline_s:
                self.all.problems.append(f"points never answered {redemption_id}")
                return found
            time.sleep(0.1)

    def counter(self, verb: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
        """What a counter asks."""
        return self._ask("rewards", verb, path, headers, body)

    def use(self, code: str, offer: str = "") -> str:
        """At the counter. A repeated try finds it used already, which is the first try's success."""
        if self.all.offline is not None and offer == self.all.market.citywide:
            return self._in_the_city(code, self.all.offline)
        return self._verified(code, self.all.market.merchant_token)

    def _in_the_city(self, code: str, station: OfflineStation) -> str:
        """At the station with network, at the one without, or, by cheats, at both."""
        way = self.rng.choice(("online", "offline", "both"))
        if way == "online":
            return self._verified(code, self.all.market.station_tokens[0])
        taken = station.take(self.counter, code, cheat=way == "both")
        if way == "offline" or taken != "taken offline":
            return taken
        again = self._verified(code, self.all.market.station_tokens[0])
        return "cheat" if again in ("used", "voucher_used", "station_empty") else f"cheat {again}"

    def _verified(self, code: str, token: str) -> str:
        counter = {"Authorization": token}
        answer = self._ask("rewards", "POST", "/v1/vouchers/verify", counter, {"code": code})
        return "used" if answer.status_code == 200 else str(answer.json()["code"])

    def look_at_points(self, rider_id: UUID) -> None:
        """No balance is ever below 0."""
        balances = self._ask("points", "GET", "/v1/points/me", self.person).json()
        if min(balances["pending"], balances["available"], balances["reserved"]) < 0:
            self.all.problems.append(f"{rider_id} owes: {balances}")

    def take_back(self, case_id: UUID) -> None:
        """An operator reverses a report's points; where they aren't posted (any more), 404 or 409."""
        operator = self.all.market.token("operator", "operator")
        path = f"/v1/points/holds/{case_id}/reverse"
        answer = self._ask("points", "POST", path, operator, {"reason": "wrong place"})
        self.all.ends[f"take back {answer.status_code}"] += 1

    def _ask(self, service: str, verb: str, path: str, headers: dict[str, str], body: Any = None) -> httpx.Response:
        """Ask any process of the service until one answers for certain."""
        deadline_s = clock.monotonic_s() + PATIENCE_S
        tries: Counter[str] = Counter()
        while True:
            url = self.all.market.url(service, self.rng)
            try:
                answer = self.http.request(verb, url + path, headers=headers, json=body)
            except httpx.TransportError as error:
                self.all.ends["no answer"] += 1
                tries[f"{url}: {type(error).__name__}"] += 1
            else:
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
                self.all.ends[f"{answer.status_code}"] += 1
                tries[f"{url}: {answer.status_code} {answer.text[:200]}"] += 1
            assert clock.monotonic_s() < deadline_s, f"{verb} {path} isn't answered: {tries.most_common()}"
            time.sleep(0.1 + self.rng.random() * 0.2)


@dataclass
class _Shelf:
    """What one client remembers of one rider."""

    client: _Client
    cases: list[UUID] = field(default_factory=list)
    redemptions: list[str] = field(default_factory=list)
    kept: list[tuple[str, str, httpx.Response]] = field(default_factory=list)
