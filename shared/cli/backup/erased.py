"""Who left after a backup was taken is not in it: a restore enters them, and every service forgets them once more."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from shared.cli.backup.tables import Connection
from shared.cli.client import CliError
from shared.cli.tables import read_table

COLUMNS = ("rider_id", "number", "erased_at")
MARK = re.compile("erased:[0-9a-f]{40}")
_TITLE = "名单无法读取 / The list is not readable"
_MADE_BY = "it is made by `beegrid riders export-erased FILE`"
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


def read(file: Path, *, may_be_empty: bool = False) -> list[Erased]:
    """The list that `beegrid riders export-erased` has written.

    Raises:
        CliError: another file, a faulty line, a rider twice, nobody and `may_be_empty` false. A list without lines is
            what an export of an hour ago, the wrong suite or a full disk leave, and a restore with it brings back all.
    """
    found = []
    for line, row in read_table(file, COLUMNS, "utf-8-sig", ("rider_id",)):
        try:
            if not MARK.fullmatch(row["number"]):
                raise ValueError("the number is no mark")
            at = datetime.fromisoformat(row["erased_at"])
            if at.tzinfo is None:
                raise ValueError("erased_at has no zone")
            found.append(Erased(UUID(row["rider_id"]), row["number"], at))
        except ValueError as error:
            raise CliError(_TITLE, f"{file}:{line}: {error}", hint=f"nothing was written; {_MADE_BY}") from error
    if not found and not may_be_empty:
        raise CliError(
            "名单为空 / The list names nobody",
            f"{file}: whoever left after the backup would be back",
            hint=f"nothing was written; {_MADE_BY}. Where really nobody has ever left: --erased-empty",
        )
    return found


async def enter(conn: Connection, schemas: tuple[str, ...], erased: Sequence[Erased]) -> None:
    """Put the riders into the lists of the services that forget, as not yet forgotten there."""
    columns = [e.rider_id for e in erased], [e.number for e in erased], [e.erased_at for e in erased]
    for schema in schemas:
        await conn.execute(SQL_ENTER.format(schema=schema), *columns)
