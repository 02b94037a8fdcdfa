"""Merchants and stations: their applications, stores and staff, and the list of what they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.rewards.domain import Merchant, Quota, Store
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class NewMerchant:
    """What is said of a merchant when it comes. `kind`: shop or station; `service`: what it does for riders."""

    name: str
    address: str
    kind: str = "shop"
    service: str = ""
    area_code: str | None = None


@dataclass(frozen=True, slots=True)
class NewStore:
    """A place of a merchant; hours in minutes of the city's day, weekdays with Monday as bit 0, WGS-84."""

    name: str
    address: str
    area_code: str | None
    lng: float | None
    lat: float | None
    opens_minute: int
    closes_minute: int
    weekdays: int


@dataclass(frozen=True, slots=True)
class Clerk:
    """Somebody who may take vouchers, by the `sub` of their token; inactive: not any more."""

    person: str
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class ListLine:
    """What a merchant gives, as the city publishes it."""

    offer_id: UUID
    merchant: str
    address: str
    service: str
    price: int
    donated_by: str | None
    counted: bool
    stock: int
    per_day_max: int | None
    per_rider_max: int | None
    per_rider_day_max: int | None

    @property
    def quota(self) -> Quota:
        """How much of it there is, for whom."""
        stock = self.stock if self.counted else None
        return Quota(stock, self.per_day_max, self.per_rider_max, self.per_rider_day_max)


SQL_ADD_MERCHANT = Query(
    Merchant,
    f"""
INSERT INTO merchants (id, version, name, address, kind, service, area_code, active, review, applied_by, created_at)
VALUES ($1, 1, $2, $3, $4, $5, $6, $7::text IS NULL, CASE WHEN $7 IS NULL THEN 'approved' ELSE 'applied' END, $7, now())
ON CONFLICT DO NOTHING RETURNING {columns(Merchant)}
""",
)
SQL_MERCHANTS = Query(
    Merchant,
    f"""
SELECT {columns(Merchant)} FROM merchants WHERE id > $1 AND review = 'approved' ORDER BY id LIMIT $2
""",
)
SQL_APPLICATIONS = Query(
    Merchant,
    f"""
SELECT {columns(Merchant)} FROM merchants WHERE id > $1 AND review = 'applied' ORDER BY id LIMIT $2
""",
)
SQL_APPLICATIONS_OF = Query(
    Merchant,
    f"""
SELECT {columns(Merchant)} FROM merchants WHERE id > $1 AND applied_by = $3 ORDER BY id LIMIT $2
""",
)
SQL_MERCHANT = Query(Merchant, f"SELECT {columns(Merchant)} FROM merchants WHERE id = $1")
SQL_REVIEW = Query(
    Merchant,
    f"""
UPDATE merchants SET review = $2, active = $2 = 'approved', review_reason = $3, reviewed_by = $4, reviewed_at = now(),
    version = version + 1
WHERE id = $1 AND review = 'applied' RETURNING {columns(Merchant)}
""",
)
SQL_CLOSE_MERCHANT = Query(
    Merchant,
    f"""
UPDATE merchants SET version = version + (closed_reason IS DISTINCT FROM $2)::int, closed_reason = $2 WHERE id = $1
RETURNING {columns(Merchant)}
""",
)
SQL_ADD_STORE = Query(
    Store,
    f"""
INSERT INTO stores (id, merchant_id, {columns(NewStore)})
SELECT $1, $2, {columns(NewStore)} FROM {unnest(NewStore, first=3)} RETURNING {columns(Store)}
""",
)
SQL_STORES = Query(
    Store, f"SELECT {columns(Store)} FROM stores WHERE merchant_id = $1 AND id > $2 ORDER BY id LIMIT $3"
)
SQL_SET_CLERK = Query(
    Clerk,
    f"""
INSERT INTO staff AS s (merchant_id, person, name, active, changed_at, changed_by) VALUES ($1, $2, $3, $4, now(), $5)
ON CONFLICT (merchant_id, person) DO UPDATE
SET name = excluded.name, active = excluded.active, changed_at = now(), changed_by = excluded.changed_by
RETURNING {columns(Clerk)}
""",
)
SQL_STAFF = Query(
    Clerk,
    f"SELECT {columns(Clerk)} FROM staff WHERE merchant_id = $1 AND person > $2 ORDER BY person LIMIT $3",
)
SQL_MAY_TAKE = """
SELECT coalesce(bool_or(person = $2 AND active), true) FROM staff WHERE merchant_id = $1
"""
SQL_LIST = Query(
    ListLine,
    """
SELECT o.id AS offer_id, m.name AS merchant, m.address, o.name AS service, o.price, o.donated_by, o.counted, o.stock,
       o.per_day_max, o.per_rider_max, o.per_rider_day_max
FROM offers o JOIN merchants m ON m.id = o.merchant_id
WHERE o.id > $1 AND m.active AND m.closed_reason IS NULL AND o.closed_reason IS NULL
  AND o.valid_from <= now() AND now() < o.valid_until
ORDER BY o.id LIMIT $2
""",
)


