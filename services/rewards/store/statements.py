"""What merchants are owed by the month, what donors gave, what was used where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest

StatementState = Literal["closed", "disputed", "paid"]


@dataclass(frozen=True, slots=True)
class Line:
    """Vouchers of one offer at one price; points = (used - returned + doubles) · price."""

    offer_id: UUID
    offer_name: str
    price: int
    used: int
    returned: int
    doubles: int
    points: int


@dataclass(frozen=True, slots=True)
class Closing:
    """A merchant's month as it is closed, [since, until)."""

    id: UUID
    merchant_id: UUID
    month: date
    since: datetime
    until: datetime
    used: int
    returned: int
    doubles: int
    points: int
    digest: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A merchant's month, [since, until)."""

    id: UUID
    version: int
    merchant_id: UUID
    month: date
    since: datetime
    until: datetime
    used: int
    returned: int
    doubles: int
    points: int
    digest: str
    state: StatementState
    closed_at: datetime
    dispute: str | None
    answer: str | None
    payment: str | None
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Donor:
    """What somebody gave: pieces in all, how many of them were used, what is said to them."""

    donor: str
    offers: int
    given: int
    used: int
    left: int
    thanks: str


@dataclass(frozen=True, slots=True)
class AreaUse:
    """What merchants of an area took in whole days (UTC); without an area: ''."""

    area_code: str
    vouchers: int
    points: int


@dataclass(frozen=True, slots=True)
class CompanyUse:
    """What the riders of a company used in a month; None: too few of them did."""

    riders: int | None
    vouchers: int | None
    points: int | None


@dataclass(frozen=True, slots=True)
class Unlike:
    """A voucher of a month whose points the ledger has not moved as it should; None: it has not moved them at all."""

    redemption_id: UUID
    price: int
    posted: int | None
    returned: int | None


