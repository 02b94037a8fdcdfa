"""A Postgres data folder with an aged city in it: loaded once, started as often as somebody wants to measure on it."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from shared.cli.whole_files import whole_text
from shared.devtools.aged.load import OnProgress, Size, load
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.postgres import start_postgres
from shared.devtools.infra.suite import Infra, start_infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.settings import KitSettings
from shared.provision.postgres import drop_database, other_database, provision_postgres, run_blocking

NAME = "aged"
# Nothing is lost by a crash while loading but the time: there is no data folder before ground.json.
LOADING: Mapping[str, str] = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "1GB",
    "autovacuum": "off",
    "track_commit_timestamp": "off",
}


@dataclass(frozen=True)
class Ground:
    """What lies in a folder: how many reports, until when; how long loading took, in seconds."""

    reports: int
    until: str
    took_s: float

    @classmethod
    def of(cls, folder: Path) -> "Ground | None":
        """What was loaded there; None where nothing was, or not to the end."""
        file = folder / "ground.json"
        return cls(**json.loads(file.read_text())) if file.exists() else None


def prepare(folder: Path, reports: int, on_progress: OnProgress = lambda _done, _all: None) -> Ground:
    """Load a city into the folder, unless it is there already. Takes some 5 kB of disk a report.

    Raises:
        InfraError: the folder holds a city of another size, or one that was not loaded to the end.
    """
    found = Ground.of(folder)
    if found is not None:
        if found.reports != reports:
            raise InfraError(f"{folder} holds {found.reports:,} reports, not {reports:,}: name another folder")
        return found
    if (folder / "postgres").exists():
        raise InfraError(f"{folder} holds a city that was not loaded to the end: remove it and begin again")
    folder.mkdir(parents=True, exist_ok=True)
    began_s = clock.monotonic_s()
    until = clock.now()
    with contextlib.closing(Guard()) as guard:
        postgres = start_postgres(guard, folder, LOADING)
        infra = Infra(postgres_admin_url=postgres.admin_url, postgres=postgres)
        _load(installation(infra, folder), reports, until, on_progress)
        postgres.stop()
    # fsync was off: what the system still holds in memory must be on disk before anybody trusts the folder
    os.sync()
    made = Ground(reports, until.isoformat(), round(clock.monotonic_s() - began_s, 1))
    with whole_text(folder / "ground.json") as target:
        target.write(json.dumps(asdict(made)))
    return made


def installation(infra: Infra, folder: Path) -> Installation:
    """The aged suite of a folder, its secrets beside its data."""
    return Installation(infra, folder / "suite", name=NAME)


@contextlib.contextmanager
def servers(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Infra]:
    """Postgres on the folder's data; Kafka and Valkey, empty, beside it.

    Raises:
        InfraError: nothing was loaded there, or a server does not start, or is one of somebody else.
    """
    if Ground.of(folder) is None:
        raise InfraError(f"{folder} holds no city: python -m shared.devtools.aged --keep {folder}")
    with start_infra(want={"kafka", "valkey"}) as infra:
        if infra.guard is None or infra.kafka is None or infra.valkey is None:
            raise InfraError("this needs servers of its own: unset BEEGRID_KAFKA_BOOTSTRAP and BEEGRID_REDIS_URL")
        infra.take(start_postgres(infra.guard, folder, settings))
        yield infra


def environment_zone() -> ZoneInfo:
    """The city's time zone as services started from here have it: they inherit the environment."""
    return ZoneInfo(os.environ.get("BEEGRID_CITY_TIMEZONE") or KitSettings.model_fields["city_timezone"].default)


def _load(made: Installation, reports: int, until: datetime, on_progress: OnProgress) -> None:
    admin = made.infra.postgres_admin_url
    drop_database(admin, made.name, list(made.services), made.role_prefix)
    provision_postgres(admin, made.name, list(made.services), made.secrets.postgres, role_prefix=made.role_prefix)
    for service in made.services:
        made.migrate(service)
    url = other_database(admin, made.name)
    run_blocking(_fill(url, made.secrets.sealing_key, Size(reports, until), on_progress))


async def _fill(url: str, sealing_key: str, size: Size, on_progress: OnProgress) -> None:
    await load(url, sealing_key, size, on_progress, zone=environment_zone(), alone=True)
    conn = await asyncpg.connect(url, command_timeout=None)
    try:
        await conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await conn.execute("CHECKPOINT")
    finally:
        await conn.close()
