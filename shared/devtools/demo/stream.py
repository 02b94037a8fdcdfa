"""The companies' reports: two stream over Kafka, one posts signed batches; a few reports are as bad as in real life."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from shared.devtools.city import Place, random_places
from shared.devtools.demo.city_day import Company, producer_of
from shared.devtools.demo.door import Door
from shared.events.common import Datum
from shared.geo.datum import point_from_wgs84
from shared.kit import clock

TICK_S = 0.1
POST_EVERY_S = 0.5
TEXTS = {
    "part-01001": "供水井盖破损，车轮容易陷进去",
    "part-01037": "路灯不亮，夜里看不清路",
    "event-06013": "路面坑洼，骑车颠簸",
    "event-09012": "消防通道被车堵住了",
    "local-gas-smell": "楼道口有很重的燃气味",
    "local-flying-wire-charging": "从窗户拉线给电动车充电",
    "local-food-safety": "后厨卫生很差",
    "local-lift-trap": "电梯卡在三楼，里面有人",
}
REPEATED_EVERY = 250
BAD_EVERY = 100
SAME_THING_EVERY = 8
DATUMS: tuple[Datum, ...] = ("gcj02", "gcj02", "bd09", "wgs84")


@dataclass(frozen=True)
class Planned:
    """One report as its company will send it, and whether the suite should take it."""

    company: int
    body: dict[str, Any]
    expected: str
    """accepted, repeated or refused."""
    place: Place
    kind: str
    """Of the thing, whatever a spoilt report says."""


@dataclass
class Sent:
    """What has been sent so far, by what should become of it."""

    accepted: int = 0
    repeated: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        """Everything that left a company."""
        return self.accepted + self.repeated + self.refused

    def count(self, expected: str) -> None:
        """One more."""
        setattr(self, expected, getattr(self, expected) + 1)


def plan(companies: Sequence[Company], count: int, kinds: Sequence[str], seed: int) -> list[Planned]:
    """The day's reports in the order of sending, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 a reproducible day, no secret
    places = random_places(count, seed)
    weights = [company.riders for company in companies]
    planned: list[Planned] = []
    for number in range(count):
        company = chance.choices(range(len(companies)), weights)[0]
        place, kind = places[number], chance.choice(kinds)
        if number % SAME_THING_EVERY == 0 and planned:
            # Somebody else has just seen the same thing: a co-reporter of one case.
            earlier = chance.choice(planned[-200:])
            place, kind = earlier.place, earlier.kind
        body = _body(companies[company], number, kind, place, chance)
        expected = _spoil(body, number, companies[company], chance)
        planned.append(Planned(company, body, expected, place, kind))
        if number % REPEATED_EVERY == REPEATED_EVERY - 1 and expected == "accepted":
            planned.append(Planned(company, body, "repeated", place, kind))
    return planned


def _body(company: Company, number: int, kind: str, place: Place, chance: random.Random) -> dict[str, Any]:
    datum = chance.choice(DATUMS)
    lng, lat = point_from_wgs84(place.lng, place.lat, datum)
    rider = chance.randrange(company.riders)
    return {
        "external_id": f"{company.code}-r-{number}",
        "rider": company.rider(rider if rider % 200 else rider + 1),
        "kind": kind,
        "place": {"lng": lng, "lat": lat, "datum": datum, "accuracy_m": chance.choice([5, 8, 10, 15])},
        "occurred_at": (clock.now() - timedelta(seconds=chance.randrange(5, 300))).isoformat(),
        "text": TEXTS.get(kind, "请尽快处理"),
    }


def _spoil(body: dict[str, Any], number: int, company: Company, chance: random.Random) -> str:
    """Every hundredth report is bad in one of the ways that happen."""
    if number % BAD_EVERY != BAD_EVERY - 1:
        return "accepted"
    way = chance.randrange(5)
    if way == 0:
        body["kind"] = "part-99999"
    elif way == 1:
        body["place"]["lat"] = 500
    elif way == 2:
        body["occurred_at"] = (clock.now() + timedelta(hours=3)).isoformat()
    elif way == 3:
        body["rider"] = company.rider(0)  # has not consented
    else:
        del body["place"]
    return "refused"


class Streams:
    """Sends the plan at a chosen rate; what falls behind is sent at once, never left out."""

    def __init__(self, door: Door, companies: Sequence[Company], planned: Sequence[Planned], per_second: float) -> None:
        self.sent = Sent()
        self.http_refused = 0
        self._door = door
        self._companies = companies
        self._planned = planned
        self._per_second = per_second

    async def run(self, told: Callable[[Sent], None]) -> Sent:
        """Send everything; `told` hears the counts as they grow."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(len(self._companies)):
                own = [planned for planned in self._planned if planned.company == index]
                over_http = index == len(self._companies) - 1
                send = self._post if over_http else self._stream
                tasks.create_task(send(self._companies[index], own, told))
        return self.sent

    def _due(self, own: Sequence[Planned], tick_s: float) -> Iterator[tuple[float, Sequence[Planned]]]:
        """Parts of a company's reports with the moment each is due, in seconds from the start."""
        per_tick = max(1, round(self._per_second * len(own) / len(self._planned) * tick_s))
        for number, start in enumerate(range(0, len(own), per_tick)):
            yield number * tick_s, own[start : start + per_tick]

    async def _stream(self, company: Company, own: Sequence[Planned], told: Callable[[Sent], None]) -> None:
        topic = f"{self._door.target.cluster.topic_prefix}inbound.{company.code}.reports.v1"
        began_s = clock.monotonic_s()
        async with producer_of(self._door.target, company) as producer:
            for due_s, part in self._due(own, TICK_S):
                await asyncio.sleep(max(0.0, began_s + due_s - clock.monotonic_s()))
                waiting = [
                    await producer.send(topic, orjson.dumps(p.body), key=p.body["external_id"].encode()) for p in part
                ]
                await asyncio.gather(*waiting)
                self._count(part, told)

    async def _post(self, company: Company, own: Sequence[Planned], told: Callable[[Sent], None]) -> None:
        began_s = clock.monotonic_s()
        for due_s, part in self._due(own, POST_EVERY_S):
            await asyncio.sleep(max(0.0, began_s + due_s - clock.monotonic_s()))
            body = {"reports": [p.body for p in part]}
            answer = await self._door.signed(company.code, company.secret, "/v1/reports:batch", body)
            self.http_refused += answer["refused"]
            self._count(part, told)

    def _count(self, part: Sequence[Planned], told: Callable[[Sent], None]) -> None:
        for planned in part:
            self.sent.count(planned.expected)
        told(self.sent)
