"""Every table says how long it keeps its rows, and what is swept can be swept. Real Postgres."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.devtools.gen.files import ROOT
from shared.kit.postgres.db import Pool
from shared.kit.postgres.retention import KIT_TABLES, Sweep, Table, Way, faults
from shared.provision.services import service_names, tables_of

PoolFor = Callable[[str], Awaitable[Pool]]
SERVICES = service_names(ROOT)
PRESENT = """
SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
AND NOT relispartition AND relname <> 'schema_migrations'
"""
FIRST_COLUMNS = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = $1::text::regclass AND m.amname = 'btree'
"""


def unindexed(table: str, column: str) -> str:
    """What a table lacks."""
    return f"{table} needs a B-tree index that begins with {column}: what is past is looked for by it"


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_is_declared(pool_for: PoolFor, service: str) -> None:
    pool = await pool_for(service)
    present = [row["relname"] for row in await pool.fetch(PRESENT)]
    assert list(faults([*KIT_TABLES, *tables_of(service)], present)) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_what_is_swept_has_its_index(pool_for: PoolFor, service: str) -> None:
    """Prepared under the service's own role, which so may delete there; and oldest first without sorting the table."""
    pool = await pool_for(service)
    for table in [*KIT_TABLES, *tables_of(service)]:
        for part in table.swept:
            assert part.sweep is not None and part.sweep_sql is not None
            async with pool.acquire() as conn:
                await conn.prepare(part.sweep_sql)
            first = {row["attname"] for row in await pool.fetch(FIRST_COLUMNS, part.name)}
            assert part.sweep.column in first, unindexed(part.name, part.sweep.column)
        if table.empties is not None and table.empty_sql is not None:
            async with pool.acquire() as conn:
                await conn.prepare(table.empty_sql)
            first = {row["attname"] for row in await pool.fetch(FIRST_COLUMNS, table.name)}
            assert table.empties.column in first, unindexed(table.name, table.empties.column)


def test_the_check_bites() -> None:
    known = Table("known", "a row", Way.STAYS, "for ever", "the test")
    assert list(faults([known, known], ["known", "new"])) == [
        "known: declared twice",
        "new: nobody says how long it keeps its rows, and why",
    ]
    assert list(faults([known], [])) == ["known: declared, and not there"]
    with pytest.raises(ValueError, match="swept"):
        Table("known", "a row", Way.SWEPT, "a day", "the test")
    with pytest.raises(ValueError, match="don't"):
        Table("known", "a row", Way.STAYS, "for good", "the test", Sweep("ended_at", timedelta(days=1)))
    with pytest.raises(ValueError, match="swept"):
        Table("known", "a row", Way.BOUNDED, "for good", "the test", Sweep("ended_at", timedelta(days=1), "NOT good"))
    with pytest.raises(ValueError, match="by days"):
        Table("known", "a row", Way.DROPPED, "a day", "the test")
