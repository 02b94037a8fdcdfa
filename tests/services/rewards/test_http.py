"""Points and rewards together, over HTTP and real Kafka: who may what, and the way of a gift."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.rewards.settings import Settings as RewardsSettings
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.points.ledger import GAS, NOON, Case, Ledger, points_of
from tests.support import client_of, owner_of, service_of, until

SETTLE_S = 30
GAS_POINTS = points_of(GAS)


class Town:
    """Both services in this process, and people with tokens."""

    def __init__(self, installation: Installation, points: httpx.AsyncClient, rewards: httpx.AsyncClient) -> None:
        self.identity = installation.identity
        self.points = points
        self.rewards = rewards
        self.operator = self.headers("op", "operator")
        self.ledger: Ledger

    def headers(self, sub: object, role: str, **claims: Any) -> dict[str, str]:
        """A person's."""
        return {"Authorization": f"Bearer {self.identity.token(str(sub), 'Wang', [role], **claims)}"}

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """As an operator."""
        headers = {**self.operator, "Idempotency-Key": secrets.token_hex(8)}
        answer = await self.rewards.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def offer(self, **changed: Any) -> dict[str, Any]:
        """A merchant with one offer."""
        merchant = await self.create("/v1/merchants", {"name": "早点铺", "address": "学源街 1 号"})
        now = clock.now()
        body = {
            "merchant_id": merchant["id"],
            "name": "早餐",
            "price": 60,
            "stock": 3,
            "valid_from": (now - timedelta(days=1)).isoformat(),
            "valid_until": (now + timedelta(days=1)).isoformat(),
        }
        return await self.create("/v1/offers", {**body, **changed})

    async def redeem(self, offer: dict[str, Any], rider: UUID, key: str | None = None) -> httpx.Response:
        """As a rider."""
        headers = {**self.headers(rider, "rider"), "Idempotency-Key": key or secrets.token_hex(8)}
        return await self.rewards.post(f"/v1/offers/{offer['id']}/redeem", headers=headers)

    async def voucher(self, redemption_id: str, rider: UUID, state: str) -> dict[str, Any]:
        """The rider's redemption once it has reached a state."""

        async def read() -> dict[str, Any]:
            answer = await self.rewards.get(f"/v1/redemptions/{redemption_id}", headers=self.headers(rider, "rider"))
            found: dict[str, Any] = answer.json()
            return found

        return await until(read, state, SETTLE_S, good=lambda found: found["state"] == state)

    async def balances(self, rider: UUID, expected: tuple[int, int, int]) -> None:
        """Wait for (pending, available, reserved)."""

        async def read() -> dict[str, Any]:
            found: dict[str, Any] = (
                await self.points.get("/v1/points/me", headers=self.headers(rider, "rider"))
            ).json()
            return found

        await until(
            read,
            f"{expected} pending, available and reserved",
            SETTLE_S,
            good=lambda found: (found["pending"], found["available"], found["reserved"]) == expected,
        )


@pytest.fixture(scope="module")
async def town(installation: Installation) -> AsyncIterator[Town]:
    """Started for this file only: running relays would empty the outboxes that other files look at."""
    points = service_of(installation, "points")
    rewards = service_of(installation, "rewards", sweep_every_s=0.2, wrong_codes_max=3)
    async with client_of(points) as points_client, client_of(rewards) as rewards_client:
        town = Town(installation, points_client, rewards_client)
        town.ledger = Ledger(points.pool)
        yield town


async def _rich(town: Town) -> UUID:
    rider, case = new_id(), Case(GAS, NOON)
    await town.ledger.deliver(case.report(rider), case.closed())
    return rider


