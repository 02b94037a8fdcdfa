"""The end of the demo's day: what stations are owed is what the ledger says, and the ledger is what its seal says."""

import io

from rich.console import Console

from shared.devtools.demo import ending, live
from shared.kit.ids import new_id
from shared.synthetic import gifts
from shared.synthetic.door import Door
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.test_one_report import rider_id_of

POINTS = 200
RIDERS = range(900, 920)
"""Nobody else's here: they have points already."""
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
    riders = [await rider_id_of(town, town.company.rider(number)) for number in RIDERS]
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
