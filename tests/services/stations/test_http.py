"""Stations as they run, on real servers: an office's file, a rider's way, what everybody reads."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.stations.domain.details import COLUMNS
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.service import Service
from tests.services.stations.street import GRID, LAT, LNG, Street
from tests.support import client_of, service_of, until

HEAD = ",".join(COLUMNS)
LINE = (
    "{code},{code}蜂巢,hive,学源街,{area},学源街 18 号,{lng},{lat},学源街社区,王敏,13800138000,0571-88886666,24/7,是,"
    "rest water {more},,"
)


class City:
    """The running service and who asks it."""

    def __init__(self, service: Service, client: httpx.AsyncClient, installation: Installation, street: Street) -> None:
        self.service, self.client, self.installation, self.street = service, client, installation, street

    def headers(self, who: str | UUID, role: str, **claims: Any) -> dict[str, str]:
        """A token, and a key of its own for each request."""
        token = self.installation.identity.token(str(who), "某人", [role], **claims)
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": new_id().hex}

    async def asks(self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any) -> Any:
        """The answer's body; fails where it is refused."""
        answer = await self.client.request(method, path, headers=headers or {}, **rest)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def takes(self, *lines: str, dry_run: bool = False, areas: tuple[str, ...] = ()) -> httpx.Response:
        """An operator's file."""
        body = {"format": "csv", "text": "\r\n".join([HEAD, *lines, ""]), "dry_run": dry_run}
        return await self.client.put(
            "/v1/stations:import", headers=self.headers("op", "operator", areas=areas), json=body
        )


@pytest.fixture
async def city(installation: Installation, street: Street) -> AsyncIterator[City]:
    service = service_of(installation, "stations")
    async with client_of(service) as client:
        yield City(service, client, installation, street)


def line(code: str, lng: float = LNG, lat: float = LAT, area: str = GRID, more: str = "") -> str:
    return LINE.format(code=code, lng=lng, lat=lat, area=area, more=more)


async def test_a_file_is_taken_whole_or_not_at_all(city: City) -> None:
    faulty = await city.takes(line("A"), line("B", lng=200), line("C", more="moat"), dry_run=True)
    assert faulty.status_code == 422
    assert [(one["line"], one["field"]) for one in faulty.json()["errors"]] == [
        (3, "body.text.lng"), (4, "body.text.services"),
    ]  # fmt: skip
    assert "13800138000" not in faulty.text, "a fault quotes nothing"
    assert (await city.takes(line("A"), line("B"), dry_run=True)).json() == {
        "new": 2, "changed": 0, "unchanged": 0, "dry_run": True,
    }  # fmt: skip
    assert (await city.asks("GET", "/v1/stations"))["items"] == []
    assert (await city.takes(line("A"), line("B"))).json()["new"] == 2
    again = (await city.takes(line("A"), line("B", more="wifi"), line("C"))).json()
    assert (again["new"], again["changed"], again["unchanged"]) == (1, 1, 1)
    found = (await city.asks("GET", "/v1/stations", params={"limit": 2}))["items"]
    assert [(one["code"], one["edition"]) for one in found] == [("A", 1), ("B", 2)]
    other = await city.takes(line("D", area="330105001001001"), areas=(GRID[:6],))
    assert other.status_code == 422 and other.json()["errors"][0]["field"] == "body.text.area_code"


async def test_the_nearest_that_is_open_and_has_what_is_wanted(city: City) -> None:
    await city.takes(line("NEAR"), line("FAR", lng=LNG + 0.01, more="charging"), line("AWAY", lng=LNG + 0.5))
    [near] = [one for one in (await city.asks("GET", "/v1/stations"))["items"] if one["code"] == "NEAR"]

    async def codes(**wanted: Any) -> list[str]:
        found = await city.asks("POST", "/v1/stations:nearest", json={"lng": LNG, "lat": LAT, **wanted})
        return [one["code"] for one in found["items"]]

    assert await until(codes, good=lambda found: found == ["NEAR", "FAR"]), "as soon as the index has read them"
    assert await codes(services=["charging"]) == ["FAR"]
    assert await codes(kind="red-home") == []
    assert await codes(within_m=50_000) == ["NEAR", "FAR", "AWAY"]
    keeper = city.headers("g-1", "grid_worker", areas=(GRID,))
    body = {"state": "full", "reason": "电话13800138000"}
    said = await city.asks("PUT", f"/v1/stations/{near['id']}/state", keeper, json=body)
    assert (said["state"], said["state_reason"]) == ("full", "电话***")
    await city.asks("PUT", f"/v1/stations/{near['id']}/state", keeper, json={"state": "closed"})
    assert await until(codes, good=lambda found: found == ["FAR"]), "whoever walks finds it open"
    far = (await city.asks("POST", "/v1/stations:nearest", json={"lng": LNG, "lat": LAT}))["items"][0]
    assert 950 < far["distance_m"] < 970 and far["walk_m"] == pytest.approx(1.3 * far["distance_m"], abs=2)
    assert (far["walk_minutes"], far["closes_before"]) == (17, False)
    gcj = {"lng": 120.3546, "lat": 30.2976, "datum": "gcj02"}
    there = (await city.asks("POST", "/v1/stations:nearest", json=gcj))["items"][0]
    assert there["lng"] > far["lng"] + 0.003, "places come back in the datum of the question"
    way = [{"lng": LNG - 0.01, "lat": LAT}, {"lng": LNG + 0.02, "lat": LAT}]
    along = (await city.asks("POST", "/v1/stations:along", json={"way": way, "is_open": False}))["items"]
    assert [one["code"] for one in along] == ["NEAR", "FAR"]
    assert along[0]["along_m"] == pytest.approx(962, abs=5)