async def test_the_way_of_a_gift(town: Town) -> None:
    rider, offer = await _rich(town), await town.offer()
    counter = town.headers("clerk", "merchant", merchant_id=offer["merchant_id"])
    redeemed = await town.redeem(offer, rider, "one-key-only")
    assert (redeemed.status_code, redeemed.json()["state"]) == (201, "requested")
    again = await town.redeem(offer, rider, "one-key-only")
    assert (again.json(), again.headers["idempotency-replayed"]) == (redeemed.json(), "true")
    voucher = await town.voucher(redeemed.json()["redemption_id"], rider, "issued")
    await town.balances(rider, (0, GAS_POINTS - 60, 60))
    assert f">兑换码 / voucher {voucher['code']}</title>" in voucher["qr_svg"]
    taken = await town.rewards.post("/v1/vouchers/verify", json={"code": voucher["qr"]}, headers=counter)
    assert (taken.status_code, taken.json()["offer_name"]) == (200, "早餐")
    second = await town.rewards.post("/v1/vouchers/verify", json={"code": voucher["code"]}, headers=counter)
    assert (second.status_code, second.json()["code"]) == (409, "voucher_used")
    await town.balances(rider, (0, GAS_POINTS - 60, 0))
    now = clock.now()
    period = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    path = f"/v1/merchants/{offer['merchant_id']}/statement"
    statement = (await town.rewards.get(path, params=period, headers=counter)).json()
    assert (statement["vouchers"], statement["points"]) == (1, 60)
    entries = (await town.points.get("/v1/points/me/entries?limit=3", headers=town.headers(rider, "rider"))).json()
    assert [e["movement"] for e in entries["items"]] == ["posted", "held", "posted"]
    path = f"/v1/points/riders/{rider}/entries"
    assert (await town.points.get(path, params={"limit": 3}, headers=town.operator)).json()["items"] == entries["items"]
    other_list = await town.points.get(path, params={"cursor": entries["cursor"]}, headers=town.operator)
    assert (other_list.status_code, other_list.json()["code"]) == (422, "bad_cursor")
    mine, cursor = town.headers(rider, "rider"), {"cursor": entries["cursor"]}
    rest = (await town.points.get("/v1/points/me/entries", params=cursor, headers=mine)).json()
    assert ([e["movement"] for e in rest["items"]], rest["cursor"]) == (["held"], None)


async def test_an_operator_undoes_what_was_pressed_by_mistake(town: Town, pool_for: Any) -> None:
    rider, offer = await _rich(town), await town.offer(per_rider_max=1)
    counter = town.headers("clerk", "merchant", merchant_id=offer["merchant_id"])
    id_ = (await town.redeem(offer, rider)).json()["redemption_id"]
    path, why = f"/v1/redemptions/{id_}/undo", {"reason": "误按，顾客 138.0013.8000"}
    early = await town.rewards.post(path, json=why, headers=town.operator)
    assert (early.status_code, early.json()["code"]) == (409, "not_undoable")
    voucher = await town.voucher(id_, rider, "issued")
    assert (
        await town.rewards.post("/v1/vouchers/verify", json={"code": voucher["qr"]}, headers=counter)
    ).status_code == 200
    await town.balances(rider, (0, GAS_POINTS - 60, 0))
    assert (await town.rewards.post(path, json=why, headers=counter)).status_code == 403
    done = await asyncio.gather(*(town.rewards.post(path, json=why, headers=town.operator) for _ in range(4)))
    assert {one.status_code for one in done} == {200}
    undone = done[0].json()
    assert (undone["state"], undone["reason"], undone["undone_by"]) == ("undone", "误按，顾客 ***", "op")
    assert undone["ended_at"] < undone["undone_at"]
    await town.balances(rider, (0, GAS_POINTS, 0))
    kept = await pool_for("rewards")
    ask = "SELECT posted, returned FROM postings WHERE redemption_id = $1"
    moved = await until(lambda: kept.fetchrow(ask, UUID(id_)), "what the ledger moved", good=lambda row: row and row[1])
    assert tuple(moved) == (60, 60), "months are closed by it"
    seen = (await town.rewards.get(f"/v1/offers/{offer['id']}", headers=town.operator)).json()
    assert (seen["free"], seen["held"], seen["sold"]) == (3, 0, 0)
    entries = (await town.points.get("/v1/points/me/entries?limit=3", headers=town.headers(rider, "rider"))).json()
    assert [e["movement"] for e in entries["items"]] == ["reversed", "posted", "held"]
    second = await town.rewards.post("/v1/vouchers/verify", json={"code": voucher["qr"]}, headers=counter)
    assert (second.status_code, second.json()["code"]) == (409, "voucher_undone")
    assert (await town.redeem(offer, rider)).status_code == 201
    old = (await town.redeem(await town.offer(price=0), rider)).json()
    pool = await pool_for("rewards")
    past = "UPDATE redemptions SET state = 'used', ended_at = now() - interval '15 days' WHERE id = $1"
    await pool.execute(past, UUID(old["redemption_id"]))
    await pool.execute("UPDATE offers SET held = 0, sold = 1 WHERE id = $1", UUID(old["offer_id"]))
    late = await town.rewards.post(f"/v1/redemptions/{old['redemption_id']}/undo", json=why, headers=town.operator)
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "not_undoable", "used")


