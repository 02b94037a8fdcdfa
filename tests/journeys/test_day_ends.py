"""The end of the demo's day: what stations are owed is what the ledger says, and the ledger is what its seal says."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from shared.devtools.demo import ending, live
from shared.devtools.demo.ending import Owed, Sealed, Settled
from shared.kit.ids import new_id
from shared.synthetic import gifts
from shared.synthetic.door import Door
from tests.asking import soon
from tests.journeys.conftest import Town

POINTS = 200
WHOLE_LEDGER = "各站"
"""That equation is about a suite with no other merchants, and here are those of other journeys."""


async def give(door: Door, rider: str) -> None:
    """Points for a rider: one operator proposes, another decides."""
    body = {"rider_id": rider, "amount": POINTS, "reason": "goodwill", "words": "a journey's riders"}
    wish = await door.post("/v1/points/adjustments", body, idempotency_key=str(new_id()))
    other = door.token("operator-2", "周敏", ["operator"])
    await door.post(f"/v1/points/adjustments/{wish['id']}/approve", {"words": "as agreed"}, other)


async def test_stations_are_owed_what_the_ledger_says_and_the_ledger_is_sealed(town: Town) -> None:
    door, said = town.door, io.StringIO()
    shop = await gifts.open_shop(door)
    riders = await gifts.shoppers(door, [town.company])
    for rider in riders:
        await give(door, rider)
    ends = await gifts.redeem(door, shop, riders)
    assert ends["used"] > len(riders) // 2, ends

    # 通兑的券，积分归核销的驿站 / a voucher of the first station that the second took is owed to the second.
    settled = await soon(
        lambda: ending.settle(door, shop), lambda x: all(o.points == o.ledger_points for o in x.owed), "all is paid"
    )
    first, second = settled.owed
    assert first.points > 0 and second.points == second.vouchers * gifts.CITYWIDE_PRICE > 0

    # 封存后核验 / what was sealed is hashed again.
    await ending.until_sealed(door)
    sealed = await ending.verify(door, riders)
    assert sealed is not None and sealed.verified_entries > 0
    figures = await live.look(door)
    found = ending.lines(settled, sealed, figures)
    assert [line for line in found if not line.holds and not line.what.startswith(WHOLE_LEDGER)] == []
    ending.show(settled, sealed, figures, Console(file=said, width=500))
    assert f"{first.station} {first.points:,} = 账本 / ledger {first.points:,}" in said.getvalue()
    assert f"{settled.month} 月末一小时后关账付款" in said.getvalue()
    assert f"封存 / seal {sealed.number} of the ledger" in said.getvalue()


SETTLED = Settled((Owed("东", 3, 45, 3, 45), Owed("西", 1, 15, 1, 15)), "2026-11", 0)
SEALED = Sealed(1, 7, 20, 7, 20, (), 4, 0)
REDEEMED = live.Figures({"points": {"tallies": {"redeemed": 60, "entries": 25}}})
WRONG: dict[str, tuple[Settled, Sealed | None, str]] = {
    "the ledger paid less": (replace(SETTLED, owed=(Owed("东", 3, 45, 3, 40), SETTLED.owed[1])), SEALED, "结算 ="),
    "a voucher more": (replace(SETTLED, owed=(Owed("东", 4, 45, 3, 45), SETTLED.owed[1])), SEALED, "结算的券"),
    "a station is left out": (replace(SETTLED, owed=SETTLED.owed[:1]), SEALED, WHOLE_LEDGER),
    "a month that goes on was closed": (replace(SETTLED, closed_early=1), SEALED, "提前关账"),
    "no seal": (SETTLED, None, "有封存"),
    "an account more": (SETTLED, replace(SEALED, verified_accounts=8), "封存账户"),
    "an entry less": (SETTLED, replace(SEALED, verified_entries=19), "封存分录"),
    "an entry that reads otherwise": (SETTLED, replace(SEALED, wrong=("account 1: …",)), "与封存不符"),
    "a rider whose entries are others": (SETTLED, replace(SEALED, own_wrong=1), "与封存不符"),
}


def test_what_is_right_holds() -> None:
    assert all(line.holds for line in ending.lines(SETTLED, SEALED, REDEEMED))


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_where_it_is(what: str) -> None:
    settled, sealed, where = WRONG[what]
    wrong = [line.what for line in ending.lines(settled, sealed, REDEEMED) if not line.holds]
    assert any(line.startswith(where) for line in wrong)
    said = io.StringIO()
    ending.show(settled, sealed, REDEEMED, Console(file=said, width=500))
    assert ("no seal yet" in said.getvalue()) == (sealed is None)
    assert ("account 1: …" in said.getvalue()) == (where == "与封存不符" and sealed is not None and bool(sealed.wrong))
