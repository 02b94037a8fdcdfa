"""A storm at the 蜂巢: an office's file, a rider who needs a charger, doors that are shut, and a visit that earns."""

from datetime import timedelta
from typing import Any

import pytest

from services.stations.domain.details import COLUMNS
from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from shared.synthetic.door import DoorError
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.earning import add_rule
from tests.journeys.test_earning import plenty
from tests.journeys.test_one_report import rider_id_of

VISIT = "station-visit,award,deed,,,,station-visit,,,2,,,,,,,,,,驿站打卡,station visit"


def line(code: str, grid: int, services: str) -> str:
    """A station in the middle of a grid, always open."""
    area = grids()[grid]
    middle = area.polygon.representative_point()
    return (
        f"{code},{area.name}蜂巢,hive,党群中心,{area.code},{area.name},{middle.x:.6f},{middle.y:.6f},{area.name[:6]}社区,"
        f"王敏,13800138000,0571-88886666,24/7,是,{services},,"
    )


async def test_a_storm_at_the_stations(town: Town) -> None:
    door = town.door
    await plenty(town)
    await add_rule(door, VISIT)
    office = door.token("o-30", "街道运营", ["operator"], areas=[grids()[30].code[:9]])
    grid, middle = grids()[30], grids()[30].polygon.representative_point()
    lines = [line("J-1", 30, "rest charging"), line("J-2", 30, "rest")]
    nearby = line("J-3", 31, "rest charging") if grids()[31].code[:9] == grid.code[:9] else None

    # 文件有错就整份不收，逐格指出 / a file with a fault is taken not at all, and the cell is named.
    async def take(*rows: str, dry_run: bool = False) -> Any:
        text = "\r\n".join([",".join(COLUMNS), *rows, ""])
        return await door.put("/v1/stations:import", {"format": "csv", "text": text, "dry_run": dry_run}, office)

    with pytest.raises(DoorError, match=r'"line":3.*body.text.services'):
        await take(lines[0], lines[1].replace("rest", "moat"), dry_run=True)
    assert (await take(*lines, *([nearby] if nearby else [])))["new"] == 2 + bool(nearby)

    # 小哥找得到最近、开着、能充电的驿站 / the nearest that is open and has a charger.
    asked = {"lng": middle.x, "lat": middle.y, "services": ["charging"], "within_m": 50_000}

    async def nearest() -> list[Any]:
        found: list[Any] = (await door.post("/v1/stations:nearest", asked))["items"]
        return found

    first = (await soon(nearest, lambda x: x and x[0]["code"] == "J-1", "the index has read it"))[0]
    path = f"/v1/stations/{first['id']}"
    riders = [await rider_id_of(town, town.company.rider(n)) for n in (11, 12, 13)]
    phones = [door.token(rider, "小哥", ["rider"]) for rider in riders]
    code = (await door.get(f"{path}/visit-code", office))["code"]
    before = (await door.get("/v1/points/me", phones[0]))["available"]
    for counted in (True, False):
        made = await door.put(f"{path}/visit", {"code": code}, phones[0])
        assert made["counted"] is counted
    after = await soon(
        lambda: door.get("/v1/points/me", phones[0]), lambda x: x["available"] > before, "the visit is paid"
    )
    assert after["available"] == before + 2

    # 暴雨：应当开放，却三次关着 / a storm in which it should be open, and three riders find it closed.
    storm = {
        "kind": "weather", "closes": False, "areas": [grid.code[:9]], "reason": "暴雨红色预警",
        "begins_at": (clock.now() - timedelta(minutes=1)).isoformat(),
    }  # fmt: skip
    period = await door.post("/v1/stations/periods", storm, office, idempotency_key=new_id().hex)
    for phone in phones:
        await door.put(f"{path}/sighting", {"found": "closed"}, phone)
    assert (await door.get(path))["state"] == "closed"
    keeper = door.token("g-30", "网格员", ["grid_worker"], areas=[grid.code])
    await door.put(f"{path}/state", {"state": "closed", "reason": "钥匙不在"}, keeper)
    [spell] = (await door.get(f"{path}/history"))["items"]
    assert (spell["sightings"], spell["during"], spell["confirmed_as"]) == (3, period["id"], "grid_worker")
    await soon(nearest, lambda x: all(one["code"] != "J-1" for one in x), "nobody is sent to a shut door")
    with pytest.raises(DoorError, match="station_not_open"):
        await door.put(f"{path}/visit", {"code": code}, phones[1])

    # 留言有人答复，数字进统计 / words get an answer, and figures have it all.
    words = {"stars": 2, "words": "下雨进不去"}
    said = await door.post(f"{path}/feedback", words, phones[1], idempotency_key=new_id().hex)
    await door.put(f"/v1/stations/feedback/{said['id']}/answer", {"words": "已加配钥匙"}, keeper)
    await door.put(f"{path}/state", {"state": "open"}, keeper)
    await door.put(f"/v1/stations/periods/{period['id']}/end", {}, office)
    await soon(nearest, lambda x: x and x[0]["code"] == "J-1", "open again")
    day = str((clock.now() + timedelta(hours=8)).date())
    rows = (await door.get("/v1/stations/figures", office, first=day, last=day))["items"]
    [row] = [one for one in rows if one["code"] == "J-1"]
    assert (row["visits"], row["stars"], row["sightings"]) == (1, 2.0, 3)
    table = (await door.get_bytes("/v1/stations/open-data.csv")).decode()
    assert "J-1" in table and "13800138000" not in table
    assert grid.name in (await door.get_bytes("/stations")).decode()