async def test_why_points_were_taken_back_and_rules_changed_names_nobodys_number(
    town: Town, installation: Installation
) -> None:
    """The first is shown to the rider, the second is read by every operator."""
    rider, case = new_id(), Case(GAS, NOON)
    await town.ledger.deliver(case.report(rider), case.closed())
    path, why = f"/v1/points/holds/{case.reports[0].report_id}/reverse", {"reason": "问过 138.0013.8000，没有井盖"}
    assert (await town.points.post(path, json=why, headers=town.operator)).status_code == 204
    kept = await town.ledger.pool.fetch("SELECT state, reason FROM holds WHERE rider_id = $1", rider)
    assert [(row["state"], row["reason"]) for row in kept] == [("reversed", "问过 ***，没有井盖 (Wang)")]
    newest = (await town.points.get("/v1/points/rules?limit=200", headers=town.operator)).json()["items"][-1]["version"]
    rules = (await town.points.get("/v1/points/rules/1.csv", headers=town.operator)).text
    rule = {
        "after_version": newest, "effective_from": (clock.now() + timedelta(days=900)).isoformat(), "csv": rules,
        "reason": "王主任 13800138000 来电要求",
    }  # fmt: skip
    try:
        made = await town.points.put("/v1/points/rules", json=rule, headers=town.operator)
        assert (made.status_code, made.json()["items"][0]["reason"]) == (200, "王主任 *** 来电要求")
    finally:
        async with owner_of(installation, "points") as owner:
            await owner.execute("DELETE FROM rule_rows WHERE version = $1", newest + 1)
            await owner.execute("DELETE FROM rule_sets WHERE version = $1", newest + 1)


@pytest.mark.parametrize("what", ["offers", "merchants"])
async def test_what_is_closed_gives_no_more_and_takes_what_is_out(town: Town, what: str) -> None:
    rider, offer = new_id(), await town.offer(price=0)
    voucher = await town.voucher((await town.redeem(offer, rider)).json()["redemption_id"], rider, "issued")
    path = f"/v1/{what}/{offer['id'] if what == 'offers' else offer['merchant_id']}/closing"
    for _ in range(2):
        closed = await town.rewards.put(path, json={"reason": "搬迁138 0013 8000"}, headers=town.operator)
        assert (closed.status_code, closed.json()["closed_reason"], closed.json()["version"]) == (200, "搬迁***", 2)
    refused = await town.redeem(offer, rider)
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (409, "offer_closed", "搬迁***")
    headers = town.headers(rider, "rider")
    listed = await town.rewards.get("/v1/offers", params={"merchant_id": offer["merchant_id"]}, headers=headers)
    assert listed.json()["items"] == []
    seen = await town.rewards.get(f"/v1/offers/{offer['id']}", headers=headers)
    assert seen.json()["closed_reason"] == "搬迁***"
    counter = town.headers("clerk", "merchant", merchant_id=offer["merchant_id"])
    assert (
        await town.rewards.post("/v1/vouchers/verify", json={"code": voucher["qr"]}, headers=counter)
    ).status_code == 200
    assert (await town.rewards.put(path, json={"reason": None}, headers=headers)).status_code == 403
    assert (await town.rewards.put(path, json={"reason": None}, headers=town.operator)).json()["closed_reason"] is None
    assert (await town.redeem(offer, rider)).status_code == 201
    nowhere = await town.rewards.put(f"/v1/{what}/{new_id()}/closing", json={"reason": "x"}, headers=town.operator)
    assert nowhere.status_code == 404


