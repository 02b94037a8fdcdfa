"""Points by hand: two people, a reason, one key for ever."""

import asyncio
import secrets
from typing import Any

import asyncpg
import pytest

from services.points.usecases import adjusting
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.points.ledger import Ledger, tamper
from tests.support import client_of, owner_of, service_of


async def test_one_proposes_and_another_decides(ledger: Ledger) -> None:
    rider = new_id()
    await ledger.adjust(rider, 30)
    await ledger.adjust(rider, -10)
    assert await ledger.balances(rider) == (0, 20, 0)
    assert await ledger.movements(rider) == [("adjusted", 30, "goodwill"), ("adjusted", -10, "goodwill")]
    assert (await ledger.tallies())["adjusted"] == 20


@pytest.mark.parametrize(
    ("decision", "by", "problem"),
    [
        ("approved", "a", "two_people"),
        ("refused", "a", "two_people"),
        ("withdrawn", "b", "two_people"),
        ("approved", "b", None),
        ("refused", "b", None),
        ("withdrawn", "a", None),
    ],
)
async def test_who_decides_what(ledger: Ledger, decision: Any, by: str, problem: str | None) -> None:
    rider = new_id()
    id_ = await ledger.propose(rider, 5)

    async def decide(decision: Any, by: str) -> str:
        try:
            async with ledger.work() as work:
                await adjusting.decide(work, id_, decision, (by, by), "because")
        except Refusal as refusal:
            return refusal.code
        return "done"

    assert await decide(decision, by) == (problem or "done")
    assert await ledger.balances(rider) == (0, 5 if (decision, by) == ("approved", "b") else 0, 0)
    if problem is None:
        assert [await decide(other, "c") for other in ("approved", "refused")] == ["adjustment_decided"] * 2
    await ledger.tallies()


async def test_the_constraint_knows_two_people_without_the_code(ledger: Ledger) -> None:
    id_ = await ledger.propose(new_id(), 5)
    with pytest.raises(asyncpg.CheckViolationError, match="adjustments_by_two"):
        await ledger.pool.execute(
            "UPDATE adjustments SET state = 'approved', decided_by = proposed_by, decided_at = now() WHERE id = $1", id_
        )


async def test_no_more_is_taken_than_is_there_and_the_proposal_stays_open(ledger: Ledger) -> None:
    rider = new_id()
    await ledger.adjust(rider, 5)
    id_ = await ledger.propose(rider, -6)
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            async with ledger.work() as work:
                await adjusting.decide(work, id_, "approved", ("b", "b"), "because")
        assert (refused.value.code, refused.value.extras["available"]) == ("too_few_points", 5)
    await ledger.adjust(rider, 1)
    async with ledger.work() as work:
        await adjusting.decide(work, id_, "approved", ("b", "b"), "because")
    assert await ledger.balances(rider) == (0, 0, 0)


async def test_two_who_approve_at_once_move_it_once(ledger: Ledger) -> None:
    rider = new_id()
    id_ = await ledger.propose(rider, 5)

    async def approve(by: str) -> bool:
        try:
            async with ledger.work() as work:
                await adjusting.decide(work, id_, "approved", (by, by), "because")
        except Refusal:
            return False
        return True

    assert sum(await asyncio.gather(*(approve(by) for by in "bcdef"))) == 1
    assert await ledger.balances(rider) == (0, 5, 0)
    await ledger.tallies()


async def test_a_key_is_for_one_thing_for_ever(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()
    first = await ledger.propose(rider, 5, "key-1")
    assert await ledger.propose(rider, 5, "key-1") == first
    with pytest.raises(Refusal) as refused:
        await ledger.propose(rider, 6, "key-1")
    assert (refused.value.code, refused.value.status) == ("idempotency_conflict", 409)
    assert await ledger.propose(rider, 6, "key-1", by="c") != first, "a key is its proposer's"
    async with owner_of(installation, "points") as owner:
        for statement in ("DELETE FROM adjustments", "UPDATE adjustments SET amount = 1", "TRUNCATE adjustments"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await owner.execute(statement)
        await tamper(owner, "DELETE FROM adjustments")


async def test_over_http(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()

    def headers(who: str, key: str = "") -> dict[str, str]:
        token = installation.identity.token(who, who, ["operator"])
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": key or secrets.token_hex(8)}

    async with client_of(service_of(installation, "points")) as client:
        body = {"rider_id": str(rider), "amount": 12, "reason": "wrongly_refused", "words": "来电核实，误拒"}
        made = await client.post("/v1/points/adjustments", json=body, headers=headers("ann", "key-of-ann"))
        assert made.status_code == 201, made.text
        again = await client.post("/v1/points/adjustments", json=body, headers=headers("ann", "key-of-ann"))
        assert again.json() == made.json()
        other = await client.post(
            "/v1/points/adjustments", json={**body, "amount": 13}, headers=headers("ann", "key-of-ann")
        )
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        nothing = await client.post("/v1/points/adjustments", json={**body, "amount": 0}, headers=headers("ann"))
        assert nothing.json()["code"] == "nothing_to_adjust"
        path = f"/v1/points/adjustments/{made.json()['id']}"
        words = {"words": "核对无误"}
        own = await client.post(f"{path}/approve", json=words, headers=headers("ann"))
        assert (own.status_code, own.json()["code"]) == (409, "two_people")
        done = await client.post(f"{path}/approve", json=words, headers=headers("bo"))
        assert (done.status_code, done.json()["state"], done.json()["decided_by"]) == (200, "approved", "bo")
        listed = await client.get(
            "/v1/points/adjustments", params={"rider_id": str(rider), "state": "approved"}, headers=headers("cy")
        )
        assert [one["id"] for one in listed.json()["items"]] == [made.json()["id"]]
        assert (await client.get(path, headers=headers("cy"))).json() == done.json()
    assert await ledger.balances(rider) == (0, 12, 0)


async def test_what_was_decided_stays_and_nobody_gives_to_themselves(ledger: Ledger) -> None:
    rider = new_id()
    id_ = await ledger.adjust(rider, 30)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await ledger.pool.execute("UPDATE adjustments SET decided_by = 'innocent' WHERE id = $1", id_)
    for by, decides in (("a", str(rider)), (str(rider), "b")):
        wish = await ledger.propose(rider, 500, by=by)
        with pytest.raises(Refusal) as refused:
            async with ledger.work() as work:
                await adjusting.decide(work, wish, "approved", (decides, "me"), "checked")
        assert refused.value.code == "two_people"
    assert (await ledger.balances(rider))[1] == 30