async def test_a_riders_day_at_a_station(city: City) -> None:
    await city.takes(line("A"))
    [one] = (await city.asks("GET", "/v1/stations"))["items"]
    [rider] = await city.street.knows("r1")
    path, office = f"/v1/stations/{one['id']}", city.headers("op", "operator")
    code = (await city.asks("GET", f"{path}/visit-code", office))["code"]

    drawn = await city.client.get(f"{path}/visit-code.svg", headers=office)
    assert drawn.headers["content-type"] == "image/svg+xml" and "<svg" in drawn.text and "<script" not in drawn.text

    async def visit(**body: Any) -> httpx.Response:
        return await city.client.put(f"{path}/visit", headers=city.headers(rider, "rider"), json=body)

    assert (await visit(code=code)).json()["counted"] is True
    assert (await visit(lng=LNG, lat=LAT, accuracy_m=20)).json()["counted"] is False
    assert (await visit(lng=LNG + 1, lat=LAT)).json()["code"] == "not_at_the_station"
    renewed = await city.asks("PUT", f"{path}/visit-code", office, json={"epoch": 1})
    assert renewed["epoch"] == 2
    assert (await visit(code=code)).json()["code"] == "wrong_station_code"
    body = {"stars": 4, "words": "热水不热，电话13800138000"}
    kept = await city.asks("POST", f"{path}/feedback", city.headers(rider, "rider"), json=body)
    assert (kept["state"], kept["words"]) == ("waiting", "热水不热，电话***")
    keeper = city.headers("keeper-7", "merchant", merchant_id=str(new_id()))
    assert (await city.asks("GET", "/v1/stations/feedback", keeper))["items"] == []
    await city.asks("PUT", f"{path}/keepers/keeper-7", office, json={"name": "李明"})
    [waiting] = (await city.asks("GET", "/v1/stations/feedback", keeper, params={"waiting": True}))["items"]
    await city.asks("PUT", f"/v1/stations/feedback/{waiting['id']}/answer", keeper, json={"words": "已修"})
    [mine] = (await city.asks("GET", "/v1/stations/feedback/me", city.headers(rider, "rider")))["items"]
    assert (mine["answer"], mine["state"]) == ("已修", "answered")
    seen = await city.asks("PUT", f"{path}/sighting", city.headers(rider, "rider"), json={"found": "closed"})
    assert seen["state"] == "open"
    [spell] = (await city.asks("GET", f"{path}/history"))["items"]
    assert (spell["sightings"], spell["confirmed_as"]) == (1, "") and "confirmed_by" not in spell
    day = str(city.street.rules.day((await city.street.now(await city.street.makes("Z"))).changed_at))
    figures = (await city.asks("GET", "/v1/stations/figures", office, params={"first": day, "last": day}))["items"]
    [row] = [one for one in figures if one["code"] == "A"]
    assert (row["visits"], row["ratings"], row["stars"], row["sightings"]) == (1, 1, 4.0, 1)
    totals = await city.asks("GET", "/v1/stations/figures/totals", office, params={"first": day, "last": day})
    [hives] = totals["kinds"]
    assert (hives["kind"], hives["stations"], hives["visits"], hives["stars"]) == ("hive", 2, 1, 4.0)
    none = await city.asks(
        "GET", "/v1/stations/figures/totals", office, params={"first": "2020-01-01", "last": "2020-01-31"}
    )
    assert (none["kinds"][0]["visits"], none["kinds"][0]["stars"]) == (0, None)
    await city.asks("PUT", f"{path}/state", keeper, json={"state": "closed", "reason": "盘点"})
    [spell] = (await city.asks("GET", f"{path}/office/history", keeper))["items"]
    assert (spell["confirmed_by"], spell["confirmed_as"]) == ("keeper-7", "merchant")
    body = {"day": "2026-05-01", "hours": "09:00-12:00", "reason": "值守"}
    await city.asks("PUT", f"{path}/days", office, json=body)
    assert (await city.asks("GET", f"{path}/days"))["items"] == [body]
    await city.asks("PUT", f"{path}/days", office, json=body | {"hours": None})
    assert (await city.asks("GET", f"{path}/days"))["items"] == []
    stored = await city.street.pool.fetchval(
        "SELECT count(*) FROM idempotency_keys WHERE principal = $1", f"person:{rider}"
    )
    assert stored == 1, "the feedback's; no request with a place in it is remembered"