async def test_too_few_points_and_too_little_stock(town: Town) -> None:
    poor, offer = new_id(), await town.offer(stock=1)
    redeemed = (await town.redeem(offer, poor)).json()
    sold_out = await town.redeem(offer, new_id())
    assert (sold_out.status_code, sold_out.json()["code"]) == (409, "sold_out")
    refused = await town.voucher(redeemed["redemption_id"], poor, "refused")
    assert (refused["reason"], refused["code"]) == ("insufficient_points", None)
    listed = await town.rewards.get(
        "/v1/offers", params={"merchant_id": offer["merchant_id"]}, headers=town.headers(poor, "rider")
    )
    assert [(o["free"], o["held"], o["sold"]) for o in listed.json()["items"]] == [(1, 0, 0)]


async def test_a_voucher_not_used_in_time_gives_points_and_stock_back(town: Town, pool_for: Any) -> None:
    rider, offer = await _rich(town), await town.offer()
    id_ = (await town.redeem(offer, rider)).json()["redemption_id"]
    await town.voucher(id_, rider, "issued")
    pool = await pool_for("rewards")
    await pool.execute("UPDATE redemptions SET deadline_at = now() WHERE id = $1", UUID(id_))
    await town.voucher(id_, rider, "expired")
    await town.balances(rider, (0, GAS_POINTS, 0))
    seen = (await town.rewards.get(f"/v1/offers/{offer['id']}", headers=town.operator)).json()
    assert (seen["free"], seen["held"], seen["sold"]) == (3, 0, 0)


async def test_somebody_elses_things_look_like_nothing(town: Town) -> None:
    rider, offer = new_id(), await town.offer(price=0)
    id_ = (await town.redeem(offer, rider)).json()["redemption_id"]
    stranger, neighbour = town.headers(new_id(), "rider"), town.headers("c", "merchant", merchant_id=str(new_id()))
    assert (await town.rewards.get(f"/v1/redemptions/{id_}", headers=stranger)).status_code == 404
    seen_by_operator = (await town.rewards.get(f"/v1/redemptions/{id_}", headers=town.operator)).json()
    assert (seen_by_operator["state"], seen_by_operator["code"]) == ("issued", None)
    code = (await town.voucher(id_, rider, "issued"))["code"]
    for _ in range(3):
        refused = await town.rewards.post("/v1/vouchers/verify", json={"code": code}, headers=neighbour)
        assert (refused.status_code, refused.json()["code"]) == (409, "other_merchant")
    limited = await town.rewards.post("/v1/vouchers/verify", json={"code": code}, headers=neighbour)
    assert (limited.status_code, "retry-after" in limited.headers) == (429, True)
    period = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    path = f"/v1/merchants/{offer['merchant_id']}/statement"
    assert (await town.rewards.get(path, params=period, headers=neighbour)).status_code == 404
    for path in (f"/v1/points/riders/{rider}", f"/v1/points/riders/{rider}/entries", "/v1/points/rules"):
        assert (await town.points.get(path, headers=town.headers(rider, "rider"))).status_code == 403
    assert (await town.rewards.post("/v1/vouchers/verify", json={"code": code}, headers=stranger)).status_code == 403


