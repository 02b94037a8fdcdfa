"""Who left after a backup was taken is not in it: a restore enters them, and every service forgets them once more."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from shared.cli.backup.tables import Connection
from shared.cli.client import CliError

# Not done, also where the backup says so: what the backup holds was there before the erasure.
SQL_ENTER = """
INSERT INTO {schema}.erased_riders (rider_id, number, erased_at) SELECT * FROM
    unnest($1::uuid[], $2::text[], $3::timestamptz[])
ON CONFLICT (rider_id) DO UPDATE SET done_at = NULL, heard_at = now(), next_try_at = now()
"""


@dataclass(frozen=True)
class Erased:
    """One line of the list."""

    rider_id: UUID
    number: str
    erased_at: datetime


def read(file: Path) -> list[Erased]:
    """The list that `beegrid riders export-erased` has written. Raises CliError that names a faulty line."""
    found = []
    with file.open(newline="", encoding="utf-8") as source:
        for number, row in enumerate(csv.DictReader(source), 2):
            try:
                at = datetime.fromisoformat(row["erased_at"])
                found.append(Erased(UUID(row["rider_id"]), row["number"], at))
            except (KeyError, ValueError, TypeError) as error:
                raise CliError(
                    "名单无法读取 / The list is not readable",
                    f"{file}:{number}: {type(error).__name__}: {error}",
                    hint="nothing was written; it is made by `beegrid riders export-erased FILE`",
                ) from error
    return found


async def enter(conn: Connection, schemas: tuple[str, ...], erased: Sequence[Erased]) -> None:
    """Put the riders into the lists of the services that forget, as not yet forgotten there."""
    columns = [e.rider_id for e in erased], [e.number for e in erased], [e.erased_at for e in erased]
    for schema in schemas:
        await conn.execute(SQL_ENTER.format(schema=schema), *columns)
