"""A round through the whole ledger ends in the planned number of shares and the planned time, also if one is slow."""

import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest

from services.points import metrics
from services.points.store import rounds
from services.points.usecases import checking
from services.points.usecases.checking import Checking
from shared.devtools.installation import Installation
from shared.kit.postgres.db import Connection
from tests.services.points.ledger import NOON, Ledger
from tests.support import owner_of

RIDERS = 60
CITY_ENTRIES_A_YEAR = 58_400_000
"""Of docs/capacity.md; its riders have 73 reports each by then."""
SQL_FILL = """
WITH riders AS MATERIALIZED (
    SELECT gen_random_uuid() AS rider_id FROM generate_series(1, $1::int)
), account AS (
    INSERT INTO accounts (rider_id, version, available) SELECT rider_id, 2 * $2::int, 5 * $2 FROM riders
), made AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, rider_id, k FROM riders, generate_series(1, $2) k
), held AS (
    INSERT INTO holds (id, source, rider_id, case_id, kind, amount, state, made_at, ended_at, ordinal)
    SELECT id, 'report', rider_id, gen_random_uuid(), 'k', 5, 'posted', now(), now(), 1 FROM made
)
INSERT INTO entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account, amount, made_at)
SELECT rider_id, 2 * k - 1, 0, gen_random_uuid(), id, 'held', 'issuance', 'pending', 5, now() FROM made
UNION ALL
SELECT rider_id, 2 * k, 0, gen_random_uuid(), id, 'posted', 'pending', 'available', 5, now() FROM made
"""


@pytest.fixture
async def owner(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    async with owner_of(installation, "points") as connection:
        yield connection


class Clock:
    """Goes on by what a share costs, and by rests."""

    def __init__(self, share_s: float) -> None:
        self.share_s, self.at_s, self.shares, self.rests = share_s, 0.0, 0, list[float]()

    async def database_now(self, _conn: Connection) -> datetime:
        """Asked once a share."""
        at = NOON + timedelta(seconds=self.at_s)
        self.shares += 1
        self.at_s += self.share_s
        return at

    def monotonic_s(self) -> float:
        """Seconds since noon."""
        return self.at_s

    async def sleep(self, pause_s: float) -> None:
        """Without waiting."""
        self.rests.append(pause_s)
        self.at_s += pause_s


async def _whole_round(ledger: Ledger, clock: Clock) -> timedelta:
    task = Checking(lambda: True, lambda: ledger.pool, clock.database_now, clock.monotonic_s, clock.sleep)
    async with ledger.pool.acquire() as conn:
        while (now := await rounds.round_under_way(conn)) is None or now.finished_at is None:
            await clock.sleep(await task.turn())
            assert clock.shares < 2_000, "the round doesn't end"
    assert now.wrong_last == 0
    return now.finished_at - NOON


@pytest.mark.parametrize("reports", [12, 24, 36, 73])
async def test_accounts_that_fit_cost_no_further_share(ledger: Ledger, owner: asyncpg.Connection, reports: int) -> None:
    await owner.execute(SQL_FILL, RIDERS, reports)
    clock = Clock(0.005)
    await _whole_round(ledger, clock)
    movements = 2 * reports
    whole_ones = rounds.SHARE_ENTRIES // movements
    of_accounts = math.ceil(RIDERS / whole_ones if whole_ones else RIDERS * math.ceil(movements / rounds.SHARE_ENTRIES))
    assert clock.shares == of_accounts + math.ceil(RIDERS * reports / rounds.SHARE_HOLDS) + 2, "ends cost one each"
    of_a_year = clock.shares * CITY_ENTRIES_A_YEAR / (RIDERS * movements)
    assert timedelta(seconds=of_a_year * clock.share_s * (1 + checking.REST_LEAST)) < checking.AIM, "not within a city"


@pytest.mark.parametrize("share_s", [0.005, 0.5, 4])
async def test_a_round_takes_the_time_that_it_has(
    ledger: Ledger, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, share_s: float
) -> None:
    """Also when a share is slow: then it rests less."""
    await owner.execute(SQL_FILL, RIDERS, 24)
    monkeypatch.setattr(checking, "AIM", timedelta(seconds=500))
    monkeypatch.setattr(checking, "REST_MAX_S", 60.0)
    clock = Clock(share_s)
    async with ledger.pool.acquire() as conn:
        await rounds.begin(conn, NOON)
    took = await _whole_round(ledger, clock)
    assert took.total_seconds() == pytest.approx(500, rel=0.05)


async def test_shares_that_cost_more_than_there_is_leave_a_part_of_the_connection_free(
    ledger: Ledger, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owner.execute(SQL_FILL, RIDERS, 24)
    monkeypatch.setattr(checking, "AIM", timedelta(seconds=500))
    clock = Clock(20)
    took = await _whole_round(ledger, clock)
    assert took.total_seconds() == pytest.approx(clock.shares * 20 * (1 + checking.REST_LEAST), rel=0.1)


async def test_a_small_ledger_is_through_in_minutes(ledger: Ledger, owner: asyncpg.Connection) -> None:
    """A new installation isn't unchecked for half a day, and what is wrong in a small one is found soon."""
    await owner.execute(SQL_FILL, 5, 24)
    clock = Clock(0.005)
    assert await _whole_round(ledger, clock) < timedelta(minutes=2)
    assert max(clock.rests) <= checking.REST_MAX_S


async def test_only_the_leader_checks_and_a_former_one_forgets(ledger: Ledger) -> None:
    leading = {"yes": True}
    clock = Clock(0.005)
    task = Checking(lambda: leading["yes"], lambda: ledger.pool, clock.database_now, clock.monotonic_s, clock.sleep)
    for _ in range(4):
        await task.step()
    assert metrics.LEDGER_ROUND._value.get() >= NOON.timestamp() and clock.shares == 4
    leading["yes"] = False
    await task.step()
    assert math.isnan(metrics.LEDGER_ROUND._value.get()) and clock.shares == 4
