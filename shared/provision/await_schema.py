"""`python -m shared.provision.await_schema SERVICE`: wait until the database has this image's migrations.

The init container of a pod: a new version's pods wait here for the set-up job, while the former version's serve.
"""

import asyncio
import sys

import asyncpg
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.kit import clock
from shared.kit.postgres.schema import versions_of
from shared.known.tables import migration_folders
from shared.provision.migrate import TABLE

LOOK_EVERY_S = 1.0


class AwaitSettings(BaseSettings):
    """Read from environment variables `BEEGRID_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="BEEGRID_", frozen=True, extra="ignore")

    postgres_dsn: SecretStr = Field(description="DSN of the service's own role, which may read what has been migrated")
    schema_wait_s: float = Field(300.0, ge=0, description="then the container fails and is started again")


def wanted_versions(service: str) -> set[str]:
    """Numbers of the migrations that this image brings for a service, those that it shares with others included.

    Raises:
        ValueError: there is no such service.
    """
    folders = migration_folders(service)
    if not any(folder.parent.name == service for folder in folders):
        raise ValueError(f"no migrations of {service!r}")
    return versions_of(folders)


async def missing_versions(dsn: str, service: str) -> set[str]:
    """Those that the database lacks; all of them while there is no schema. Raises asyncpg errors and OSError."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        rows = await connection.fetch(f'SELECT version FROM "{service}".{TABLE}')  # noqa: S608 a folder's own name
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return wanted_versions(service)
    finally:
        await connection.close()
    return wanted_versions(service) - {row["version"] for row in rows}


async def wait(dsn: str, service: str, wait_s: float) -> str:
    """Empty once nothing is missing, else the last reason."""
    deadline_s = clock.monotonic_s() + wait_s
    while True:
        try:
            missing = await missing_versions(dsn, service)
            if not missing:
                return ""
            reason = f"not yet migrated: {', '.join(sorted(missing))}"
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        if clock.monotonic_s() > deadline_s:
            return reason
        await asyncio.sleep(LOOK_EVERY_S)


def main() -> int:
    """0 when the schema is there, 1 when it isn't in time, 2 for a wrong command line."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    settings = AwaitSettings()
    reason = asyncio.run(wait(settings.postgres_dsn.get_secret_value(), sys.argv[1], settings.schema_wait_s))
    if reason:
        print(f"{sys.argv[1]}: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
