"""Budgets: what is left of them is the database's to say. Rows are locked in the order of their ids."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.points.domain import Source
from services.points.earning.budget import Period
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest


@dataclass(slots=True, eq=False)
class Wanted:
    """Points of a hold that a budget is asked for."""

    budget_id: int
    hold_id: UUID
    amount: int


@dataclass(slots=True, eq=False)
class Returned:
    """What comes back to a budget: points that were spent, and such that only waited."""

    id: int
    spent: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget as people read it; points."""

    id: int
    area: str
    begins_on: date
    ends_on: date
    parent_id: int | None
    allocated: int
    given: int
    spent: int
    waiting: int
    refuses_up_to: datetime | None
    made_at: datetime

    @property
    def room(self) -> int:
        """What can still be given or spent."""
        return self.allocated - self.given - self.spent


@dataclass(frozen=True, slots=True)
class Allocation:
    """Points that were put into a budget, or taken out again."""

    id: int
    budget_id: int
    points: int
    made_by: str
    reason: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A budget for whose waiting holds something can be done: paid, or refused up to an instant."""

    id: int
    refuses_up_to: datetime | None
    refuses_why: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a case's verdict has decided meanwhile of a hold that waited; a deed was confirmed before it came.

    `grid_code`: where the case is; None: of a deed.
    """

    hold_id: UUID
    grid_code: str | None
    is_due: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hold that waits for its budget."""

    id: UUID
    rider_id: UUID
    amount: int
    source: Source
    made_at: datetime


SQL_DIRECTORY = Query(Period, f"SELECT {columns(Period)} FROM budgets ORDER BY id")
# What comes first is paid first, up to the first that doesn't fit; nobody passes those who wait already. The rows were
# locked by a statement before: one that locks and updates would hold what it computes under the lock against its older
# snapshot first, and fail by the table's check where others have just given points back.
SQL_CHARGE = f"""
WITH wanted AS (
    SELECT n.*, sum(n.amount) OVER (PARTITION BY n.budget_id ORDER BY n.place) AS upto
    FROM (SELECT w.*, row_number() OVER () AS place FROM {unnest(Wanted, "w")}) n
), judged AS (
    SELECT w.budget_id, w.hold_id, w.amount, w.upto <= b.allocated - b.given - b.spent AND b.waiting = 0 AS paid
    FROM wanted w JOIN budgets b ON b.id = w.budget_id
), moved AS (
    UPDATE budgets b SET spent = b.spent + s.paid, waiting = b.waiting + s.unpaid
    FROM (
        SELECT budget_id, coalesce(sum(amount) FILTER (WHERE paid), 0)::bigint AS paid,
               coalesce(sum(amount) FILTER (WHERE NOT paid), 0)::bigint AS unpaid
        FROM judged GROUP BY budget_id
    ) s WHERE b.id = s.budget_id
)
SELECT hold_id FROM judged WHERE paid
"""
SQL_LOCK = "SELECT FROM budgets WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"
SQL_OF_HOLDS = "SELECT DISTINCT budget_id FROM holds WHERE id = ANY($1::uuid[]) AND budget_id IS NOT NULL"
SQL_PAY = f"""
WITH wanted AS (
    SELECT n.*, sum(n.amount) OVER (ORDER BY n.place) AS upto
    FROM (SELECT w.*, row_number() OVER () AS place FROM {unnest(Wanted, "w", first=2)}) n
), locked AS (
    SELECT id, allocated - given - spent AS room FROM budgets WHERE id = $1::bigint FOR NO KEY UPDATE
), paid AS (
    SELECT w.hold_id, w.amount FROM wanted w JOIN locked l ON l.id = w.budget_id WHERE w.upto <= l.room
), moved AS (
    UPDATE budgets b SET spent = b.spent + s.amount, waiting = b.waiting - s.amount
    FROM (SELECT coalesce(sum(amount), 0)::bigint AS amount FROM paid) s WHERE b.id = $1
)
SELECT hold_id FROM paid
"""
SQL_GIVE_BACK = f"""
WITH back AS (SELECT * FROM {unnest(Returned, "n")}), locked AS (
    SELECT id FROM budgets WHERE id IN (SELECT id FROM back) ORDER BY id FOR NO KEY UPDATE
)
UPDATE budgets b SET spent = b.spent - back.spent, waiting = b.waiting - back.waiting
FROM back JOIN locked USING (id) WHERE b.id = back.id
"""
SQL_NEXT_DUE = Query(
    Due,
    """
