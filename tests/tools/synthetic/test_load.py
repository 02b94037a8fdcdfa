"""The generator of load: a steady rate that leaves nothing out, and a day that is the same for the same seed."""

import asyncio
from collections import Counter

from shared.kit import clock
from shared.synthetic import reports
from shared.synthetic.pace import paced
from shared.synthetic.people import COMPANIES, WITHOUT_CONSENT_EVERY, Company

DAY = [Company(*wanted) for wanted in COMPANIES]


async def test_items_come_at_their_rate_and_in_their_order() -> None:
    began_s, parts = clock.monotonic_s(), []
    async for part in paced(range(100), 500, tick_s=0.01):
        parts.append(part)
    assert [item for part in parts for item in part] == list(range(100))
    assert clock.monotonic_s() - began_s > 0.19
    assert len(parts[0]) < 20, "not all at once"


async def test_what_is_late_comes_at_once_in_parts_that_are_not_too_long() -> None:
    parts = []
    async for part in paced(range(100), 500, tick_s=0.01, most=10):
        if not parts:
            await asyncio.sleep(0.25)
        parts.append(part)
    assert [item for part in parts for item in part] == list(range(100))
    assert max(map(len, parts)) == 10
    assert len(parts) <= 12, "the late ones, ten at a time"


def test_a_day_is_the_same_for_the_same_seed_and_bad_as_often_as_it_says() -> None:
    def day(seed: int) -> list[tuple[str, str, object]]:
        made = reports.plan(DAY, 1_000, list(reports.TEXTS), seed)
        return [(one.expected, one.body["external_id"], one.body.get("place")) for one in made]

    assert day(7) == day(7)
    assert day(7) != day(8)
    counted = Counter(expected for expected, _, _ in day(7))
    assert counted["refused"] == 1_000 // reports.BAD_EVERY
    assert counted["accepted"] + counted["refused"] == 1_000
    assert 0 < counted["repeated"] <= 1_000 // reports.REPEATED_EVERY


def test_good_reports_come_from_riders_who_have_agreed() -> None:
    now = clock.now()
    for one in reports.plan(DAY, 1_000, list(reports.TEXTS), 7):
        number = int(one.body["rider"].rpartition("-")[2])
        agreed = DAY[one.company].rider_body(number, now)["consent_at"] is not None
        assert agreed or one.expected == "refused", number
    assert DAY[0].rider_body(WITHOUT_CONSENT_EVERY, now)["consent_at"] is None


def test_load_is_spread_over_the_city_and_all_levels() -> None:
    made = reports.spread(300, 3)
    assert len({(place.lng, place.lat) for _, place in made}) == 300
    assert {place.where for _, place in made} == {"inside"}
    assert {kind for kind, _ in made} == set(reports.MIXED)
