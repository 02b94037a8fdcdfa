"""A test's installation is copied; it has what an operator's, which is migrated, has."""

import asyncio
from pathlib import Path

import asyncpg

from shared.devtools.infra.suite import Infra
from shared.devtools.installation import Installation
from shared.provision.postgres import other_database

SERVICES = ("points", "rewards")
SQL_MADE = """
SELECT 'database', '', '', datacl::text FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'schema', nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace
          WHERE nspname <> 'pg_toast' AND nspname !~ '^pg_temp'
UNION ALL SELECT relkind::text, relnamespace::regnamespace || '.' || relname, pg_get_userbyid(relowner), relacl::text
          FROM pg_class WHERE relnamespace::regnamespace::text = ANY ($1)
UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod), attacl::text
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
          WHERE relnamespace::regnamespace::text = ANY ($1) AND attnum > 0
UNION ALL SELECT 'function', proname, pg_get_userbyid(proowner), proacl::text || md5(prosrc)
          FROM pg_proc WHERE pronamespace::regnamespace::text = ANY ($1)
UNION ALL SELECT 'default', defaclobjtype::text, pg_get_userbyid(defaclrole), defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'setting', pg_get_userbyid(setrole), setconfig::text, ''
          FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'migration', version, '', '' FROM points.schema_migrations
"""


async def made(installation: Installation) -> set[tuple[str, ...]]:
    """Everything in the database, its owners and rights, with the roles' names as if they had no prefix."""
    db = await asyncpg.connect(other_database(installation.infra.postgres_admin_url, installation.name))
    try:
        rows = await db.fetch(SQL_MADE, list(SERVICES))
    finally:
        await db.close()
    return {tuple(str(value).replace(installation.role_prefix, "") for value in row) for row in rows}


async def write(installation: Installation) -> int:
    """As the service does; how many rows are there then."""
    app = await asyncpg.connect(installation.dsn("points"))
    try:
        await app.execute("INSERT INTO accounts (rider_id) VALUES (gen_random_uuid())")
        found: int = await app.fetchval("SELECT count(*) FROM accounts")
        return found
    finally:
        await app.close()


def test_a_copy_is_what_migrating_makes_and_nobody_elses(own_infra: Infra, tmp_path: Path) -> None:
    migrated = Installation(own_infra, tmp_path / "migrated", name="moulds")
    migrated.services = SERVICES
    migrated.set_up()
    try:
        expected = asyncio.run(made(migrated))
    finally:
        migrated.remove()
    assert len(expected) > 100
    for n in range(2):  # the first fills the mould
        with Installation.fresh(own_infra, tmp_path / str(n), "x", SERVICES) as copied:
            assert asyncio.run(made(copied)) == expected
            assert asyncio.run(write(copied)) == 1