# Used in the month whatever became of it, less what was undone in the month whenever it was used: what events said then
SQL_LINES = Query(
    Line,
    """
SELECT m.offer_id, o.name AS offer_name, m.price, sum(m.used)::int AS used, sum(m.returned)::int AS returned,
       sum(m.doubles)::int AS doubles, (sum(m.used - m.returned + m.doubles) * m.price)::bigint AS points
FROM (
    SELECT offer_id, price, 1 AS used, 0 AS returned, 0 AS doubles FROM redemptions
    WHERE merchant_id = $1 AND state = 'used' AND ended_at >= $2 AND ended_at < $3
    UNION ALL
    SELECT offer_id, price, 1, 0, 0 FROM redemptions
    WHERE merchant_id = $1 AND state = 'undone' AND ended_at >= $2 AND ended_at < $3
    UNION ALL
    SELECT offer_id, price, 0, 1, 0 FROM redemptions
    WHERE merchant_id = $1 AND state = 'undone' AND undone_at >= $2 AND undone_at < $3
    UNION ALL
    SELECT offer_id, points, 0, 0, 1 FROM offline_takings
    WHERE merchant_id = $1 AND borne_by = 'programme' AND heard_at >= $2 AND heard_at < $3
) AS m JOIN offers o ON o.id = m.offer_id
GROUP BY m.offer_id, o.name, m.price ORDER BY o.name, m.offer_id, m.price
""",
)
SQL_IS_OVER = "SELECT now() >= $1::timestamptz + interval '1 hour'"
SQL_ADD = Query(
    Statement,
    f"""
INSERT INTO statements (id, version, merchant_id, month, since, until, used, returned, doubles, points, digest, state,
                        closed_at, closed_by)
SELECT n.id, 1, n.merchant_id, n.month, n.since, n.until, n.used, n.returned, n.doubles, n.points, n.digest, 'closed',
       now(), $1
FROM {unnest(Closing, "n", first=2)}
ON CONFLICT (merchant_id, month) DO NOTHING RETURNING {columns(Statement)}
""",
)
SQL_ADD_LINES = f"""
INSERT INTO statement_lines (statement_id, {columns(Line)}) SELECT $1, {columns(Line)} FROM {unnest(Line, first=2)}
"""
SQL_STATEMENT = Query(Statement, f"SELECT {columns(Statement)} FROM statements WHERE id = $1")
SQL_LINES_OF = Query(
    Line,
    f"""
SELECT {columns(Line)} FROM statement_lines WHERE statement_id = $1 ORDER BY offer_name, offer_id, price
""",
)
SQL_OF_MERCHANT = Query(
    Statement,
    f"""
SELECT {columns(Statement)} FROM statements WHERE merchant_id = $1 AND month < $2 ORDER BY month DESC LIMIT $3
""",
)
# Closed → disputed → closed … → paid; nothing comes after it is paid. A second dispute has no answer yet
SQL_DISPUTE = Query(
    Statement,
    f"""
UPDATE statements SET state = 'disputed', version = version + 1, dispute = $2, disputed_at = now(), disputed_by = $3,
    answer = NULL, answered_by = NULL
WHERE id = $1 AND state = 'closed' RETURNING {columns(Statement)}
""",
)
SQL_ANSWER = Query(
    Statement,
    f"""
UPDATE statements SET state = 'closed', version = version + 1, answer = $2, answered_by = $3
WHERE id = $1 AND state = 'disputed' RETURNING {columns(Statement)}
""",
)
SQL_PAY = Query(
    Statement,
    f"""
UPDATE statements SET state = 'paid', version = version + 1, payment = $2, paid_at = now(), paid_by = $3
WHERE id = $1 AND state = 'closed' RETURNING {columns(Statement)}
""",
)
STEPS = {"dispute": SQL_DISPUTE, "answer": SQL_ANSWER, "pay": SQL_PAY}
# Once said it stays: of two totals of one month the difference would be somebody's use
SQL_SAY_OF_COMPANY = """
INSERT INTO company_months (company, month, riders, vouchers, points, said_at)
SELECT $1, $2, riders, CASE WHEN riders IS NOT NULL THEN vouchers END, CASE WHEN riders IS NOT NULL THEN points END,
       now()
FROM (
    SELECT CASE WHEN count(DISTINCT r.rider_id) >= $5 THEN count(DISTINCT r.rider_id) END AS riders,
           count(*) AS vouchers, coalesce(sum(r.price), 0) AS points
    FROM redemptions r JOIN known_riders k ON k.rider_id = r.rider_id
    WHERE r.state = 'used' AND r.ended_at >= $3 AND r.ended_at < $4 AND k.company = $1
) AS use
ON CONFLICT (company, month) DO NOTHING
"""
SQL_OF_COMPANY = Query(
    CompanyUse, f"SELECT {columns(CompanyUse)} FROM company_months WHERE company = $1 AND month = $2"
)
# What was taken in the month is paid to the merchant, what was undone in it is given back to its rider. A free voucher
# moves no points, and one that was used twice none the second time.
SQL_UNLIKE = Query(
    Unlike,
    """
SELECT r.id AS redemption_id, r.price, p.posted, p.returned
FROM redemptions r LEFT JOIN postings p ON p.redemption_id = r.id
WHERE r.merchant_id = $1 AND r.state = 'used' AND r.ended_at >= $2 AND r.ended_at < $3 AND r.price > 0
  AND p.posted IS DISTINCT FROM r.price
UNION ALL
SELECT r.id, r.price, p.posted, p.returned FROM redemptions r LEFT JOIN postings p ON p.redemption_id = r.id
WHERE r.merchant_id = $1 AND r.state = 'undone' AND r.price > 0
  AND (r.ended_at >= $2 AND r.ended_at < $3 AND p.posted IS DISTINCT FROM r.price
       OR r.undone_at >= $2 AND r.undone_at < $3 AND p.returned IS DISTINCT FROM r.price)
ORDER BY redemption_id LIMIT $4
""",
)
SQL_OF_MONTH = Query(Statement, f"SELECT {columns(Statement)} FROM statements WHERE merchant_id = $1 AND month = $2")
# In any order, and again: what was heard once stays
SQL_HEAR_POSTINGS = """
INSERT INTO postings AS p (redemption_id, posted, returned)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[]) AS n (redemption_id, posted, returned) ORDER BY 1
ON CONFLICT (redemption_id) DO UPDATE SET
    posted = coalesce(p.posted, excluded.posted), returned = coalesce(p.returned, excluded.returned)
"""
SQL_DONORS = Query(
    Donor,
    """
SELECT donated_by AS donor, count(*)::int AS offers, sum(stock)::bigint AS given, sum(sold)::bigint AS used,
       sum(free + held)::bigint AS "left", coalesce(max(thanks), '') AS thanks
FROM offers WHERE donated_by > $1 GROUP BY donated_by ORDER BY donated_by LIMIT $2
""",
)
SQL_BY_AREA = Query(
    AreaUse,
    """
SELECT coalesce(m.area_code, '') AS area_code, sum(t.vouchers)::bigint AS vouchers,
       sum(t.vouchers * t.price)::bigint AS points
FROM takings t JOIN merchants m ON m.id = t.merchant_id
WHERE t.taken_on >= $1 AND t.taken_on < $2
GROUP BY 1 HAVING sum(t.vouchers) > 0 ORDER BY 1 LIMIT $3
""",
)


