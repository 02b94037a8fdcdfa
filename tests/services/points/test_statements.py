"""Balances and statements as of any instant, and what was redeemed at a merchant: all from the entries."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.points.store import statements
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from tests.services.points.ledger import MANHOLE, NOON, Case, Ledger, points_of, redemption
from tests.support import client_of, service_of

POINTS = points_of(MANHOLE)
HOUR = timedelta(hours=1)
Seen = list[tuple[datetime, tuple[int, int, int]]]


async def history(ledger: Ledger, rider: UUID) -> Seen:
    """An hour each: what happened, and the balances half an hour later."""
    wish, case = new_id(), Case(MANHOLE)
    steps: list[list[Event[Any]]] = [
        [case.report(rider)],
        [case.closed()],
        [redemption(wish, rider, POINTS - 1, "requested")],
        [redemption(wish, rider, POINTS - 1, "used")],
        [redemption(wish, rider, POINTS - 1, "undone")],
        [],
        [Case(MANHOLE, NOON + timedelta(days=1)).report(rider)],
    ]
    began, seen = clock.now() - 10 * HOUR, []
    for hour, step in enumerate(steps):
        ledger.ahead = HOUR * (hour - 10)
        await ledger.deliver(*step)
        seen.append((began + HOUR * hour + HOUR / 2, await ledger.balances(rider)))
    return seen


@pytest.mark.parametrize("sealed_after", [None, 1, 4, 7])
async def test_balances_as_of_any_instant(ledger: Ledger, sealed_after: int | None) -> None:
    """Also from a seal on, whose balances are those of its version."""
    rider = new_id()
    seen = await history(ledger, rider)
    if sealed_after is not None:
        at = seen[sealed_after - 1][0]
        await ledger.pool.execute(SQL_HEAD, rider, at, *seen[sealed_after - 1][1])
    async with ledger.pool.acquire() as conn:
        for at, expected in seen:
            found = await statements.balances_at(conn, rider, at)
            assert (found.pending, found.available, found.reserved) == expected
        zeros = await statements.balances_at(conn, rider, seen[0][0] - timedelta(days=1))
        assert (zeros.pending, zeros.available, zeros.reserved) == (0, 0, 0)


SQL_HEAD = """
INSERT INTO account_heads (rider_id, seal, version, hash, pending, available, reserved, made_at)
SELECT $1, 1, max(version), ''::bytea, $3, $4, $5, $2 FROM entries WHERE rider_id = $1 AND made_at <= $2
"""


async def test_what_a_head_has_is_not_read_again(ledger: Ledger) -> None:
    rider = new_id()
    seen = await history(ledger, rider)
    at, balances = seen[4]
    await ledger.pool.execute(SQL_HEAD, rider, at, *[one + 1_000 for one in balances])
    async with ledger.pool.acquire() as conn:
        found = await statements.balances_at(conn, rider, seen[6][0])
    assert found.available == seen[6][1][1] + 1_000, "it is taken as it is: `beegrid ledger verify` is who compares it"


async def test_statements_over_http(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()
    seen = await history(ledger, rider)
    since, until = seen[1][0], seen[4][0]
    async with client_of(service_of(installation, "points")) as client:
        mine = {"Authorization": f"Bearer {installation.identity.token(str(rider), 'R', ['rider'])}"}
        theirs = {"Authorization": f"Bearer {installation.identity.token('op', 'O', ['operator'])}"}
        asked = {"from": since.isoformat(), "to": until.isoformat(), "limit": "2"}
        path = "/v1/points/me/statement"
        first = (await client.get(path, params=asked, headers=mine)).json()
        rest = (await client.get(path, params={**asked, "cursor": first["cursor"]}, headers=mine)).json()
        assert [one["movement"] for one in first["items"] + rest["items"]] == ["held", "posted", "reversed"]
        assert rest["cursor"] is None
        for page in (first, rest):
            opening, closing = (
                tuple(page[end][name] for name in ("pending", "available", "reserved"))
                for end in ("opening", "closing")
            )
            assert (opening, closing) == (seen[1][1], seen[4][1])
        found = await client.get(f"/v1/points/riders/{rider}/statement", params=asked, headers=theirs)
        assert found.json()["items"] == first["items"]
        balances = await client.get("/v1/points/me/balances", params={"at": since.isoformat()}, headers=mine)
        assert balances.json()["available"] == seen[1][1][1]
        bad = await client.get(path, params={**asked, "to": asked["from"]}, headers=mine)
        assert (bad.status_code, bad.json()["code"]) == (422, "bad_period")


async def test_what_was_redeemed_at_a_merchant_is_in_the_ledger(ledger: Ledger, installation: Installation) -> None:
    rider, cafe, bakery = new_id(), new_id(), new_id()
    await ledger.adjust(rider, 100)

    def wish(merchant: UUID, price: int, *states: str) -> list[Event[Any]]:
        id_ = new_id()
        return [redemption(id_, rider, price, state, merchant_id=merchant) for state in states]

    began = clock.now() - HOUR / 2
    later, end = began + HOUR, began + timedelta(days=2)
    await ledger.deliver(*wish(cafe, 10, "requested", "used"), *wish(cafe, 5, "requested", "used"))
    await ledger.deliver(*wish(cafe, 7, "requested", "expired"), *wish(bakery, 20, "requested", "used"))
    undone = wish(cafe, 3, "requested", "used", "undone")
    await ledger.deliver(*undone[:2])
    ledger.ahead = timedelta(days=1)
    await ledger.deliver(undone[2])
    async with ledger.pool.acquire() as conn:
        first = await statements.redeemed(conn, f"merchant:{cafe}", began, later)
        second = await statements.redeemed(conn, f"merchant:{cafe}", later, end)
        other = await statements.redeemed(conn, f"merchant:{bakery}", began, end)
    assert (first.points, first.vouchers, first.undone_points) == (18, 3, 0)
    assert (second.points, second.undone_points, second.undone_vouchers) == (0, 3, 1)
    assert (other.points, other.vouchers) == (20, 1)
    net = first.points - second.undone_points + other.points
    assert (await ledger.tallies())["redeemed"] == net, "every redeemed point has a merchant"
    async with client_of(service_of(installation, "points")) as client:
        asked = {"from": began.isoformat(), "to": end.isoformat()}

        async def read(merchant: UUID, of: UUID) -> tuple[int, dict[str, Any]]:
            token = installation.identity.token("m", "M", ["merchant"], merchant_id=str(of))
            answer = await client.get(
                f"/v1/points/merchants/{merchant}/redeemed", params=asked, headers={"Authorization": f"Bearer {token}"}
            )
            return answer.status_code, answer.json()

        status, body = await read(cafe, cafe)
        assert (status, body["net"], body["points"], body["vouchers"]) == (200, 15, 18, 3), body
        assert (await read(cafe, bakery))[0] == 404


async def test_a_voucher_that_every_station_takes_is_paid_where_it_was_taken(ledger: Ledger) -> None:
    rider, wish, giver, station = (new_id() for _ in range(4))
    await ledger.adjust(rider, 100)
    await ledger.deliver(redemption(wish, rider, 10, "requested", merchant_id=giver))
    await ledger.deliver(redemption(wish, rider, 10, "used", merchant_id=station))
    assert not ledger.rejections
    began, end = clock.now() - timedelta(hours=1), clock.now() + timedelta(hours=1)

    async def net(merchant: UUID) -> int:
        async with ledger.pool.acquire() as conn:
            found = await statements.redeemed(conn, f"merchant:{merchant}", began, end)
        return found.points - found.undone_points

    assert (await net(giver), await net(station)) == (0, 10)
    await ledger.deliver(redemption(wish, rider, 10, "undone", merchant_id=station))
    assert not ledger.rejections
    assert (await net(giver), await net(station)) == (0, 0), "given back by whoever had it"
    assert await ledger.balances(rider) == (0, 100, 0)


async def test_one_id_is_one_redemption_for_ever(ledger: Ledger) -> None:
    rider, other, wish, cafe = new_id(), new_id(), new_id(), new_id()
    await ledger.adjust(rider, 100)
    await ledger.adjust(other, 100)
    await ledger.deliver(redemption(wish, rider, 10, "requested", merchant_id=cafe))
    await ledger.deliver(
        redemption(wish, rider, 11, "used", merchant_id=cafe),
        redemption(wish, other, 10, "used", merchant_id=cafe),
    )
    assert [one.code for one in ledger.rejections] == ["key_reused"] * 2
    assert await ledger.balances(rider) == (0, 90, 10)
    await ledger.deliver(redemption(wish, rider, 10, "used", merchant_id=cafe))
    await ledger.deliver(redemption(wish, rider, 10, "used", merchant_id=other))
    assert [one.code for one in ledger.rejections] == ["key_reused"] * 3
    assert await ledger.balances(rider) == (0, 90, 0)
    assert await ledger.balances(other) == (0, 100, 0)
