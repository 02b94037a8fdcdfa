"""Which migrations a service's schema needs: with one that lacks some of them nothing is served, a newer one is fine.

A release that starts before its migrations would fail at some statements and not at others: it would look as if it
worked.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import asyncpg

from shared.kit.postgres.db import Connection

ROOT = Path(__file__).resolve().parents[3]
KIT_MIGRATIONS = ROOT / "shared" / "kit" / "migrations"
VERSION = re.compile(r"^(\d+).*\.sql$")
SHOWN = 5
SQL_APPLIED = "SELECT version FROM schema_migrations"


class SchemaBehind(Exception):
    """The schema lacks migrations of this release; the text says which, and who applies them."""


def own_migrations(service: str) -> Path:
    """Where the migrations of a service's own tables lie."""
    return ROOT / "services" / service / "migrations"


def versions_of(folders: Iterable[Path]) -> set[str]:
    """The numbers of the migrations in these folders; one that isn't there has none."""
    files = (file for folder in folders for file in folder.glob("*.sql"))
    return {found.group(1) for file in files if (found := VERSION.match(file.name))}


async def see_applied(conn: Connection, wanted: Collection[str]) -> None:
    """Return when the schema has all of these migrations, whatever else it has.

    Raises:
        SchemaBehind: it lacks some.
    """
    try:
        there = {row["version"] for row in await conn.fetch(SQL_APPLIED)}
    except asyncpg.UndefinedTableError:
        there = set()
    if lacking := sorted(set(wanted) - there):
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        raise SchemaBehind(
            f"the schema lacks this release's migrations {', '.join(lacking[:SHOWN])}{more}: run this release's set-up "
            "(`python -m shared.provision.setup`, the job or container `setup`); this process waits for it"
        )
