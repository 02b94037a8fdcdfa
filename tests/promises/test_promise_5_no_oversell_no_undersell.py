"""Promise 5: stock is neither oversold nor lost, whoever walks away, tries again, dies or has a wrong clock."""

import random
from dataclasses import dataclass

import pytest

from shared.kit.ids import derived_id
from tests.full import full_only
from tests.promises.support.database import ask
from tests.promises.support.market import SQL_TWICE, Market, Watch, in_threads
from tests.promises.support.nemesis import Nemesis, schedule
from tests.promises.support.servers import seed
from tests.promises.support.shoppers import Shoppers
from tests.promises.support.stations import OfflineStation

AT_ONCE = 32
POOR = 0.1
"""Share of riders who want what they have no points for."""
PRICE = 2
FAULTS = {"kill": 8, "step": 12, "flush": 4}
QUIET_S = (2.0, 5.0)
DRAINED_S = 120.0
LOOKS_MIN = 3
"""At the stock; a small sale on a busy machine is over after some ten."""


@dataclass(frozen=True)
class Size:
    """Of a sale: pieces, riders who come, and how long each takes at most."""

    stock: int
    riders: int
    pace_s: float


WHOLE, SMALL = Size(100, 2_000, 5.0), Size(40, 120, 0.0)


def sale(market: Market, chosen: int, size: Size, faults: dict[str, int]) -> tuple[Shoppers, list[str]]:
    """All riders come, while faults happen; what was wrong at any moment."""
    rng = random.Random(chosen)
    riders = [derived_id("rider", str(chosen), str(n)) for n in range(size.riders)]
    for rider in riders[int(POOR * size.riders) :]:
        market.earn(rider)
    market.flush()
    offers = market.open_shop(2, PRICE, size.stock // 4)
    offers.append(market.open_stations(PRICE, size.stock // 4, size.stock // 4))
    market.drain(DRAINED_S)
    offline = OfflineStation(market, market.station_tokens[1], size.stock // 4)
    shoppers = Shoppers(market, offers, chosen, pace_s=size.pace_s, offline=offline)
    actions = {
        "kill": lambda: market.kill(rng),
        "step": lambda: market.die_at_a_step(rng),
        "flush": market.flush_redis,
    }
    nemesis = Nemesis(schedule(rng, faults, QUIET_S), actions)
    with Watch(market) as watch:
        with nemesis.beside():
            in_threads(AT_ONCE, shoppers.visit, riders)
            shoppers.settle()
        market.drain(DRAINED_S)
    print("\n".join([*nemesis.done, str(shoppers.ends.most_common()), f"{watch.looks} looks at the stock"]))
    assert watch.looks > LOOKS_MIN
    return shoppers, sorted(watch.problems)


@full_only
@pytest.mark.timeout(1_800)
def test_every_piece_is_free_held_or_sold_and_paid_for(market: Market) -> None:
    chosen = seed()
    market.start()
    shoppers, problems = sale(market, chosen, WHOLE, FAULTS)
    holds(market, shoppers, problems, WHOLE)
    assert shoppers.ends["cheat"] > 0 < shoppers.ends["offline double"], "nobody was at two counters"


@pytest.mark.timeout(300)
def test_a_small_sale_without_faults(market: Market) -> None:
    market.start()
    shoppers, problems = sale(market, seed(), SMALL, {})
    holds(market, shoppers, problems, SMALL)


def holds(market: Market, shoppers: Shoppers, problems: list[str], size: Size) -> None:
    """Nothing is oversold or lost, nothing used twice, and what came to nothing is given back."""
    rewards = market.home.dsn("rewards")
    assert problems == []
    assert shoppers.problems == []
    assert ask(rewards, SQL_TWICE, 1) == [], "a rider's repeated request was granted twice"
    market.let_time_go_by()
    market.drain(DRAINED_S)
    [(stock, free, held, sold)] = ask(rewards, "SELECT sum(stock), sum(free), sum(held), sum(sold) FROM offers")
    ends = shoppers.ends
    # what went over a second counter is gone: named there, and no longer counted, as far as pieces were free
    assert size.stock - ends["offline double"] <= stock <= size.stock
    assert (free + sold, held) == (stock, 0)
    # a voucher that was shown at two counters is one sale, wherever it was heard first
    assert sold == ends["used"] + ends["voucher_used"] + ends["taken offline"] + ends["cheat"] > 0
    assert ends["taken offline"] + ends["cheat"] == ends["offline sold"] + ends["offline double"] > 0
    assert ends["sold_out"] > 0, "the demand was less than the stock: nothing was tested"
    assert market.stock_problems() == []
    assert market.ledger_problems() == []


# --- the checker fails where it must --------------------------------------------------------------------------------


@full_only
@pytest.mark.timeout(300)
def test_the_checkers_see_stock_that_never_comes_back_and_vouchers_that_nobody_pays(market: Market) -> None:
    market.start(rewards="loses-returns", points="pays-nothing")
    shoppers, problems = sale(market, seed(), SMALL, {})
    market.let_time_go_by()
    market.drain(DRAINED_S)
    assert [problem for problem in problems + market.stock_problems() if "free + held + sold" in problem]
    assert shoppers.ends["used"] > 0
    problems = market.ledger_problems()
    assert [problem for problem in problems if "used vouchers and posted points differ" in problem], problems


@pytest.mark.timeout(300)
def test_the_checkers_see_a_station_that_counts_nothing_and_sells_what_was_sold(market: Market) -> None:
    market.start(rewards="stations-count-nothing")
    shoppers, problems = sale(market, seed(), SMALL, {})
    assert [problem for problem in problems + market.stock_problems() if "stations have" in problem]
    assert [problem for problem in shoppers.problems if "taken once and in time" in problem]
    assert [problem for problem in problems if "open lists close at None" in problem]