async def lines(conn: Connection, merchant_id: UUID, since: datetime, until: datetime) -> list[Line]:
    """What a merchant took, gave back and bore for others in [since, until)."""
    return await many(conn, SQL_LINES, merchant_id, since, until)


async def is_over(conn: Connection, until: datetime) -> bool:
    """Whether a month ended an hour ago: no transaction that began in it goes on."""
    over: bool = await conn.fetchval(SQL_IS_OVER, until)
    return over


async def add(conn: Connection, closing: Closing, by: str, of: Sequence[Line]) -> Statement | None:
    """Close a month; None: it is closed already."""
    made = await one(conn, SQL_ADD, by, *arrays(Closing, [closing]))
    if made is not None:
        await conn.execute(SQL_ADD_LINES, made.id, *arrays(Line, of))
    return made


async def statement(conn: Connection, id_: UUID) -> Statement | None:
    """One statement."""
    return await one(conn, SQL_STATEMENT, id_)


async def lines_of(conn: Connection, id_: UUID) -> list[Line]:
    """What a statement says, offer by offer."""
    return await many(conn, SQL_LINES_OF, id_)


async def of_merchant(conn: Connection, merchant_id: UUID, before: date, limit: int) -> list[Statement]:
    """A page of a merchant's statements, the newest month first."""
    return await many(conn, SQL_OF_MERCHANT, merchant_id, before, limit)


async def step(conn: Connection, which: str, id_: UUID, words: str, by: str) -> Statement | None:
    """Dispute, answer or pay; None: its state doesn't allow it, or there is none."""
    return await one(conn, STEPS[which], id_, words, by)


async def of_company(conn: Connection, company: str, month: date) -> CompanyUse | None:
    """What was said of a company's month; None: nothing yet."""
    return await one(conn, SQL_OF_COMPANY, company, month)


async def say_of_company(
    conn: Connection, company: str, month: date, period: tuple[datetime, datetime], riders_min: int
) -> CompanyUse:
    """What a company's riders used in the month, [since, until), unless it was said before: then that stays."""
    await conn.execute(SQL_SAY_OF_COMPANY, company, month, *period, riders_min)
    said = await of_company(conn, company, month)
    assert said is not None, "inserted now or before"
    return said


async def unlike(conn: Connection, merchant_id: UUID, since: datetime, until: datetime, most: int) -> list[Unlike]:
    """Vouchers of a merchant in [since, until) of whose points the ledger says something else, or nothing yet."""
    return await many(conn, SQL_UNLIKE, merchant_id, since, until, most)


async def of_month(conn: Connection, merchant_id: UUID, month: date) -> Statement | None:
    """The statement of a month; None: it isn't closed."""
    return await one(conn, SQL_OF_MONTH, merchant_id, month)


async def hear_postings(conn: Connection, heard: Mapping[UUID, tuple[int | None, int | None]]) -> None:
    """Keep what the ledger has (posted, returned) for redemptions; None: nothing was heard of that."""
    if heard:
        posted, returned = zip(*heard.values(), strict=True)
        await conn.execute(SQL_HEAR_POSTINGS, list(heard), posted, returned)


async def donors(conn: Connection, after: str, limit: int) -> list[Donor]:
    """A page of donors, by name."""
    return await many(conn, SQL_DONORS, after, limit)


async def by_area(conn: Connection, since: date, until: date, most: int) -> list[AreaUse]:
    """What was used where, in whole days."""
    return await many(conn, SQL_BY_AREA, since, until, most)