async def test_lists_and_donations_are_read_by_everybody(city: City) -> None:
    await city.takes(line("A"))
    [one] = (await city.asks("GET", "/v1/stations"))["items"]
    path, office = f"/v1/stations/{one['id']}", city.headers("op", "operator")
    items = [{"code": "rest", "words": "歇脚", "times": "每天"}]
    body: dict[str, Any] = {"year": 2026, "items": items}
    for version in (1, 2):
        body["version"] = version
        assert (await city.asks("PUT", f"{path}/lists", office, json=body))["version"] == version
    refused = await city.client.put(f"{path}/lists", headers=office, json=body)
    assert (refused.json()["code"], refused.json()["list_version"]) == ("service_list_exists", 2)
    found = await city.asks("GET", f"{path}/lists", params={"limit": 1})
    assert [one["version"] for one in found["items"]] == [2] and found["cursor"]
    after = await city.asks("GET", path)
    assert (after["list_year"], after["list_version"]) == (2026, 2)
    gift = {"goods": "饮用水", "quantity": 50, "unit": "桶", "given_on": "2026-05-01", "thanks": "谢谢"}
    for number, (donor, named) in enumerate((("某超市", True), ("好心人", False))):
        headers = {**office, "Idempotency-Key": f"gift-{number}-{one['id']}"}
        await city.asks("POST", f"{path}/donations", headers, json={**gift, "donor": donor, "named": named})
    given = (await city.asks("GET", f"{path}/donations"))["items"]
    assert [(one["donor"], one["quantity"]) for one in given] == [("", 50), ("某超市", 50)]
    await city.asks("PUT", f"/v1/stations/donations/{given[0]['id']}/withdrawal", office, json={"reason": "重复"})
    assert [one["donor"] for one in (await city.asks("GET", f"{path}/donations"))["items"]] == ["某超市"]


async def test_open_data_and_the_page_have_no_phone_of_a_person(city: City) -> None:
    await city.takes(line("A"), line("B", lng=LNG + 0.01, more="child-care"))
    table = await until(lambda: city.client.get("/v1/stations/open-data.csv"), good=lambda found: "B蜂巢" in found.text)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [(row["code"], row["duty_phone"], row["state"]) for row in rows] == [
        ("A", "0571-88886666", "open"), ("B", "0571-88886666", "open"),
    ]  # fmt: skip
    points = (await city.client.get("/v1/stations/open-data.geojson")).json()
    assert [one["geometry"]["coordinates"] for one in points["features"]] == [[LNG, LAT], [LNG + 0.01, LAT]]
    page = await city.client.get("/stations")
    english = await city.client.get("/stations", params={"lang": "en"})
    one = await city.client.get("/v1/stations")
    for shown in (table, page, english, one):
        assert "13800138000" not in shown.text and "0571-88886666" in shown.text
    assert "<script" not in page.text and "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.text.count("<circle") == 2 + 4 and "子女托管" in page.text and "child care" in english.text
    office = await city.asks(
        "GET", f"/v1/stations/{one.json()['items'][0]['id']}/office", city.headers("o", "operator")
    )
    assert office["phone"] == "13800138000"


async def test_an_operator_of_another_area_changes_nothing(city: City) -> None:
    await city.takes(line("A"))
    [one] = (await city.asks("GET", "/v1/stations"))["items"]
    other = city.headers("op-2", "operator", areas=("330105",))
    for path, body in (
        ("retirement", {"reason": "搬迁"}), ("state", {"state": "closed"}),
        ("days", {"day": "2026-05-01", "hours": "", "reason": "盘点"}),
    ):  # fmt: skip
        answer = await city.client.put(f"/v1/stations/{one['id']}/{path}", headers=other, json=body)
        assert answer.status_code == 403, path
    city_wide = {"kind": "weather", "closes": True, "reason": "暴雨", "begins_at": "2026-05-01T08:00:00+08:00"}
    assert (await city.client.post("/v1/stations/periods", headers=other, json=city_wide)).status_code == 403
