"""The demo city's stations: 600 of all kinds, 30 with special services, the same every time for one seed."""

import csv
import io
from typing import Any

import numpy as np

from shared.synthetic.city import SEED, Area, grids
from shared.synthetic.door import Door

STATIONS, SPECIAL = 600, 30
# kind, its share in percent, what it is called
KINDS = (
    ("hive", 40, "蜂巢"), ("rider-home", 20, "小哥之家"), ("party-centre", 12, "党群服务中心"),
    ("union-stop", 12, "工会驿站"), ("red-home", 6, "红色之家"), ("youth-home", 4, "青年之家"),
    ("womens-home", 3, "妇女之家"), ("drivers-home", 3, "司机之家"),
)  # fmt: skip
BASIC = ("rest", "water", "meal-heating", "charging", "toilet")
MORE = (
    "bike-charging",
    "wifi",
    "air-conditioning",
    "first-aid",
    "storm-shelter",
    "aed",
    "tyre-repair",
    "points-counter",
)
OF_DRIVERS = ("truck-parking", "vehicle-check", "shower")
SPECIALS = ("child-care", "clinic", "canteen")
HOURS = ("1-7 08:00-20:00", "1-7 07:00-22:00", "1-5 08:30-17:30; 6-7 09:00-16:00", "24/7")
_COLUMNS = (
    "code", "name", "kind", "sponsor", "area_code", "address", "lng", "lat", "managing_unit", "responsible",
    "duty_phone", "hours", "open_on_holidays", "services", "parking_places",
)  # fmt: skip
_SURNAMES, _GIVEN = "王李张刘陈杨赵黄周吴", ("敏", "静", "伟", "芳", "磊", "洋", "娟", "强")
_DIGITS = 6


def plan(seed: int = SEED, count: int = STATIONS) -> list[dict[str, str]]:
    """The rows of a file, each with an invented house in a grid of the demo city; `phone` is in none of them."""
    rng = np.random.default_rng(seed)
    areas = grids()
    chosen = rng.choice(len(areas), count, replace=count > len(areas))
    kinds = rng.choice(len(KINDS), count, p=[share / 100 for _, share, _ in KINDS])
    special = set(rng.choice(count, min(SPECIAL, count), replace=False).tolist())
    return [
        _row(rng, number, areas[int(area)], int(kind), special=number in special)
        for number, (area, kind) in enumerate(zip(chosen, kinds, strict=True))
    ]


def _row(rng: np.random.Generator, number: int, area: Area, kind: int, *, special: bool) -> dict[str, str]:
    code, _, title = KINDS[kind]
    place = area.polygon.representative_point()
    services = [*BASIC, *rng.choice(MORE, rng.integers(1, 5), replace=False).tolist()]
    services += OF_DRIVERS if code == "drivers-home" else ()
    services += rng.choice(SPECIALS, rng.integers(1, 3), replace=False).tolist() if special else []
    community = area.name.partition("第")[0]
    person = _SURNAMES[rng.integers(len(_SURNAMES))] + _GIVEN[rng.integers(len(_GIVEN))]
    return {
        "code": f"QT-{number + 1:04}",
        "name": f"{community}{title}",
        "kind": code,
        "sponsor": f"{community}党群服务中心",
        "area_code": area.code,
        "address": f"{area.name} {rng.integers(1, 200)} 号（虚构地址）",
        "lng": f"{place.x + rng.uniform(-2e-4, 2e-4):.{_DIGITS}f}",
        "lat": f"{place.y + rng.uniform(-2e-4, 2e-4):.{_DIGITS}f}",
        "managing_unit": community,
        "responsible": f"{person}（虚构）",
        "duty_phone": f"0571-0000{number + 1:04}",
        "hours": HOURS[rng.integers(len(HOURS))],
        "open_on_holidays": "true" if rng.random() < 0.4 else "false",
        "services": " ".join(services),
        "parking_places": str(rng.integers(4, 60)) if code == "drivers-home" else "",
    }


def as_csv(rows: list[dict[str, str]]) -> str:
    """The file that an office would send."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


async def import_stations(door: Door, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Send the file: first to be looked at only, as an office does; what it did."""
    body = {"format": "csv", "text": as_csv(rows)}
    await door.put("/v1/stations:import", {**body, "dry_run": True})
    done: dict[str, Any] = await door.put("/v1/stations:import", body)
    return done


async def open_now(door: Door) -> tuple[int, int]:
    """How many stations there are, and how many of them are open at the moment."""
    features = (await door.get("/v1/stations/open-data.geojson"))["features"]
    return len(features), sum(one["properties"]["state"] == "open" for one in features)