SELECT b.id, b.refuses_up_to, b.refuses_why FROM budgets b CROSS JOIN LATERAL (
    SELECT amount, made_at FROM holds WHERE budget_id = b.id AND waits ORDER BY made_at, id LIMIT 1
) h
WHERE b.waiting > 0 AND (h.amount <= b.allocated - b.given - b.spent OR h.made_at <= b.refuses_up_to)
ORDER BY b.id LIMIT 1 FOR NO KEY UPDATE OF b SKIP LOCKED
""",
)
SQL_WAITING = Query(
    Waiting,
    f"SELECT {columns(Waiting)} FROM holds WHERE budget_id = $1 AND waits ORDER BY made_at, id LIMIT $2",
)
SQL_WAITS_NO_MORE = "UPDATE holds SET waits = false, reason = NULL WHERE id = ANY($1::uuid[]) AND waits"
SQL_VERDICTS = Query(
    Verdict,
    """
SELECT h.id AS hold_id, c.grid_code,
       h.source = 'deed' OR coalesce(h.ordinal <= c.posted_up_to AND h.ordinal > c.voided_up_to, false) AS is_due
FROM holds h LEFT JOIN cases c USING (case_id) WHERE h.id = ANY($1::uuid[])
""",
)
SQL_BUDGET = Query(Budget, f"SELECT {columns(Budget)} FROM budgets WHERE id = $1")
SQL_BUDGETS = Query(
    Budget,
    f"""