async def test_a_rider_asks_so_often_a_minute(town: Town) -> None:
    rider, nothing = new_id(), {"id": str(new_id())}
    most = RewardsSettings.model_fields["redemptions_per_minute"].default
    ends: list[int] = []
    # meanwhile the bucket fills up again, and a process that finds Redis slow begins one of its own
    while len(ends) < 5 * most and 429 not in ends:
        ends.append((await town.redeem(nothing, rider)).status_code)
    assert ends[:most] == [404] * most and ends[-1] == 429
    assert (await town.redeem(nothing, new_id())).status_code == 404, "others don't wait for them"


async def test_who_has_too_few_points_is_not_asked_twice(town: Town) -> None:
    poor, offer = new_id(), await town.offer(stock=1)
    await town.voucher((await town.redeem(offer, poor)).json()["redemption_id"], poor, "refused")
    again = await town.redeem(offer, poor)
    assert (again.status_code, again.json()["code"], again.json()["available"]) == (409, "points_missing", 0)
    case = Case(GAS, NOON)
    await town.ledger.deliver(case.report(poor), case.closed())

    async def ask() -> dict[str, Any]:
        answer: dict[str, Any] = (await town.redeem(offer, poor)).json()
        return answer

    # well within the minute for which a refusal holds: the points have been heard of
    granted = await until(ask, "enough points", good=lambda answer: "redemption_id" in answer)
    await town.voucher(granted["redemption_id"], poor, "issued")


async def test_operators_set_rules_and_stock_and_reverse(town: Town) -> None:
    rules = (await town.points.get("/v1/points/rules", headers=town.operator)).json()
    new = {
        "after_version": rules["items"][-1]["version"],
        "effective_from": "2099-06-01T00:00:00+08:00",
        "reason": "summer",
        "csv": (await town.points.get("/v1/points/rules/1.csv", headers=town.operator)).text,
    }
    checked = await town.points.put("/v1/points/rules", json=new | {"dry_run": True}, headers=town.operator)
    done = await town.points.put("/v1/points/rules", json=new, headers=town.operator)
    assert (checked.status_code, done.status_code, done.json()["items"][-1]["version"]) == (
        200, 200, new["after_version"] + 1,
    )  # fmt: skip
    assert (await town.points.put("/v1/points/rules", json=new, headers=town.operator)).status_code == 409
    past = {**new, "after_version": new["after_version"] + 1, "effective_from": "2026-01-01T00:00:00Z"}
    assert (await town.points.put("/v1/points/rules", json=past, headers=town.operator)).status_code == 422
    offer = await town.offer()
    path, body = f"/v1/offers/{offer['id']}/stock", {"stock": 9, "version": 1}
    assert (await town.rewards.put(path, json=body, headers=town.operator)).json()["free"] == 9
    assert (await town.rewards.put(path, json=body, headers=town.operator)).status_code == 409
    rider, case = new_id(), Case(GAS, NOON)
    await town.ledger.deliver(case.report(rider))
    path = f"/v1/points/holds/{case.reports[0].report_id}/reverse"
    early = await town.points.post(path, json={"reason": "a fake photo"}, headers=town.operator)
    assert (early.status_code, early.json()["state"]) == (409, "held")
    await town.ledger.deliver(case.closed())
    assert (await town.points.post(path, json={"reason": "a fake photo"}, headers=town.operator)).status_code == 204
    await town.balances(rider, (0, 0, 0))


async def test_the_figures_of_both_services(town: Town) -> None:
    points = (await town.points.get("/ops/points/status", headers=town.operator)).json()["tallies"]
    rewards = (await town.rewards.get("/ops/rewards/status", headers=town.operator)).json()["tallies"]
    assert (points["imbalance"], points["ledger_sum"]) == (0, 0)
    assert rewards["free"] + rewards["held"] + rewards["sold"] == rewards["stock_total"]
    assert rewards["points_spent"] <= points["redeemed"]