async def add(conn: Connection, id_: UUID, new: NewMerchant, applied_by: str | None = None) -> Merchant | None:
    """A new merchant: at once, or as somebody's application. None: another one of theirs waits."""
    return await one(
        conn, SQL_ADD_MERCHANT, id_, new.name, new.address, new.kind, new.service, new.area_code, applied_by
    )


async def merchants(conn: Connection, after: UUID, limit: int) -> list[Merchant]:
    """A page of those that take part, in the order of ids."""
    return await many(conn, SQL_MERCHANTS, after, limit)


async def applications(conn: Connection, after: UUID, limit: int, person: str | None) -> list[Merchant]:
    """A page of all that wait, or of one person's, decided ones too."""
    if person is None:
        return await many(conn, SQL_APPLICATIONS, after, limit)
    return await many(conn, SQL_APPLICATIONS_OF, after, limit, person)


async def merchant(conn: Connection, id_: UUID) -> Merchant | None:
    """One merchant."""
    return await one(conn, SQL_MERCHANT, id_)


async def review(conn: Connection, id_: UUID, *, approved: bool, reason: str | None, by: str) -> Merchant | None:
    """Decide about an application; None: none waits there."""
    return await one(conn, SQL_REVIEW, id_, "approved" if approved else "refused", reason, by)


async def close(conn: Connection, id_: UUID, reason: str | None) -> Merchant | None:
    """Close all of a merchant's offers, or open them again; None: there is no such merchant."""
    return await one(conn, SQL_CLOSE_MERCHANT, id_, reason)


async def add_store(conn: Connection, id_: UUID, merchant_id: UUID, new: NewStore) -> Store:
    """A new place of a merchant."""
    made = await one(conn, SQL_ADD_STORE, id_, merchant_id, *arrays(NewStore, [new]))
    assert made is not None  # RETURNING of an INSERT
    return made


async def stores(conn: Connection, merchant_id: UUID, after: UUID, limit: int) -> list[Store]:
    """A page of a merchant's places."""
    return await many(conn, SQL_STORES, merchant_id, after, limit)


async def set_clerk(conn: Connection, merchant_id: UUID, clerk: Clerk, by: str) -> Clerk:
    """Let somebody take vouchers for a merchant, or no longer."""
    made = await one(conn, SQL_SET_CLERK, merchant_id, clerk.person, clerk.name, clerk.active, by)
    assert made is not None  # RETURNING of an upsert
    return made


async def staff(conn: Connection, merchant_id: UUID, after: str, limit: int) -> list[Clerk]:
    """A page of who may take vouchers, or might once."""
    return await many(conn, SQL_STAFF, merchant_id, after, limit)


async def may_take(conn: Connection, merchant_id: UUID, person: str) -> bool:
    """Whether somebody whose token names the merchant is let to its counter."""
    found: bool = await conn.fetchval(SQL_MAY_TAKE, merchant_id, person)
    return found


async def public_list(conn: Connection, after: UUID, limit: int) -> Sequence[ListLine]:
    """A page of what merchants give now, by offers' ids."""
    return await many(conn, SQL_LIST, after, limit)
