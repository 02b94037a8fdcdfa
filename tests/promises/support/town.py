"""A city with one company in it: reports as they should be, as they should not, and all that follows a good one."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import httpx
import orjson
import shapely
from PIL import Image

from shared.devtools.demo.target import target_of
from shared.devtools.infra.ports import free_port
from shared.devtools.suite import Suite
from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.kit.ids import new_id
from shared.synthetic import opening, reports
from shared.synthetic.city import Area, grids
from shared.synthetic.door import Door, DoorError
from shared.synthetic.people import Company
from tests.asking import soon

PATH = "/v1/reports"
RIDERS = 40
AT_ONCE = 4
KIND = "part-01001"
NOWHERE = (121.9, 31.9)
AT_SEA = Area("at-sea-1", "海上网格", "grid", None, shapely.box(122.5, 30.5, 122.6, 30.6))
# A webhook may be on this machine, and is given up after its first attempt instead of after twenty hours.
SETTINGS = {
    "BEEGRID_WEBHOOK_HTTP_ALLOWED": "true",
    "BEEGRID_WEBHOOK_NETWORKS_ALLOWED": '["127.0.0.0/8"]',
    "BEEGRID_DELIVERY_ATTEMPTS_MAX": "1",
    # nobody listens there: codes are asked for and entered, none arrives
    "BEEGRID_MAIL_GATEWAY": "mailto://nobody:nothing@127.0.0.1:9?from=city@example.cn",
}


@dataclass
class Town:
    """The city's front door, and its company."""

    door: Door
    company: Company
    suite: Suite
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def report(self, place: tuple[float, float] | None = None, kind: str = KIND) -> dict[str, Any]:
        """A new report, as a phone with GPS gives it: of one grid after the other, or of a `place` (lng, lat)."""
        number = next(self.numbers)
        if place is None:
            middle = grids()[number % len(grids())].polygon.representative_point()
            place = (middle.x, middle.y)
        # the first rider has not agreed to anything
        rider = self.company.rider(1 + number % (RIDERS - 1))
        return reports.body(f"r-{new_id()}", rider, kind, place, clock.now() - timedelta(minutes=2))

    async def hand_in(self, reports: int) -> None:
        """Good reports by one signed request."""
        body = {"items": [self.report() for _ in range(reports)]}
        answer = await self.door.signed(self.company.code, self.company.secret, f"{PATH}:batch", body)
        assert answer["accepted"] == reports, answer

    async def stream(self, *reports: dict[str, Any], what: str = "reports") -> None:
        """Reports, or riders, over Kafka with the company's own user."""
        topic = f"{self.door.target.cluster.topic_prefix}inbound.{self.company.code}.{what}.v1"
        async with opening.producer_of(self.door.target.cluster, self.company) as producer:
            for report in reports:
                await producer.send(topic, orjson.dumps(report), key=report["external_id"].encode())
            await producer.flush()

    async def post(self, client: httpx.AsyncClient, body: bytes) -> int:
        """One signed POST of a report, without any patience; the status of the answer."""
        company = self.company
        headers = signed_headers(company=company.code, secret=company.secret, method="POST", target=PATH, body=body)
        answer = await client.post(PATH, content=body, headers={**headers, "content-type": "application/json"})
        return answer.status_code

    def intake(self) -> httpx.AsyncClient:
        """Intake's own address."""
        return httpx.AsyncClient(base_url=self.suite.services["intake"].url, timeout=30, trust_env=False)

    async def repeat(self, times: int) -> None:
        """One and the same report, so many times: each is answered as the first was, and nothing follows."""
        body = orjson.dumps(self.report())
        left = iter(range(times))
        async with self.intake() as client:

            async def sender() -> None:
                for _ in left:
                    status = await self.post(client, body)
                    assert status in (200, 201, 429), status

            await asyncio.gather(*(sender() for _ in range(AT_ONCE)))

    async def whole_story(self) -> None:
        """A report with a photo is handled to its end, shown to the rider, paid, and becomes a gift."""
        door, company = self.door, self.company
        rider_facts = {"external_id": company.rider(1), "name": "孙芳", "consent_at": clock.now().isoformat()}
        await self.stream(rider_facts, what="riders")
        body = {"items": [rider_facts]}
        rider = (await door.signed(company.code, company.secret, "/v1/riders:batch", body))["items"][0]["rider_id"]
        phone = door.token(rider, "孙芳", ["rider"])
        picture = io.BytesIO()
        Image.effect_noise((640, 480), 90).save(picture, "JPEG")  # another one each time
        photo = await door.send_bytes("/v1/photos", picture.getvalue(), "image/jpeg", phone)
        report = {**self.report(), "rider": company.rider(1)}
        filed = {name: value for name, value in report.items() if name != "rider"} | {"photos": [photo["photo_id"]]}
        report_id = (await door.post(PATH, filed, phone))["report_id"]
        address = f"/v1/tracking/reports/{report_id}"
        seen = await soon(lambda: door.get(address, phone), lambda answer: answer["case_id"] is not None)
        case = f"/v1/cases/{seen['case_id']}"
        worker = door.token("w-1", "王强", ["grid_worker", "verifier"], areas=[seen["grid_code"]])
        verifier = door.token("v-1", "陈静", ["verifier"], areas=[seen["grid_code"][:9]])
        for step in ("claim", "handle"):
            await door.post(f"{case}/{step}", {}, worker)
        await refused(door.post(f"{case}/verify", {}, worker))
        for step in ("verify", "close"):
            await door.post(f"{case}/{step}", {}, verifier)
        await soon(lambda: door.get("/v1/points/me", phone), lambda answer: answer["available"] > 0)
        await self._redeem(phone)

    async def wrong_addresses(self) -> None:
        """Ask every service for what it hasn't."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            for process in self.suite.services.values():
                assert (await client.get(f"{process.url}/v1/nothing")).status_code == 404

    async def rare_story(self) -> None:
        """What happens once in a while: a new map, and a rider who enters a wrong code and leaves."""
        door, company = self.door, self.company
        await opening.import_city(door, more=(AT_SEA,))
        facts = {"external_id": f"rare-{new_id()}", "name": "李丽", "consent_at": clock.now().isoformat()}
        answer = await door.signed(company.code, company.secret, "/v1/riders:batch", {"items": [facts]})
        rider = answer["items"][0]["rider_id"]
        phone = door.token(rider, "李丽", ["rider"])
        wanted = {"channels": [{"kind": "mail", "address": "rare@example.cn"}], "version": 0}
        saved = await soon(lambda: door.put("/v1/preferences", wanted, phone), bool)
        channel = f"/v1/preferences/channels/{saved['channels'][0]['channel_id']}"
        await door.post(f"{channel}/code", None, phone)
        await refused(door.post(f"{channel}/verify", {"code": "0000"}, phone))
        await door.delete(f"/v1/riders/{rider}")

    async def _redeem(self, phone: str) -> None:
        door, now = self.door, clock.now()
        shop = await door.post(
            "/v1/merchants", {"name": "驿站", "address": "虚构路 1 号"}, idempotency_key=str(new_id())
        )
        offer = {
            "merchant_id": shop["id"],
            "name": "早餐",
            "price": 1,
            "stock": 1,
            "valid_from": (now - timedelta(hours=1)).isoformat(),
            "valid_until": (now + timedelta(days=1)).isoformat(),
        }
        made = await door.post("/v1/offers", offer, idempotency_key=str(new_id()))
        wish = await door.post(f"/v1/offers/{made['id']}/redeem", None, phone, idempotency_key=str(new_id()))
        await refused(door.post(f"/v1/offers/{made['id']}/redeem", None, phone, idempotency_key=str(new_id())))
        path = f"/v1/redemptions/{wish['redemption_id']}"
        voucher = await soon(lambda: door.get(path, phone), lambda answer: answer["state"] == "issued")
        counter = door.token("m-1", "柜台", ["merchant"], merchant_id=shop["id"])
        await door.post("/v1/vouchers/verify", {"code": voucher["code"]}, counter)


async def refused(request: Awaitable[Any]) -> None:
    """What must not be allowed."""
    with contextlib.suppress(DoorError):
        await request
        raise AssertionError("it is allowed")


async def built(suite: Suite) -> Town:
    """Open the front door, import the demo city, register a company and its riders, and have the suite warm."""
    suite.open_front_door(free_port())
    door = Door(target_of(suite))
    await opening.import_city(door)
    await opening.let_time_be_short(door)
    [company] = await opening.register_companies(door, (("suda", "速达快递", "courier", RIDERS),))
    await opening.register_riders(door, [company], lambda _: None)
    town = Town(door, company, suite)
    await town.whole_story()
    return town
