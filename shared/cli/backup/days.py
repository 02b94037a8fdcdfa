"""The days of a backup's inboxes: made before its rows are loaded, so that each row finds the partition that it had."""

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from shared.kit import clock

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# What a service can have made or not yet dropped; ids of other days find their place without one.
DAYS_BACK, DAYS_AHEAD = 400, 8
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)
# Of an id's 48 bits of milliseconds the first 32, as hexadecimal digits: the lines of one minute begin alike.
DIGITS, BITS_LEFT = 8, 16


def days_of(file: Path, today: date) -> set[date]:
    """The days of the event ids with which a file's lines begin, as far as they are near today."""
    with file.open("rb") as lines:
        firsts = {int(digits, 16) << BITS_LEFT for digits in {line[:DIGITS] for line in lines}}
    lasts = {first + (1 << BITS_LEFT) - 1 for first in firsts}
    # of a minute at midnight both days: one more without rows does no harm
    since = [ms // DAY_MS - (today - EPOCH).days for ms in firsts | lasts]
    return {today + timedelta(days=days) for days in since if -DAYS_BACK <= days <= DAYS_AHEAD}


async def make(conn: Connection, schema: str, file: Path) -> None:
    """Make the days that a schema's inbox lacks for the rows of a file."""
    for day in sorted(await asyncio.to_thread(days_of, file, clock.now().date())):
        await conn.execute(f'SELECT "{schema}".make_inbox_day($1)', day)
