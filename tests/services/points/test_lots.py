"""Points with an end: oldest first, with warnings, and nobody keeps them alive by asking for vouchers."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest
from annotated_types import Le

from services.points import usecases
from services.points.lots import ExpiryRule
from services.points.store import ledger as store
from services.points.store import lots as lot_store
from services.points.store import rounds
from services.points.usecases import expiry
from services.rewards.settings import Settings
from shared.devtools.installation import Installation
from shared.events.points_expiring import POINTS_EXPIRING
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.points.ledger import MANHOLE, NOON, TERMS, Case, Ledger, points_of, redemption
from tests.support import owner_of, published

POINTS = points_of(MANHOLE)
SQL_RULE = "INSERT INTO expiry_rules VALUES ($1, $2, $3, 'Asia/Shanghai', 'test', 'test', now())"


@pytest.fixture
async def ledger(ledger: Ledger, installation: Installation) -> Ledger:
    """Points are valid for 100 days."""
    async with owner_of(installation, "points") as owner:
        await owner.execute(SQL_RULE, 2, (NOON - timedelta(days=999)).date(), 100)
    return ledger


async def earn(ledger: Ledger, rider: UUID, times: int = 1) -> None:
    for _ in range(times):
        case = Case(MANHOLE, NOON + ledger.ahead)
        await ledger.deliver(case.report(rider), case.closed())


async def warnings(ledger: Ledger, rider: UUID) -> list[tuple[int, int]]:
    """(amount, days left)."""
    return [(one["amount"], one["days_left"]) for one in await published(ledger.pool, POINTS_EXPIRING, rider)]


async def test_what_is_left_expires_after_two_warnings(ledger: Ledger) -> None:
    rider = new_id()
    await earn(ledger, rider, 2)
    await ledger.expire(50)
    await earn(ledger, rider)
    assert await ledger.expire(19) == 0
    await ledger.deliver(redemption(new_id(), rider, POINTS, "requested"))
    assert await ledger.expire(1) == 1
    assert await warnings(ledger, rider) == [(POINTS, 30)], "one of the old two is reserved"
    assert await ledger.expire(23) == 1
    assert await warnings(ledger, rider) == [(POINTS, 30), (POINTS, 7)]
    assert await ledger.expire(6) == 0
    assert await ledger.balances(rider) == (0, 2 * POINTS, POINTS)
    await ledger.expire(1)
    assert await ledger.balances(rider) == (0, POINTS, POINTS), "the newer ones stay"
    assert (await ledger.movements(rider))[-1] == ("expired", -POINTS, "points_expired")
    figures = await ledger.tallies()
    assert figures["breakage"] == POINTS


async def test_who_spends_in_time_loses_nothing(ledger: Ledger) -> None:
    rider, wish = new_id(), new_id()
    await earn(ledger, rider)
    await ledger.deliver(redemption(wish, rider, POINTS, "requested"), redemption(wish, rider, POINTS, "used"))
    await ledger.expire(60)
    await earn(ledger, rider)
    await ledger.expire(60)
    assert await warnings(ledger, rider) == []
    assert await ledger.balances(rider) == (0, POINTS, 0)
    assert list((await ledger.lots(rider)).values()) == [POINTS]


async def test_a_voucher_keeps_no_points_alive(ledger: Ledger) -> None:
    rider, wish = new_id(), new_id()
    await earn(ledger, rider)
    await ledger.expire(99)
    await ledger.deliver(redemption(wish, rider, POINTS, "requested"))
    await ledger.expire(5)
    assert await ledger.balances(rider) == (0, 0, POINTS), "what is reserved can be used"
    await ledger.deliver(redemption(wish, rider, POINTS, "expired"))
    assert await ledger.balances(rider) == (0, POINTS, 0), "given back, with its old end"
    await ledger.expire(1)
    assert await ledger.balances(rider) == (0, 0, 0)
    assert await ledger.expire(30) == 0, "then nobody looks any more"
    await ledger.tallies()


async def test_what_was_earned_without_an_end_keeps_none(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()
    async with owner_of(installation, "points") as owner:
        await owner.execute(SQL_RULE, 3, (clock.now() - timedelta(days=1)).date(), 0)
        await earn(ledger, rider)
        await owner.execute(SQL_RULE, 4, (clock.now() + timedelta(days=5)).date(), 40)
    await ledger.expire(10)
    await earn(ledger, rider)
    await ledger.deliver(redemption(new_id(), rider, 1, "requested"))
    await ledger.expire(400)
    assert await ledger.balances(rider) == (0, POINTS - 1, 1), "spent were the oldest, expired are those with an end"


@pytest.mark.parametrize(("days", "warned"), [(3, []), (20, [(POINTS, 7)])])
async def test_short_lives_have_fewer_warnings(
    ledger: Ledger, installation: Installation, days: int, warned: list[tuple[int, int]]
) -> None:
    rider = new_id()
    async with owner_of(installation, "points") as owner:
        await owner.execute(SQL_RULE, 3, (clock.now() - timedelta(days=2)).date(), days)
    await earn(ledger, rider)
    for _ in range(days + 1):
        await ledger.expire(1)
    assert await warnings(ledger, rider) == warned
    assert await ledger.balances(rider) == (0, 0, 0)


async def test_a_process_that_slept_warns_late_and_once(ledger: Ledger) -> None:
    rider = new_id()
    await earn(ledger, rider)
    await ledger.expire(96)
    assert await warnings(ledger, rider) == [(POINTS, 4)]
    await ledger.expire(10)
    assert await ledger.balances(rider) == (0, 0, 0)


async def test_without_an_end_there_are_no_lots(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()
    async with owner_of(installation, "points") as owner:
        await owner.execute("DELETE FROM expiry_rules WHERE version > 1")
    await earn(ledger, rider)
    assert await ledger.pool.fetchval("SELECT count(*) FROM lots") == 0
    assert await ledger.expire(4_000) == 0


async def test_a_rule_begins_on_a_later_day_and_after_the_others(ledger: Ledger) -> None:
    today = clock.now().astimezone(TERMS.zone).date()

    async def add(version: int, days: int) -> None:
        async with ledger.work() as work:
            rule = ExpiryRule(version, today + timedelta(days=days), 365, "Asia/Shanghai", "o", "test")
            await expiry.set_expiry_rule(TERMS.zone, work, rule)

    with pytest.raises(Refusal, match="in the past"):
        await add(3, 0)
    await add(3, 10)
    for version, days in ((3, 20), (4, 10), (4, 5)):
        with pytest.raises(Refusal, match="Rules have changed"):
            await add(version, days)
    await add(4, 11)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ledger.pool.execute("UPDATE expiry_rules SET valid_days = 1")


async def test_a_hold_that_nobody_ends_is_given_back_by_the_clock(ledger: Ledger) -> None:
    riders = [new_id() for _ in range(3)]
    wishes = [new_id() for _ in riders]
    at = clock.now()
    for rider, wish in zip(riders, wishes, strict=True):
        await earn(ledger, rider)
        await ledger.deliver(redemption(wish, rider, POINTS, "requested"))
        await ledger.deliver(redemption(wish, rider, POINTS, "issued", expires_at=at))
    await ledger.deliver(redemption(wishes[1], riders[1], POINTS, "used"))

    async def by_the_clock() -> int:
        async with ledger.work() as work:
            return await expiry.expire_holds(work)

    ledger.ahead = timedelta(days=6)
    assert await by_the_clock() == 0
    ledger.ahead = timedelta(days=8)
    assert sorted(await asyncio.gather(*(by_the_clock() for _ in range(4)))) == [0, 0, 0, 3]
    assert [await ledger.balances(rider) for rider in riders] == [(0, POINTS, 0), (0, 0, 0), (0, POINTS, 0)]
    assert (await ledger.movements(riders[0]))[-1] == ("voided", POINTS, "hold_expired")
    await ledger.deliver(redemption(wishes[0], riders[0], POINTS, "used"))
    assert [one.code for one in ledger.rejections] == ["unpaid_voucher"], "an operator hears of it"
    await ledger.tallies()


async def test_a_later_end_of_a_voucher_moves_its_deadline(ledger: Ledger) -> None:
    """Whichever is heard first, and also of two in one batch: goods that are ready later end later."""
    at, riders = clock.now(), [new_id() for _ in range(3)]
    ends = [(0, 20), (20, 0), (0, 20)]
    for n, (rider, days) in enumerate(zip(riders, ends, strict=True)):
        wish = (new_id(), rider, POINTS)
        await earn(ledger, rider)
        await ledger.deliver(redemption(*wish, "requested"))
        said = [redemption(*wish, "issued", expires_at=at + timedelta(days=one)) for one in days]
        for batch in [said] if n == 2 else [[one] for one in said]:
            await ledger.deliver(*batch)
    ledger.ahead = timedelta(days=26)
    async with ledger.work() as work:
        assert await expiry.expire_holds(work) == 0
    assert [await ledger.balances(rider) for rider in riders] == [(0, 0, POINTS)] * 3
    ledger.ahead = timedelta(days=28)
    async with ledger.work() as work:
        assert await expiry.expire_holds(work) == 3
    assert [await ledger.balances(rider) for rider in riders] == [(0, POINTS, 0)] * 3


def test_points_wait_longer_than_any_counter_without_network_may() -> None:
    """A list is made before its vouchers end, is good for a time, and is uploaded by the end of another."""
    bounds = [
        int(str(bound.le))
        for name in ("offline_good_h", "offline_grace_h")
        for bound in Settings.model_fields[name].metadata
        if isinstance(bound, Le)
    ]
    assert len(bounds) == 2, "each has one"
    assert timedelta(hours=sum(bounds)) < usecases.UNENDED_AFTER


async def test_the_sweep_finds_what_is_due_in_its_order(ledger: Ledger, installation: Installation) -> None:
    """Of a day's many lots it reads as many as it takes: no sort of all that are due."""
    async with owner_of(installation, "points") as owner:
        await owner.execute(
            """INSERT INTO lots (rider_id, earned_on, points, expires_on, look_on)
               SELECT gen_random_uuid(), date '2026-03-02', 5, day, CASE WHEN n % 5 > 0 THEN day END
               FROM (SELECT n, date '2026-06-01' + n % 300 AS day FROM generate_series(1, 20000) n) s"""
        )
        await owner.execute("ANALYZE lots")
    async with ledger.pool.acquire() as conn:
        rows = await conn.fetch(f"EXPLAIN (COSTS OFF) {lot_store.SQL_DUE.text}", date(2026, 9, 1), expiry.LOTS_AT_ONCE)
        plan = "\n".join(row[0] for row in rows)
        assert "using lots_due on lots" in plan and "Sort" not in plan, plan
        due = await lot_store.due(conn, date(2026, 9, 1), 100)
    assert len(due) == 100


