"""Rules, their dry run and budgets over HTTP."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.points.earning import files
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.points.ledger import GAS, Case, Ledger, empty, points_of, tamper
from tests.support import client_of, owner_of, service_of, until

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RULES, DRY_RUN, BUDGETS = "/v1/points/rules", "/v1/points/rules/dry-run", "/v1/points/budgets"


class Office:
    """The service in this process, and people with tokens."""

    def __init__(self, installation: Installation, client: httpx.AsyncClient, ledger: Ledger) -> None:
        self.installation, self.identity, self.client, self.ledger = installation, installation.identity, client, ledger
        self.operator = self.headers("op", "operator")

    def headers(self, sub: object, role: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.identity.token(str(sub), 'Wang', [role], **claims)}"}

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        return (await self.client.get(path, headers=headers or self.operator)).json()

    async def csv(self) -> str:
        return (await self.client.get(f"{RULES}/1.csv", headers=self.operator)).text

    async def put(self, csv: str, **changed: Any) -> httpx.Response:
        newest = max(one["version"] for one in (await self.get(RULES))["items"])
        body = {"after_version": newest, "reason": "test", "csv": csv} | changed
        return await self.client.put(RULES, json=body, headers=self.operator)

    async def post(
        self, path: str, body: Any, headers: dict[str, str] | None = None, key: str | None = None
    ) -> httpx.Response:
        whose = {**(headers or self.operator), "Idempotency-Key": key or secrets.token_hex(8)}
        return await self.client.post(path, json=body, headers=whose)


@pytest.fixture(scope="module")
async def office(installation: Installation) -> AsyncIterator[Office]:
    """Started for this file only: a running relay empties the outbox that other files look at."""
    service = service_of(installation, "points")
    async with owner_of(installation, "points") as owner:
        await empty(owner)
        async with client_of(service) as client:
            yield Office(installation, client, Ledger(service.pool))
        await empty(owner)


async def test_a_set_goes_out_and_comes_in_as_a_file(office: Office) -> None:
    text = await office.csv()
    assert text.splitlines()[0] == ",".join(files.COLUMNS)
    checked = await office.put(text, dry_run=True)
    assert (checked.status_code, (await office.get(RULES))["current"]["version"]) == (200, 1)
    shown = checked.json()
    assert (shown["items"][0]["version"], shown["current"]["version"]) == (2, 1), "a check puts nothing in force"
    made = await office.put(text + "task,award,deed,,,,volunteer-task,,,20,,,,,,,,,,志愿服务,volunteer task\r\n")
    assert made.status_code == 200, made.text
    found = await office.get(RULES)
    assert [one["version"] for one in found["items"]] == [1, 2] and found["current"]["version"] == 2
    again = (await office.client.get(f"{RULES}/2.csv", headers=office.operator)).text
    assert again.splitlines()[-1].startswith("task,award,deed")
    late = await office.put(text, after_version=1)
    assert (late.status_code, late.json()["code"], late.json()["current_version"]) == (409, "rule_moved_on", 2)
    past = await office.put(text, effective_from=(NOW - timedelta(days=3_000)).isoformat())
    assert (past.status_code, past.json()["code"]) == (422, "rule_in_the_past")
    for version, status in (("9", 404), ("0", 404), ("99999999999999999999", 422)):
        assert (await office.client.get(f"{RULES}/{version}.csv", headers=office.operator)).status_code == status


async def test_a_set_that_begins_later_is_not_in_force_yet(office: Office) -> None:
    before = (await office.get(RULES))["current"]
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    made = (await office.put(await office.csv(), effective_from=tomorrow)).json()
    assert (made["items"][0]["version"], made["current"]) == (before["version"] + 1, before)
    async with owner_of(office.installation, "points") as owner:  # the other tests count on from what is in force
        await owner.execute("DELETE FROM rule_rows WHERE version = $1", before["version"] + 1)
        await owner.execute("DELETE FROM rule_sets WHERE version = $1", before["version"] + 1)


async def test_each_faulty_row_is_named(office: Office) -> None:
    text = await office.csv()
    bad = text + "two,award,deed,,,,course,,,,,,,,,,,,,课程,course\r\nthree,gift,,,,,,,,,,,,,,,,,,x,y\r\n"
    answer = await office.put(bad)
    assert (answer.status_code, answer.json()["code"]) == (422, "rules_faulty")
    assert [(one["line"], one["field"]) for one in answer.json()["errors"]] == [
        (5, "body.csv.points"), (6, "body.csv.sort"),
    ]  # fmt: skip
    assert (await office.put("")).json()["code"] == "rules_faulty"
    assert (await office.post(DRY_RUN, {"csv": bad})).json()["code"] == "rules_faulty"


async def test_a_dry_run_says_what_would_have_been_paid_and_to_whom(office: Office, installation: Installation) -> None:
    rider, case = new_id(), Case(GAS)
    await office.ledger.deliver(case.report(rider), case.closed())
    days = {"first": "2026-03-01", "until": "2026-03-31"}
    async with owner_of(installation, "points") as owner:
        await tamper(owner, "UPDATE holds SET made_at = happened_at WHERE rider_id = $1", rider)
    text = (await office.csv()).replace("catalogue,award,report,,,,,,,,", "catalogue,award,report,,,,,,,7,")
    found = (await office.post(DRY_RUN, {"csv": text, "riders": True, "level": "district", **days})).json()
    assert (found["was"], found["would"], found["riders_changed"]) == (points_of(GAS), 7, 1)
    assert found["sums"] == [
        {"area": "330114", "kind": GAS, "n": 1, "riders": 1, "was": points_of(GAS), "would": 7}
    ]  # fmt: skip
    assert found["riders"] == [{"rider_id": str(rider), "was": points_of(GAS), "would": 7}]
    same = (await office.post(DRY_RUN, {"csv": await office.csv(), **days})).json()
    assert (same["was"], same["riders_changed"], same["riders"]) == (same["would"], 0, [])
    assert (await office.get(RULES))["current"]["version"] == 2, "nothing is kept"
    long = await office.post(DRY_RUN, {"csv": text, "first": "2026-01-01", "until": "2026-12-31"})
    assert (long.status_code, long.json()["days_max"]) == (422, 62)
    assert (await office.post(DRY_RUN, {"csv": text})).status_code == 200, "last month, if nothing is said"


async def test_a_rider_reads_which_rule_has_decided(office: Office) -> None:
    rider, stranger, case = new_id(), new_id(), Case(GAS)
    await office.ledger.deliver(case.report(rider), case.report(rider), case.closed())
    mine, theirs = office.headers(rider, "rider"), office.headers(stranger, "rider")
    entries = (await office.get("/v1/points/me/entries", mine))["items"]
    assert {(one["rule"], one["why_zh"]) for one in entries} == {("1/catalogue", "依据规则「类别标准」（第 1 版）")}
    again = f"/v1/points/me/holds/{case.reports[1].report_id}"
    refused = await office.get(again, mine)
    assert (refused["state"], refused["reason"], refused["rule"]) == ("refused", "already_reported", "1/catalogue")
    assert refused["why_en"].startswith("you have reported this already; by the rule")
    assert (await office.client.get(again, headers=theirs)).status_code == 404


async def test_budgets_are_given_on_drawn_on_and_refused(office: Office) -> None:
    street = office.headers("s", "operator", areas=["330114001"])
    days = {"begins_on": "2026-01-01", "ends_on": "2027-01-01", "reason": "新年预算"}
    city = (await office.post(BUDGETS, {"area": "330114", "points": 200, **days})).json()
    assert (await office.post(BUDGETS, {"area": "330114001", "points": 1, **days}, street)).status_code == 403
    below = {"area": "330114001", "points": 10, **days}
    made, again = [(await office.post(BUDGETS, below, key="district-1")).json() for _ in range(2)]
    assert again == made, "an answer that was lost is given again"
    assert (made["parent_id"], made["room"]) == (city["id"], 10)
    assert [one["id"] for one in (await office.get(BUDGETS, street))["items"]] == [made["id"]]
    path = f"{BUDGETS}/{made['id']}"
    rider, case = new_id(), Case(GAS)
    await office.ledger.deliver(case.report(rider), case.closed())
    hold = f"/v1/points/me/holds/{case.reports[0].report_id}"
    waiting = await office.get(hold, office.headers(rider, "rider"))
    assert (waiting["waits"], waiting["reason"]) == (True, "budget_waits")
    assert "等待街道决定" in waiting["why_zh"]
    unnamed = await office.client.post(f"{path}/allocations", json={"points": 90, "reason": "追加一笔"}, headers=street)
    assert unnamed.status_code == 422, "an attempt has a key"
    over = await office.post(f"{path}/allocations", {"points": 191, "reason": "too much"}, street)
    assert (over.status_code, over.json()["code"], over.json()["left"]) == (409, "budget_short", 190)
    for _ in range(2):
        given = await office.post(f"{path}/allocations", {"points": 90, "reason": "追加一笔"}, street, "top-up-1")
        assert (given.status_code, given.json()["allocated"]) == (200, points_of(GAS))
    other = await office.post(f"{path}/allocations", {"points": 91, "reason": "追加一笔"}, street, "top-up-1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")

    async def state() -> str:
        return str((await office.get(hold, office.headers(rider, "rider")))["state"])

    await until(state, "posted", good=lambda found: found == "posted")
    refusing = await office.post(f"{path}/refuse", {"reason": "没有预算"}, street)
    assert (refusing.status_code, refusing.json()["code"]) == (409, "budget_nothing_waits")
    assert [one["points"] for one in (await office.get(f"{path}/allocations", street))["items"]] == [90, 10]
    top = await office.post(f"{BUDGETS}/{city['id']}/allocations", {"points": 1, "reason": "mine"}, street)
    assert top.status_code == 404
    wrong = await office.post(BUDGETS, {"area": "330114002", "points": 1, **days, "ends_on": "2026-01-01"})
    assert wrong.json()["code"] == "budget_days"
    assert (await office.post(f"{BUDGETS}/99999999999999999999/refuse", {"reason": "abc"})).status_code == 422
    assert (await office.post(f"{BUDGETS}/{2**62}/refuse", {"reason": "abc"})).status_code == 404
