"""Drives the rewards use cases as the kit does, on real Postgres."""

import secrets
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from services.rewards.api.redeeming import Redeemed, WishMade, redeem_once
from services.rewards.domain import Offer, Redemption
from services.rewards.store import complaints, merchants, offers, redemptions, stations
from services.rewards.store.complaints import Complaint
from services.rewards.store.merchants import NewMerchant
from services.rewards.store.offers import NewOffer
from services.rewards.store.offline import Taking
from services.rewards.usecases import offline, vouchers
from services.rewards.usecases import redemptions as redeeming
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.offline import Offline, Paper, Taken
from services.rewards.usecases.redemptions import Desk
from services.rewards.usecases.signing import Signer
from services.rewards.usecases.vouchers import Counter, Verdict
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit import clock
from shared.kit.auth import Principal
from shared.kit.auth.idempotency import Attempt
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.batcher import Batcher
from shared.kit.postgres.db import Connection
from tests.support import event_of, hear, published, work_on

SQL_PAST = "UPDATE redemptions SET deadline_at = now() - interval '1 second' WHERE id = $1"


def wish(
    offer_id: UUID, rider_id: UUID | None = None, key: str | None = None, body: bytes = b"", slot: UUID | None = None
) -> WishMade:
    """A rider's request."""
    rider_id = rider_id or new_id()
    principal = Principal("person", str(rider_id), roles=frozenset({"rider"}))
    return WishMade(Attempt(principal, key or secrets.token_hex(8), offer_id.bytes + body), rider_id, offer_id, slot)


