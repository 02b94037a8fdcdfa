"""Promise 4: the ledger conserves value, under kills, repetitions and people who take points back.

The state machine of tests/services/points is the other half: BEEGRID_LEDGER_STEPS=10000 makes it full size.
"""

import random

import asyncpg
import pytest

from shared.kit.ids import derived_id
from shared.provision.postgres import owner_role
from tests.full import FULL
from tests.promises.support.database import ask
from tests.promises.support.market import Market, in_threads
from tests.promises.support.nemesis import Nemesis, schedule
from tests.promises.support.servers import seed
from tests.promises.support.shoppers import Shoppers

CLIENTS, OPERATIONS, RIDERS_EACH = (32, 500, 4) if FULL else (8, 25, 2)
FAULTS = {"kill": 12, "step": 12} if FULL else {"kill": 1}
QUIET_S = (2.0, 6.0) if FULL else (0.2, 0.6)
DRAINED_S = 120.0
BREAKS = {
    "a balance is not the sum": "UPDATE accounts SET available = available + 1 WHERE available > 0 RETURNING 1",
    "used vouchers and posted points differ": (
        "DELETE FROM entries WHERE to_account = 'redeemed' AND entry_id = "
        "(SELECT entry_id FROM entries WHERE to_account = 'redeemed' LIMIT 1) RETURNING 1"
    ),
    "a hold ended more than once": (
        "INSERT INTO entries SELECT rider_id, version + 1000000, 9, gen_random_uuid(), hold_id, movement, from_account,"
        " to_account, amount, made_at FROM entries WHERE movement = 'posted' LIMIT 1 RETURNING 1"
    ),
}


@pytest.mark.timeout(1_800)
def test_nothing_appears_or_vanishes(market: Market) -> None:
    chosen = seed()
    rng = random.Random(chosen)
    market.start()
    offers = market.open_shop(3, 2, 100_000)
    shoppers = Shoppers(market, offers, chosen)
    riders = {n: [derived_id("rider", str(chosen), f"{n}.{m}") for m in range(RIDERS_EACH)] for n in range(CLIENTS)}
    for rider in [rider for own in riders.values() for rider in own]:
        for _ in range(3):
            market.earn(rider)
    actions = {"kill": lambda: market.kill(rng), "step": lambda: market.die_at_a_step(rng)}
    nemesis = Nemesis(schedule(rng, FAULTS, QUIET_S), actions)
    with nemesis.beside():
        in_threads(CLIENTS, lambda n: shoppers.spend(n, riders[n], OPERATIONS), range(CLIENTS))
    market.flush()
    market.drain(DRAINED_S)
    print("\n".join([*nemesis.done, str(shoppers.ends.most_common())]))
    assert shoppers.problems == []
    assert (
        shoppers.ends["used"] > 0 and shoppers.ends["key with another wish"] > 0 and shoppers.ends["take back 204"] > 0
    )
    assert market.ledger_problems() == []
    assert market.stock_problems() == []
    market.entries_are_safe()
    # --- the checker fails where it must: each defect by hand, with the owner's rights and the lock taken off
    home = market.home.dsn("points", owner_role)
    with pytest.raises(asyncpg.RestrictViolationError):
        ask(home, "DELETE FROM entries RETURNING 1")
    ask(home, "ALTER TABLE entries DISABLE TRIGGER append_only; SELECT 1")
    for problem, sql in BREAKS.items():
        assert ask(home, sql, *()), f"nothing to break for: {problem}"
        found = market.ledger_problems()
        assert [one for one in found if one.startswith(problem)], (problem, found)