async def test_the_rounds_know_what_expired_and_what_was_adjusted(ledger: Ledger) -> None:
    riders = [new_id() for _ in range(5)]
    for rider in riders:
        await earn(ledger, rider)
        await ledger.adjust(rider, 7)
        await ledger.adjust(rider, -2)
    await ledger.expire(200)
    async with ledger.pool.acquire() as conn:
        assert await usecases.check_recent(conn) == 0
        now = await rounds.begin(conn, NOON)
        while now.finished_at is None:
            now = await rounds.check_share(conn, now, NOON + timedelta(hours=1))
        assert now.wrong_last == 0
        assert (await store.tallies(conn))["breakage"] == 5 * (POINTS + 5)


async def test_a_voucher_keeps_no_points_alive_beyond_the_next_lots_end(ledger: Ledger) -> None:
    rider, wish = new_id(), new_id()
    await earn(ledger, rider)
    await ledger.expire(1)
    await earn(ledger, rider)
    await ledger.expire(98)
    await ledger.deliver(redemption(wish, rider, POINTS, "requested"))
    await ledger.expire(5)
    await ledger.deliver(redemption(wish, rider, POINTS, "expired"))
    await ledger.expire(400)
    assert await ledger.balances(rider) == (0, 0, 0)


async def test_a_lot_that_ends_first_keeps_no_earlier_one_alive(ledger: Ledger, installation: Installation) -> None:
    rider = new_id()
    async with owner_of(installation, "points") as owner:
        await owner.execute(SQL_RULE, 3, (clock.now() + timedelta(days=5)).date(), 10)
    await earn(ledger, rider)
    await ledger.expire(10)
    await earn(ledger, rider)
    for _ in range(12):
        await ledger.expire(10)
    assert await ledger.balances(rider) == (0, 0, 0)