class Shop:
    """The service's use cases on one pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        zone = ZoneInfo("Asia/Shanghai")
        codes = Codes(b"a secret of the tests only")
        self.desk = Desk(codes, zone, 600, 90)
        self.counter = Counter(codes, zone, wrong_max=5, window_s=600)
        self.offline = Offline(codes, Signer(b"a secret of the tests only"), 12, 12, 100, open_max=3)

    async def offer(self, **changed: Any) -> Offer:
        """A merchant with one offer."""
        now = clock.now()
        stated: dict[str, Any] = {
            "name": "tyre patch",
            "description": "",
            "price": 50,
            "donated_by": None,
            "stock": 100,
            "per_rider_max": None,
            "per_day_max": None,
            "valid_from": now - timedelta(days=1),
            "valid_until": now + timedelta(days=1),
            "opens_minute": 0,
            "closes_minute": 1440,
            "voucher_minutes": 60,
        }
        async with self.pool.acquire() as conn, conn.transaction():
            merchant = await merchants.add(conn, new_id(), NewMerchant("workshop", "1 Xueyuan Street"))
            assert merchant is not None
            id_ = new_id()
            await offers.add_offer(conn, id_, NewOffer(**{**stated, "merchant_id": merchant.id, **changed}))
            made = await offers.offer(conn, id_)
        assert made is not None
        return made

    async def merchant(self, name: str = "workshop", kind: str = "shop", area: str | None = None) -> UUID:
        """Another merchant."""
        async with self.pool.acquire() as conn:
            made = await merchants.add(conn, new_id(), NewMerchant(name, "1 Xueyuan Street", kind, "", area))
        assert made is not None
        return made.id

    async def stations(self, *pieces: int, **changed: Any) -> tuple[Offer, list[UUID]]:
        """An offer for the whole city, and stations that have so many pieces of it each."""
        offer = await self.offer(stock=0, citywide=True, **changed)
        ids = [await self.merchant(f"station {n}", "station") for n in range(len(pieces))]
        for id_, stock in zip(ids, pieces, strict=True):
            async with self.pool.acquire() as conn, conn.transaction():
                assert await stations.set_stock(conn, offer.id, id_, stock, 0)
        return offer, ids

    async def at_stations(self, offer: Offer) -> list[tuple[int, int]]:
        """(there, sold) of each, in the order in which they came."""
        async with self.pool.acquire() as conn:
            found = await stations.stations(conn, offer.id, UUID(int=0), 100)
        return [(one.there, one.sold) for one in found]

    async def paper(self, merchant_id: UUID, clerk: str = "clerk") -> tuple[Paper, dict[str, Any]]:
        """A list for a counter, as it is handed over and read."""
        async with work_on(self.pool) as work:
            made = await offline.make(self.offline, work, merchant_id, clerk)
        paper = await offline.write(self.offline, made)
        return paper, orjson.loads(paper.text)

    async def upload(
        self, merchant_id: UUID, list_id: UUID | str, *taken: tuple[str, datetime], clerk: str = "clerk"
    ) -> list[Taking]:
        """What a counter took."""
        lines, id_ = [Taken(code, at) for code, at in taken], UUID(str(list_id))
        async with work_on(self.pool) as work:
            return await offline.take(self.offline, self.counter, work, merchant_id, id_, lines, clerk)

    async def cancel(self, id_: UUID, rider_id: UUID) -> Redemption:
        """By its rider."""
        async with work_on(self.pool) as work:
            return await redeeming.cancel(work, id_, rider_id)

    async def complain(self, id_: UUID, rider_id: UUID) -> Complaint | None:
        """About a voucher."""
        async with self.pool.acquire() as conn:
            return await complaints.file(conn, new_id(), id_, rider_id, "it was cold")

    async def fulfil(self, id_: UUID, state: Literal["sent", "ready"]) -> Redemption | None:
        """By its merchant."""
        async with work_on(self.pool) as work:
            return await redeeming.fulfil(work, id_, state)

    async def undo(self, id_: UUID) -> Redemption:
        """By an operator."""
        async with work_on(self.pool) as work:
            return await redeeming.undo(work, id_, "by mistake", "op", 14)

    async def redeem(self, *wishes: WishMade) -> list[Redeemed | Exception]:
        """One batch."""
        async with work_on(self.pool) as work:
            return await redeem_once(self.desk, work, wishes)

    def batcher(self) -> Batcher[WishMade, Redeemed]:
        """One replica's group commit."""

        async def flush(wishes: list[WishMade]) -> list[Redeemed | Exception]:
            return await self.redeem(*wishes)

        return Batcher(flush, name="test", size_max=20)

    async def redeem_one(self, offer: Offer, rider_id: UUID | None = None, slot: UUID | None = None) -> UUID:
        """Must be granted; the redemption's id."""
        answer = (await self.redeem(wish(offer.id, rider_id, slot=slot)))[0]
        assert isinstance(answer, Redeemed), answer
        return UUID(orjson.loads(answer.body)["redemption_id"])

    async def answer(
        self,
        movement: str,
        *ids: UUID,
        reason: str | None = None,
        source: str = "redemption",
        rider: UUID | None = None,
        version: int = 1,
        available: int = 0,
        amount: int = -50,
        on: Connection | None = None,
    ) -> None:
        """Points answer redemptions, in one batch; `on`: a connection of the test's own."""
        events = []
        for id_ in ids:
            body = AccountChanged.model_validate(
                {
                    "rider_id": rider or new_id(),
                    "entry_id": new_id(),
                    "movement": movement,
                    "source": source,
                    "source_id": id_,
                    "amount": amount,
                    "reason": reason,
                    "pending": 0,
                    "available": available,
                    "changed_at": clock.now(),
                }
            )
            events.append(event_of(ACCOUNT_CHANGED, body, version, at=body.changed_at))
        await hear(on or self.pool, partial(redeeming.follow_accounts, self.desk), *events)

    async def sweep(self, rows_max: int = 200) -> int:
        """One turn of the sweeper."""
        async with work_on(self.pool) as work:
            return await redeeming.sweep(work, rows_max)

    async def verify(self, merchant_id: UUID, code: str, clerk: str = "clerk") -> Verdict:
        """At the counter."""
        async with work_on(self.pool) as work:
            return await vouchers.verify(self.counter, work, merchant_id, code, clerk)

    async def code(self, id_: UUID) -> str:
        """As its rider sees it."""
        async with self.pool.acquire() as conn:
            found = await redemptions.redemption(conn, id_)
        assert found is not None and found[1] is not None
        return self.desk.codes.open(id_, found[1])

    async def read(self, id_: UUID) -> Redemption:
        """One redemption."""
        async with self.pool.acquire() as conn:
            found = await redemptions.redemption(conn, id_)
        assert found is not None
        return found[0]

    async def time_is_over(self, id_: UUID) -> None:
        """As if its deadline had passed."""
        await self.pool.execute(SQL_PAST, id_)

    async def stock(self, offer: Offer) -> tuple[int, int, int]:
        """(free, held, sold); and the redemptions explain it."""
        async with self.pool.acquire() as conn:
            found = await offers.offer(conn, offer.id)
            assert await counters.differences(conn) == []
        assert found is not None
        return found.free, found.held, found.sold

    async def states(self, id_: UUID) -> list[str]:
        """The states that were published, whose versions are checked to be 1..n."""
        found = await published(self.pool, REDEMPTION_CHANGED, id_)
        assert [one["version"] for one in found] == list(range(1, len(found) + 1))
        return [one["state"] for one in found]
