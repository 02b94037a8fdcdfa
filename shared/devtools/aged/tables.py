"""Filling one table in bulk: its indexes set aside, the rows in the order of their time, then the indexes in one go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.devtools.aged.pieces import Statement
from shared.kit.postgres.db import Connection

# Not dropped and made again: constraints, foreign keys, names and rights all stay, and REINDEX takes them back.
SQL_SET_ASIDE = "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = $1::text::regclass"
SQL_PLAIN = "SELECT relkind = 'r' FROM pg_class WHERE oid = $1::text::regclass"


@dataclass(frozen=True)
class Filling:
    """A table and what fills it. `until`: the present of the city."""

    table: str
    parts: Sequence[Statement]
    chunks: Sequence[tuple[int, int]]
    until: datetime

    @property
    def needs_order(self) -> bool:
        """Whether the accounts' order must be there first."""
        return any(part.needs_order for part in self.parts)

    @property
    def units(self) -> int:
        """Statements to run, and one for the indexes."""
        return 1 + sum(len(self.chunks) if part.by_chunk else 1 for part in self.parts)


async def fill(conn: Connection, filling: Filling, alone: bool, step: Callable[[], None]) -> None:
    """Write all rows in one transaction, then vacuum, analyse and index.

    A table that was empty gets a new file first (TRUNCATE): with wal_level minimal its rows then need no log.
    """
    table = filling.table
    merges = any("ON CONFLICT" in part.text for part in filling.parts)
    aside = alone and not merges and bool(await conn.fetchval(SQL_PLAIN, table))
    async with conn.transaction():
        if aside:
            if not await conn.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 names of our own files
                # what refers to rows of it is empty as well
                await conn.execute(f"TRUNCATE {table} CASCADE")
            await conn.execute(SQL_SET_ASIDE, table)
        for start, end in filling.chunks:
            for part in (one for one in filling.parts if one.by_chunk):
                await part.run(conn, start, end, filling.until)
                step()
        for part in (one for one in filling.parts if not one.by_chunk):
            await part.run(conn)
            step()
    # before the indexes: so that it need not look into them
    await conn.execute(f"VACUUM (ANALYZE) {table}")
    if aside:
        await conn.execute(f"REINDEX TABLE {table}")
    step()
