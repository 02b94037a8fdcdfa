"""Reports as companies send them, the same for the same seed; of a day's, a few are as bad as in real life."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.events.common import Datum, Level
from shared.geo.datum import point_from_wgs84
from shared.kit import clock
from shared.synthetic.city import Place, random_places
from shared.synthetic.people import Company

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
MIXED: tuple[tuple[str, Level], ...] = (
    ("part-01001", "hazard"),
    ("event-04001", "routine"),
    ("local-gas-smell", "emergency"),
)
"""Of each level one, for load whose answers nobody reads."""
ANY_TEXT = "请尽快处理"
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
        made = _drawn(companies[company], number, kind, place, chance)
        expected = _spoil(made, number, companies[company], chance)
        planned.append(Planned(company, made, expected, place, kind))
        if number % REPEATED_EVERY == REPEATED_EVERY - 1 and expected == "accepted":
            planned.append(Planned(company, made, "repeated", place, kind))
    return planned


def body(
    external_id: str,
    rider: str,
    kind: str,
    at: tuple[float, float],
    occurred_at: datetime,
    *,
    datum: Datum = "wgs84",
    accuracy_m: float = 5,
    text: str | None = None,
) -> dict[str, Any]:
    """One report as it is sent; `at`: longitude and latitude in WGS-84, whatever datum the phone then speaks."""
    lng, lat = at if datum == "wgs84" else point_from_wgs84(*at, datum)
    return {
        "external_id": external_id,
        "rider": rider,
        "kind": kind,
        "place": {"lng": lng, "lat": lat, "datum": datum, "accuracy_m": accuracy_m},
        "occurred_at": occurred_at.isoformat(),
        "text": TEXTS.get(kind, ANY_TEXT) if text is None else text,
    }


def spread(count: int, seed: int) -> list[tuple[tuple[str, Level], Place]]:
    """Kinds with their levels, and places all over the city, so that nearly each becomes a case of its own."""
    chance = random.Random(seed)  # noqa: S311 reproducible load, no secret
    drawn = random_places(count * 6 // 5 + 200, seed)
    places = [place for place in drawn if place.where == "inside"][:count]
    return [(chance.choice(MIXED), place) for place in places]


def _drawn(company: Company, number: int, kind: str, place: Place, chance: random.Random) -> dict[str, Any]:
    datum = chance.choice(DATUMS)
    rider = company.consenting(chance.randrange(company.riders))
    accuracy_m, age = chance.choice([5, 8, 10, 15]), timedelta(seconds=chance.randrange(5, 300))
    name = f"{company.code}-r-{number}"
    return body(name, rider, kind, (place.lng, place.lat), clock.now() - age, datum=datum, accuracy_m=accuracy_m)


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
