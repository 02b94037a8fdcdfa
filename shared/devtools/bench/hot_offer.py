"""One offer that everybody wants: rewards' single writer behind its batcher, against a row lock for each request.

200 racers at a time, each wanting one piece once, in both designs; both keep the same rows: a piece of stock, a
redemption, the answer under its key, an event. What the row-lock design lacks is only the batch.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from shared.devtools.bench.floor.hops import part
from shared.devtools.bench.latency import quantile_ms
from shared.devtools.installation import Installation
from shared.events.redemption_changed import REDEMPTION_CHANGED, RedemptionChanged
from shared.kit import clock
from shared.kit.auth import Principal
from shared.kit.auth.idempotency import Attempt
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin, insert_outbox
from shared.kit.postgres.batcher import Batcher
from shared.kit.postgres.db import Pool, prepare_connection

RACERS = 200
CONNECTIONS = 8
PRICE = 10
ANSWER_S = 600
SQL_TAKE = """
UPDATE offers SET free = free - 1, held = held + 1 WHERE id = $1 AND free > 0 RETURNING merchant_id, name, price
"""
SQL_REDEMPTION = """
INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, requested_on,
                         requested_at, deadline_at)
VALUES ($1, 1, $2, $3, $4, $5, $6, 'requested', current_date, now(), now() + make_interval(secs => $7))
"""
SQL_KEY = """
INSERT INTO idempotency_keys (principal, key, body_hash, status, response) VALUES ($1, $2, $3, 201, $4)
"""
SQL_EVENT = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload) VALUES ($1, $2, $3, 1, now(), $4)
"""
SQL_LEFT = "SELECT free, held, (SELECT count(*) FROM redemptions r WHERE r.offer_id = o.id) FROM offers o WHERE id = $1"
Redeem = Callable[[UUID], Awaitable[bool]]
"""Wants one piece for a rider; whether it was had."""


async def hot_offer(installation: Installation, pieces: int) -> dict[str, float]:
    """Sell `pieces` of an offer in each design: redemptions a second, and the 99th percentile of a racer's wait in ms.

    Nobody else may work in the schema of rewards.

    Raises:
        RuntimeError: more or fewer were sold than there were; and what Postgres raises.
    """
    async with asyncpg.create_pool(
        installation.dsn("rewards"), min_size=CONNECTIONS, max_size=CONNECTIONS, init=prepare_connection
    ) as pool:
        warm = await _offer(pool, RACERS)
        async with _Batched(pool, warm) as redeem:
            await _race(pool, warm, RACERS, redeem)
        offer = await _offer(pool, pieces)
        async with _Batched(pool, offer) as redeem:
            rate, waits_s = await _race(pool, offer, pieces, redeem)
        fewer = max(RACERS, pieces // 4)
        locked = await _offer(pool, fewer)
        lock_rate, _ = await _race(pool, locked, fewer, _row_lock(pool, locked))
        await pool.execute("DELETE FROM outbox")
    return {
        "ratio_to_row_lock": round(rate / lock_rate, 2),
        "p99_ms": quantile_ms(waits_s, 99),
        "per_second": round(rate),
    }


async def _offer(pool: Pool, pieces: int) -> UUID:
    offers, merchants = part("rewards", "store.offers"), part("rewards", "store.merchants")
    offer_id, merchant_id, now = new_id(), new_id(), clock.now()
    async with pool.acquire() as conn:
        await merchants.add(conn, merchant_id, merchants.NewMerchant("bench", "bench"))
        new = offers.NewOffer(merchant_id, "热饮 / hot drink", "", PRICE, None, pieces, None, None,
                              now - timedelta(days=1), now + timedelta(days=1), 0, 1440, 60)  # fmt: skip
        await offers.add_offer(conn, offer_id, new)
    return offer_id


async def _race(pool: Pool, offer_id: UUID, pieces: int, redeem: Redeem) -> tuple[float, list[float]]:
    """All pieces and a tenth more are wanted, 200 at a time; redemptions a second, and each racer's wait in s."""
    waits_s: list[float] = []
    had: list[bool] = []
    wanted = iter([new_id() for _ in range(pieces + pieces // 10)])

    async def racer() -> None:
        for rider_id in wanted:
            began_s = clock.monotonic_s()
            had.append(await redeem(rider_id))
            waits_s.append(clock.monotonic_s() - began_s)

    began_s = clock.monotonic_s()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(RACERS):
            tasks.create_task(racer())
    rate = len(had) / (clock.monotonic_s() - began_s)
    left = await pool.fetchrow(SQL_LEFT, offer_id)
    if left is None or tuple(left) != (0, pieces, pieces) or sum(had) != pieces:
        raise RuntimeError(f"{pieces} pieces: {sum(had)} were had; free, held and redemptions: {left}")
    return rate, waits_s


class _Batched:
    """The service's own redeeming behind its own batcher."""

    def __init__(self, pool: Pool, offer_id: UUID) -> None:
        redemptions, codes = part("rewards", "usecases.redemptions"), part("rewards", "usecases.codes")
        redeeming = part("rewards", "api.redeeming")
        self._wish, self._redeem = redeeming.WishMade, redeeming.redeem_once
        self._desk = redemptions.Desk(codes.Codes(bytes(32)), UTC, ANSWER_S, 60)
        self._pool, self._offer_id = pool, offer_id
        self._batcher: Batcher[Any, Any] = Batcher(self._flush, name="bench")

    async def _flush(self, wishes: list[Any]) -> list[Any]:
        async with self._pool.acquire() as conn, conn.transaction():
            work = await begin(conn)
            answers: list[Any] = await self._redeem(self._desk, work, wishes)
            await insert_outbox(conn, work.rows)
        return answers

    async def redeem(self, rider_id: UUID) -> bool:
        """A wish; sold out is the only refusal that may come."""
        attempt = Attempt(Principal("person", str(rider_id), roles=frozenset({"rider"})), str(rider_id), bytes(32))
        try:
            await self._batcher.submit(self._wish(attempt, rider_id, self._offer_id))
        except Exception as error:
            if "sold_out" not in (getattr(error, "code", ""), str(error)):
                raise
            return False
        return True

    async def __aenter__(self) -> Redeem:
        await self._batcher.start()
        return self.redeem

    async def __aexit__(self, *_: object) -> None:
        await self._batcher.stop()


def _row_lock(pool: Pool, offer_id: UUID) -> Redeem:
    async def redeem(rider_id: UUID) -> bool:
        redemption_id = new_id()
        async with pool.acquire() as conn, conn.transaction():
            taken = await conn.fetchrow(SQL_TAKE, offer_id)
            if taken is None:
                return False
            await conn.execute(SQL_REDEMPTION, redemption_id, rider_id, offer_id, *taken, ANSWER_S)
            body = RedemptionChanged(
                redemption_id=redemption_id, rider_id=rider_id, offer_id=offer_id, merchant_id=taken[0],
                offer_name=taken[1], price=taken[2], state="requested", changed_at=clock.now(),
            )  # fmt: skip
            payload = body.model_dump_json().encode()
            await conn.execute(SQL_KEY, f"person:{rider_id}", str(rider_id), bytes(32), payload)
            await conn.execute(SQL_EVENT, new_id(), REDEMPTION_CHANGED.name, str(redemption_id), payload)
        return True

    return redeem