SELECT {columns(Budget)} FROM budgets WHERE id > $1 AND ($2::text[] IS NULL OR area = ANY($2)) ORDER BY id LIMIT $3
""",
)
SQL_ALLOCATIONS = Query(
    Allocation,
    f"SELECT {columns(Allocation)} FROM allocations WHERE budget_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
)
SQL_MAKE = """
INSERT INTO budgets (area, begins_on, ends_on, parent_id, made_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING id
"""
SQL_GIVE = """
UPDATE budgets SET given = given + $2 WHERE id = $1 AND allocated - given - spent >= $2 AND given + $2 >= 0 RETURNING id
"""
SQL_ALLOCATE = """
UPDATE budgets SET allocated = allocated + $2 WHERE id = $1 AND allocated + $2 >= given + spent RETURNING id
"""
SQL_NOTE = "INSERT INTO allocations (budget_id, points, made_by, reason, made_at) VALUES ($1, $2, $3, $4, $5)"
SQL_REFUSE = """
UPDATE budgets SET refuses_up_to = $2, refuses_why = $3, refuses_by = $4 WHERE id = $1 AND waiting > 0 RETURNING id
"""
SQL_REFUSED = "UPDATE budgets SET refuses_up_to = NULL WHERE id = $1 AND refuses_up_to = $2"


async def directory(conn: Connection) -> list[Period]:
    """All budgets, by place and time."""
    return await many(conn, SQL_DIRECTORY)


async def lock(conn: Connection, ids: Collection[int]) -> None:
    """Lock budgets in the order of their ids, until the transaction ends."""
    await conn.execute(SQL_LOCK, sorted(ids))


async def of_holds(conn: Connection, hold_ids: Collection[UUID]) -> set[int]:
    """The budgets that pay these holds, which no hold changes."""
    return {row["budget_id"] for row in await conn.fetch(SQL_OF_HOLDS, list(hold_ids))} if hold_ids else set()


async def charge(conn: Connection, wanted: Sequence[Wanted]) -> set[UUID]:
    """Spend points for holds as far as there is room; the ids of those that are paid, the others wait from now on.

    The budgets were locked before, by `lock`.
    """
    return {row["hold_id"] for row in await conn.fetch(SQL_CHARGE, *arrays(Wanted, wanted))}


async def pay(conn: Connection, budget_id: int, wanted: Sequence[Wanted]) -> set[UUID]:
    """Pay holds that wait, in their order, as far as there is room; the ids of those that are paid."""
    return {row["hold_id"] for row in await conn.fetch(SQL_PAY, budget_id, *arrays(Wanted, wanted))}


async def give_back(conn: Connection, returned: Mapping[int, tuple[int, int]]) -> None:
    """Give points back to budgets: by id what was spent, and what only waited."""
    if returned:
        rows = [Returned(id_, spent, waiting) for id_, (spent, waiting) in sorted(returned.items())]
        await conn.execute(SQL_GIVE_BACK, *arrays(Returned, rows))


async def next_due(conn: Connection) -> Due | None:
    """A budget for whose first waiting hold something can be done, and on which nobody else works, locked."""
    return await one(conn, SQL_NEXT_DUE)


async def waiting(conn: Connection, budget_id: int, most: int) -> list[Waiting]:
    """The holds that have waited longest; not locked."""
    return await many(conn, SQL_WAITING, budget_id, most)


async def wait_no_more(conn: Connection, ids: Collection[UUID]) -> None:
    """Holds that are paid, and go on as any other."""
    if ids:
        await conn.execute(SQL_WAITS_NO_MORE, list(ids))


async def verdicts(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Verdict]:
    """What was decided of these holds while they waited, and where. Their accounts are locked."""
    return {one.hold_id: one for one in await many(conn, SQL_VERDICTS, list(ids))} if ids else {}


async def budget(conn: Connection, id_: int) -> Budget | None:
    """One budget, not locked."""
    return await one(conn, SQL_BUDGET, id_)


async def budgets(conn: Connection, after: int, areas: Collection[str] | None, limit: int) -> list[Budget]:
    """Budgets after an id, by id; `areas`: of these alone, None: of all."""
    return await many(conn, SQL_BUDGETS, after, None if areas is None else list(areas), limit)


async def allocations(conn: Connection, budget_id: int, before: int, limit: int) -> list[Allocation]:
    """What was put into a budget, newest first."""
    return await many(conn, SQL_ALLOCATIONS, budget_id, before, limit)


async def make(
    conn: Connection, area: str, begins_on: date, ends_on: date, parent_id: int | None, now: datetime
) -> int | None:
    """Make an empty budget; None: the area has one for some of these days."""
    made: int | None = await conn.fetchval(SQL_MAKE, area, begins_on, ends_on, parent_id, now)
    return made


async def give(conn: Connection, parent_id: int, points: int) -> bool:
    """Give points on to a budget below; False: there are not so many left."""
    return await conn.fetchval(SQL_GIVE, parent_id, points) is not None


async def allocate(conn: Connection, id_: int, points: int, by: str, reason: str, now: datetime) -> bool:
    """Put points into a budget, or take them out (negative); False: they are given or spent."""
    if await conn.fetchval(SQL_ALLOCATE, id_, points) is None:
        return False
    await conn.execute(SQL_NOTE, id_, points, by, reason, now)
    return True


async def refuse(conn: Connection, id_: int, up_to: datetime, why: str, by: str) -> bool:
    """Remember that what waits is refused, why and by whom; False: nothing waits."""
    return await conn.fetchval(SQL_REFUSE, id_, up_to, why, by) is not None


async def refused(conn: Connection, due: Due) -> None:
    """All that was to be refused is."""
    await conn.execute(SQL_REFUSED, due.id, due.refuses_up_to)
