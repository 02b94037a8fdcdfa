"""Rule sets as they are kept: appended, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.points.earning.rows import RuleRow
from services.points.earning.rules import RuleSet
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class SetHead:
    """A rule set without its rules."""

    version: int
    effective_from: datetime
    set_by: str
    reason: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """What tells whether there are more sets or budgets than before: both are only ever added.

    Sets commit in the order of their versions. Budgets don't in that of their ids: they are counted.
    """

    version: int
    set_at: datetime
    budgets: int


SQL_NEWEST = Query(
    Newest,
    """
SELECT version, set_at, (SELECT count(*) FROM budgets) AS budgets FROM rule_sets
ORDER BY version DESC LIMIT 1
""",
)
SQL_HEADS = Query(SetHead, f"SELECT {columns(SetHead)} FROM rule_sets ORDER BY effective_from")
SQL_HEADS_PAGE = Query(
    SetHead, f"SELECT {columns(SetHead)} FROM rule_sets WHERE version > $1 ORDER BY version LIMIT $2"
)
SQL_HEAD = Query(SetHead, f"SELECT {columns(SetHead)} FROM rule_sets WHERE version = $1")
SQL_ROWS = Query(RuleRow, f"SELECT {columns(RuleRow)} FROM rule_rows WHERE version = $1 ORDER BY line")
SQL_LAST = "SELECT max(version) FROM rule_sets"
SQL_ADD_SET = """
INSERT INTO rule_sets (version, effective_from, set_by, reason, set_at)
SELECT $1::bigint, $2, $3, $4, $5 WHERE $1::bigint = 1 + (SELECT max(version) FROM rule_sets)
ON CONFLICT DO NOTHING RETURNING version
"""
SQL_ADD_ROWS = f"""
INSERT INTO rule_rows (version, {columns(RuleRow)}) SELECT $1, {columns(RuleRow)} FROM {unnest(RuleRow, first=2)}
"""


async def newest(conn: Connection) -> Newest | None:
    """The newest set, and how many budgets there are: whoever knows these knows all."""
    return await one(conn, SQL_NEWEST)


async def heads(conn: Connection) -> list[SetHead]:
    """All sets, ascending by the instant from which they are in force."""
    return await many(conn, SQL_HEADS)


async def heads_page(conn: Connection, after: int, limit: int) -> list[SetHead]:
    """Sets after a version, by version."""
    return await many(conn, SQL_HEADS_PAGE, after, limit)


async def head(conn: Connection, version: int) -> SetHead | None:
    """One set."""
    return await one(conn, SQL_HEAD, version)


async def rows(conn: Connection, version: int) -> list[RuleRow]:
    """The rules of a set, in the order of the file that brought them."""
    return await many(conn, SQL_ROWS, version)


async def rule_set(conn: Connection, of: SetHead) -> RuleSet:
    """A set with its rules."""
    found = await rows(conn, of.version)
    return RuleSet(of.version, of.effective_from, tuple(found), of.set_by, of.reason)


async def last_version(conn: Connection) -> int:
    """The newest version."""
    version: int = await conn.fetchval(SQL_LAST)
    return version


async def add(conn: Connection, of: SetHead, rules: Sequence[RuleRow]) -> bool:
    """Append a set as the next version; False if that version or its instant is taken already."""
    made = await conn.fetchval(SQL_ADD_SET, of.version, of.effective_from, of.set_by, of.reason, of.set_at)
    if made is None:
        return False
    await conn.execute(SQL_ADD_ROWS, of.version, *arrays(RuleRow, rules))
    return True
