"""activities as it runs, on real servers: a day from its publishing to the company's sums."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.activities.domain import drawn_order, hash_of
from services.activities.settings import Settings
from services.activities.store import signups as signup_store
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.auth import Signer, signed_headers
from shared.kit.auth.key_ring import Ask
from shared.kit.ids import new_id
from tests.services.activities.club import AREA, HOUR, Club
from tests.support import client_of, service_of, until

SECRET = b"of any company" * 3


class Hall:
    """The running service and who asks it."""

    def __init__(self, client: httpx.AsyncClient, installation: Installation, club: Club) -> None:
        self.client, self.installation, self.club = client, installation, club
        self.operator = self.headers("op", "operator")

    def headers(self, sub: UUID | str, role: str = "rider", areas: tuple[str, ...] = ()) -> dict[str, str]:
        token = self.installation.identity.token(str(sub), "王", [role], areas)
        return {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: Any, status: int = 201, headers: dict[str, str] | None = None) -> Any:
        sent = {**(headers or self.operator), "Idempotency-Key": secrets.token_hex(8)}
        answer = await self.client.post(path, json=body, headers=sent)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def publish(self, **stated: Any) -> dict[str, Any]:
        start = clock.now() + timedelta(days=2)
        body = {
            "title_zh": "健康义诊", "title_en": "Health day", "words_zh": "免费", "area_code": AREA, "address": "驿站",
            "organiser": "街道", "starts_at": start.isoformat(), "ends_at": (start + 2 * HOUR).isoformat(),
            "signup_until": (start - HOUR).isoformat(), "places": 1,
        }  # fmt: skip
        made: dict[str, Any] = await self.post("/v1/activities", {**body, **stated})
        return made

    async def join(self, activity: dict[str, Any], rider: UUID, **said: Any) -> httpx.Response:
        return await self.client.put(
            f"/v1/activities/{activity['id']}/signup", json=said, headers=self.headers(rider)
        )  # fmt: skip

    async def read(self, path: str, who: UUID | dict[str, str] | None = None) -> Any:
        headers = {} if who is None else who if isinstance(who, dict) else self.headers(who)
        answer = await self.client.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def hall(installation: Installation, club: Club) -> AsyncIterator[Hall]:
    made = service_of(installation, "activities", draw_every_s=0.1, say_every_s=0.1)
    async with client_of(made) as client:
        yield Hall(client, installation, club)


async def test_a_days_way(hall: Hall) -> None:
    activity = await hall.publish()
    first, second = await hall.club.riders(2)
    path = f"/v1/activities/{activity['id']}"
    got = await hall.join(activity, first, photo_consent=True)
    assert (got.status_code, got.json()["state"]) == (200, "confirmed")
    assert (await hall.join(activity, first)).json() == got.json()
    assert (await hall.join(activity, second)).json()["state"] == "waiting"
    [mine] = (await hall.read("/v1/activities/mine", second))["items"]
    assert (mine["ahead"], mine["title_zh"]) == (0, "健康义诊")
    own = await hall.read(f"{path}/signup", first)
    assert own["code"].startswith("1-")
    assert own["qr_svg"].startswith("<svg")
    assert (await hall.read(f"{path}/signup", second))["code"] is None

    await hall.club.pool.execute("UPDATE activities SET signup_until = now(), starts_at = now() + interval '1 minute'")
    checked = await hall.post(f"{path}/check-ins", {"code": own["code"]}, 200)
    assert checked == await hall.post(f"{path}/check-ins", {"code": own["code"]}, 200)
    site = await hall.read(f"{path}/site-code", hall.operator)
    assert (await hall.post(f"{path}/check-in", {"code": site["code"]}, 200, hall.headers(first)))["way"] == "staff"
    refused = await hall.post(f"{path}/check-in", {"code": site["code"]}, 409, hall.headers(second))
    assert (refused["code"], refused["state"]) == ("no_place", "waiting")
    said = {"stars": 4, "words": "医生很好，找 13812345678 预约"}
    answer = await hall.client.put(f"{path}/feedback", json=said, headers=hall.headers(first))
    assert "13812345678" not in answer.text
    assert "医生很好" in answer.text
    whole = await hall.read(path, second)
    assert (whole["attended"], whole["opinions"], whole["stars_average"]) == (1, 1, 4.0)
    lines = (await hall.read(f"{path}/signups", hall.operator))["items"]
    assert [(line["number"], line["state"], line["outcome"]) for line in lines] == [
        (1, "confirmed", "attended"), (2, "waiting", None),
    ]  # fmt: skip
    assert str(first) not in str(lines)
    photo = await hall.post(f"{path}/photos", {"ref": "https://photos.example/1.jpg", "numbers": [1]})
    await hall.post(f"{path}/photos", {"ref": "p2", "numbers": [2]}, 409)
    assert [one["id"] for one in (await hall.read(f"{path}/photos"))["items"]] == [photo["id"]]
    no: dict[str, Any] = {"json": {"photo_consent": False}, "headers": hall.headers(first)}
    assert (await hall.client.put(f"{path}/signup/consent", **no)).status_code == 200
    assert (await hall.read(f"{path}/photos"))["items"] == []
    sums = await hall.read("/v1/activities/reconciliation", hall.operator)
    assert (sums["signups"], sums["confirmed"], sums["waiting"], sums["difference"]) == (2, 1, 1, 0)


async def test_a_draw_can_be_recomputed_from_what_everybody_reads(hall: Hall) -> None:
    activity = await hall.publish(way="lot", places=2)
    path = f"/v1/activities/{activity['id']}"
    for rider in await hall.club.riders(6):
        assert (await hall.join(activity, rider)).json()["state"] == "wished"
    early = await hall.client.get(f"{path}/draw")
    assert (early.status_code, early.json()["code"]) == (404, "not_drawn")
    seed = await hall.club.pool.fetchval("SELECT seed FROM seeds")
    assert seed not in str(await hall.read(path, hall.operator))
    await hall.club.pool.execute("UPDATE activities SET signup_until = now()")

    async def drawn() -> httpx.Response:
        return await hall.client.get(f"{path}/draw")

    found = (await until(drawn, "drawn", good=lambda answer: answer.status_code == 200)).json()
    assert hash_of(found["seed"]) == found["seed_hash"] == activity["seed_hash"]
    order = drawn_order(found["seed"], UUID(activity["id"]), found["entrants"], found["withdrawn"])
    assert found["confirmed"] == order[:2]


async def test_lists_calendar_and_whose_it_is(hall: Hall) -> None:
    everybody = await hall.publish()
    theirs = await hall.publish(companies=["kuai"], title_zh="快达专场")
    [ours], [other] = await hall.club.riders(1), await hall.club.riders(1, "kuai")
    ids = [one["id"] for one in (await hall.read("/v1/activities"))["items"]]
    assert ids == [everybody["id"]]
    assert len((await hall.read("/v1/activities/for-me", other))["items"]) == 2
    assert len((await hall.read("/v1/activities/for-me", ours))["items"]) == 1
    assert (await hall.join(theirs, ours)).json()["code"] == "not_for_you_here"
    feed = await hall.client.get("/v1/activities/calendar.ics")
    assert feed.headers["content-type"].startswith("text/calendar")
    assert feed.text.count("BEGIN:VEVENT") == 1
    assert "健康义诊" in feed.text
    assert "快达专场" not in feed.text
    assert (await hall.read("/v1/activities?area=nowhere"))["items"] == []


async def test_operators_publish_in_their_areas_alone_and_in_series(hall: Hall) -> None:
    elsewhere = hall.headers("op2", "operator", ("330105",))
    stated = {
        "template": "birthday", "days": ["2031-05-01", "2031-06-01"], "area_code": AREA, "address": "驿站",
        "organiser": "街道", "closes_hours_before": 24,
    }  # fmt: skip
    assert (await hall.post("/v1/activities/series", stated, 403, elsewhere))["code"] == "not_your_area"
    made = await hall.post("/v1/activities/series", stated)
    assert len(made["items"]) == 2
    assert (await hall.post("/v1/activities/series", {**stated, "template": "none"}, 404))["code"] == "not_found"
    late = {**stated, "days": ["2021-05-01"]}
    assert (await hall.post("/v1/activities/series", late, 422))["code"] == "bad_times"
    template = {
        "after_version": 0, "title_zh": "观影", "title_en": "Film", "words_zh": "", "words_en": "",
        "begins_minute": 1140, "minutes": 120, "places": 40, "way": "lot", "teams": [],
    }  # fmt: skip
    put = "/v1/activities/templates/film"
    assert (await hall.client.put(put, json=template, headers=hall.operator)).status_code == 200
    again = await hall.client.put(put, json=template, headers=hall.operator)
    assert (again.json()["code"], again.json()["current_version"]) == ("template_moved_on", 1)
    codes = [one["code"] for one in (await hall.read("/v1/activities/templates", hall.operator))["items"]]
    assert codes == ["birthday", "film", "match", "service-week"]


async def test_a_company_learns_sums_of_five_riders_or_more(hall: Hall, club: Club) -> None:
    activity = await club.publish(places=9)
    for company, count in (("suda", 5), ("kuai", 4)):
        await club.join(activity, *await club.riders(count, company))
    await club.begins(activity, ago=4 * HOUR)
    await club.close()
    now = clock.now()
    async with club.pool.acquire() as conn:
        for company in ("suda", "kuai"):
            found = await signup_store.of_company(conn, company, now - timedelta(days=1), now)
            assert found.riders == (5 if company == "suda" else 4)
    assert Settings.model_fields["signups_max"].default >= 2_000


class _Keys:
    """One secret for each company that asks."""

    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        return Signer([SECRET])


async def test_a_company_reads_its_sums_or_nothing(installation: Installation, club: Club) -> None:
    activity = await club.publish(places=9)
    for company, count in (("suda", 5), ("kuai", 4)):
        await club.join(activity, *await club.riders(count, company))
    await club.begins(activity, ago=timedelta(days=40))
    await club.close()
    service = service_of(installation, "activities")
    service.key_ring = _Keys()
    month = await club.pool.fetchval("SELECT to_char(ends_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') FROM activities")
    async with client_of(service) as client:

        async def sums(company: str, of: str) -> Any:
            path = f"/v1/activities/company?month={of}"
            signed = signed_headers(company=company, secret=SECRET, method="GET", target=path)
            return (await client.get(path, headers=signed)).json()

        assert await sums("suda", month) == {"month": month, "riders": 5, "signups": 5, "attended": 0}
        assert await sums("kuai", month) == {"month": month, "riders": None, "signups": None, "attended": None}
        assert (await sums("suda", f"{clock.now():%Y-%m}"))["code"] == "month_runs"


async def test_called_off_over_http(hall: Hall) -> None:
    activity = await hall.publish()
    [rider] = await hall.club.riders(1)
    await hall.join(activity, rider)
    path = f"/v1/activities/{activity['id']}/cancel"
    answer = await hall.client.post(path, json={"reason": "暴雨预警"}, headers=hall.operator)
    assert (answer.json()["state"], answer.json()["reason"]) == ("called_off", "暴雨预警")
    [mine] = (await hall.read("/v1/activities/mine", rider))["items"]
    assert (mine["state"], mine["activity_state"]) == ("cancelled", "called_off")
    missing = await hall.client.post(f"/v1/activities/{new_id()}/cancel", json={"reason": "x"}, headers=hall.operator)
    assert missing.status_code == 404
