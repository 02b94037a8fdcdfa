"""A merchant's statement: what its vouchers say, from kept sums, whatever the period."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.rewards.domain import Offer, whole_days
from services.rewards.store import redemptions
from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from tests.reads import analyze, rows_read
from tests.services.rewards.shop import Shop

DAY = datetime(2026, 3, 1, tzinfo=UTC)
USED, DAYS = 20_000, 399
SQL_USED = """
INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, requested_on,
                         requested_at, deadline_at, issued_at, ended_at, code_hash)
SELECT u.id, 3, gen_random_uuid(), $1, $2, 'tyre patch', u.price, 'used', current_date, u.at, u.at, u.at, u.at,
       sha256(u.id::text::bytea)
FROM unnest($3::uuid[], $4::int[], $5::timestamptz[]) AS u (id, price, at)
"""
SQL_UNDO = """
UPDATE redemptions SET state = 'undone', undone_at = now(), undone_by = 'op', reason = 'by mistake' WHERE id = ANY($1)
"""
SQL_SOLD = """
UPDATE offers o SET stock = stock + n, sold = n
FROM (SELECT offer_id, count(*) AS n FROM redemptions WHERE state = 'used' GROUP BY 1) AS u WHERE u.offer_id = o.id
"""
Voucher = tuple[UUID, int, datetime]


async def _use(shop: Shop, offer: Offer, vouchers: list[Voucher]) -> None:
    await shop.pool.execute(SQL_USED, offer.id, offer.merchant_id, *map(list, zip(*vouchers, strict=True)))


async def _statement(shop: Shop, offer: Offer, since: datetime, until: datetime) -> dict[int, int]:
    async with shop.pool.acquire() as conn:
        lines = await redemptions.statement(conn, offer.merchant_id, since, until)
    assert all(line.points == line.price * line.vouchers and line.offer_id == offer.id for line in lines)
    assert all(line.offer_name == offer.name for line in lines)
    return {line.price: line.vouchers for line in lines}


async def test_any_period_has_its_vouchers(shop: Shop) -> None:
    rng, offer, other = random.Random(3), await shop.offer(), await shop.offer()
    midnights = [DAY + timedelta(days=n) for n in range(6)]
    moments = [DAY + timedelta(seconds=rng.uniform(0, 5 * 86_400)) for _ in range(300)]
    moments += [at + timedelta(microseconds=n) for at in midnights for n in (-1, 0, 1)]
    vouchers = [(new_id(), rng.choice((30, 50)), at) for at in moments]
    for chunk in range(0, len(vouchers), 40):
        await _use(shop, offer, vouchers[chunk : chunk + 40])
    await _use(shop, other, [(new_id(), 30, at) for at in moments])
    undone = {id_ for id_, _, _ in rng.sample(vouchers, 60)}
    await shop.pool.execute(SQL_UNDO, list(undone))
    edges = [*midnights, *(DAY + timedelta(seconds=rng.uniform(-9_000, 5 * 86_400)) for _ in range(30))]
    for _ in range(200):
        since, until = sorted(rng.sample(edges, 2))
        expected = Counter(price for id_, price, at in vouchers if id_ not in undone and since <= at < until)
        assert await _statement(shop, offer, since, until) == expected, (since, until)
    await shop.pool.execute(SQL_SOLD)
    async with shop.pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []


async def test_a_year_of_vouchers_is_not_read(shop: Shop, installation: Installation) -> None:
    offer = await shop.offer()
    every = timedelta(days=DAYS) / USED
    await _use(shop, offer, [(new_id(), 50, DAY + n * every) for n in range(USED)])
    await analyze(installation, "rewards", "redemptions", "takings")
    async with shop.pool.acquire() as conn:
        before = await rows_read(conn, "redemptions", shop.pool)
        [line] = await redemptions.statement(conn, offer.merchant_id, DAY + timedelta(hours=5), DAY + USED * every)
        assert line.vouchers == sum(DAY + n * every >= DAY + timedelta(hours=5) for n in range(USED))
        assert await rows_read(conn, "redemptions", shop.pool) - before < 3 * USED / DAYS


async def test_a_recount_finds_a_wrong_sum_and_puts_it_right(shop: Shop) -> None:
    offer = await shop.offer()
    vouchers = [(new_id(), 50, DAY + timedelta(hours=n)) for n in range(30)]
    await _use(shop, offer, vouchers)
    await shop.pool.execute(SQL_SOLD)
    await shop.pool.execute("UPDATE takings SET vouchers = vouchers + 5 WHERE taken_on = $1", DAY.date())
    await shop.pool.execute("DELETE FROM takings WHERE taken_on > $1", DAY.date())
    async with shop.pool.acquire() as conn, conn.transaction():
        found = await counters.differences(conn)
        assert [(one.what, one.kept, one.counted) for one in found] == [("taken", 29, 24), ("taken", 0, 6)]
        assert found[0].label == f"{offer.merchant_id} 2026-03-01 {offer.id} 50"
        await counters.correct(conn, counters.correctable(found))
    async with shop.pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
    assert await _statement(shop, offer, DAY, DAY + timedelta(days=2)) == {50: 30}


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (DAY, DAY + timedelta(days=3), (0, 3)),
        (DAY + timedelta(microseconds=1), DAY + timedelta(days=3), (1, 3)),
        (DAY, DAY + timedelta(days=3, hours=-1), (0, 2)),
        (DAY + timedelta(hours=1), DAY + timedelta(days=1, hours=23), None),
        (DAY + timedelta(hours=1), DAY + timedelta(hours=2), None),
    ],
)
def test_whole_days_lie_within(since: datetime, until: datetime, days: tuple[int, int] | None) -> None:
    first, last = whole_days(since.astimezone(), until.astimezone())
    assert (first, last) == (tuple(DAY + timedelta(days=n) for n in days) if days else (until, until))
